"""What learns from the real photographs, once it is known what their noise looks like.

Late Neighbor2Neighbor makes up for what synthetic pairs leave, as far as neighbours do not share their noise. Where
they share it, and it is simulated well, it does harm; where they share it, and it is not, a mean teacher makes up for
more (docs/results.md, "The default for noise").
"""

from __future__ import annotations

from dataclasses import replace

from noiseda.config import AdaptSettings
from noiseda.data.degradations import Degradation
from noiseda.data.matching import Matched

SAID = {
    "mean-teacher": "so a mean teacher learns from them, in place of Neighbor2Neighbor",
    "synthetic": "so pairs made to look like them are all that is learnt from, and not, by Neighbor2Neighbor, what "
    "neighbouring pixels share",
}
"""What a run says of the strategy that takes the place of late Neighbor2Neighbor."""


def suited(settings: AdaptSettings, like: Degradation | None) -> AdaptSettings:
    """The settings, with the strategy that suits what the photographs look like.

    That is for late Neighbor2Neighbor (``--neighbor2neighbor.start``) alone; a teacher begins as late.

    Args:
        settings: the run's settings.
        like: what the photographs went through, where that was looked for.
    """
    late = settings.neighbor2neighbor
    begins_late = settings.strategy == "neighbor2neighbor" and late.synthetic and late.start > 0 and not settings.also
    if not (begins_late and settings.matches and isinstance(like, Matched)):
        return settings
    chosen = late.shared if like.alike else late.unlike
    if not like.processed or chosen == settings.strategy:
        return settings
    return replace(settings, strategy=chosen, mean_teacher=replace(settings.mean_teacher, start=late.start))
