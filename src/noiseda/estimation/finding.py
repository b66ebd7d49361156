"""What photographs were found to have gone through, for people: in words, and as a drawing."""

from __future__ import annotations

from collections import Counter
from statistics import quantiles

import torch
from torch import Tensor

from noiseda.data.degradations import Degradation
from noiseda.estimation.blur_kernel import MatchedBlur, extent
from noiseda.estimation.jpeg_quality import MatchedJpeg
from noiseda.estimation.noise import Matched
from noiseda.estimation.rain import MatchedRain
from noiseda.report import Chart, Finding, Line, Pane

KINDS = {
    "shot": "noise of the light itself, which differs from pixel to pixel",
    "shrunk": "a camera's noise in a photograph that was made smaller: it differs from pixel to pixel",
    "camera": "a camera's noise, which neighbouring pixels share",
    "phone": "noise that a phone has smoothed",
}
"""What each of :data:`noiseda.estimation.noise_looks.CANDIDATES` is, in words; others have their name alone."""

LEVELS = 10
"""Brightnesses at which noise is measured."""

DRAWS = 16
"""How often it is drawn: of what was found, some candidates are strong and some are weak."""

KERNELS = 6
"""Kernels that are shown, at most."""

EXAMPLES, RAINY = 5, 128
"""Pictures of rain that are shown, and their side in pixels."""

_SIDE, _BORDER = 32, 8  # of a patch of one brightness; what its neighbours reach into


def finding(like: Degradation | None, generator: torch.Generator) -> Finding | None:
    """Say and draw what photographs went through.

    Args:
        like: what was found.
        generator: source of the noise that is measured.

    Returns:
        None of anything but noise, rain, blur and JPEG, which alone are looked for.
    """
    if isinstance(like, Matched):
        return Finding(_noise_words(like), noise_chart(like, generator))
    if isinstance(like, MatchedBlur):
        widest = sorted(like.kernels, key=extent)
        count = min(KERNELS, len(widest))
        chosen = [widest[index * (len(widest) - 1) // max(1, count - 1)] for index in range(count)]
        words = f"They were blurred. What was found is a {like}. Each kernel below shows how a point was smeared."
        return Finding(words, pictures=[_kernel(kernel) for kernel in chosen])
    if isinstance(like, MatchedRain):
        grey = torch.full((3, RAINY, RAINY), 0.3)
        drawn = [Pane(f"example {number + 1}", like(grey, generator)) for number in range(EXAMPLES)]
        return Finding(f"They were taken in rain. What looks most like theirs is {like}.", pictures=drawn)
    if isinstance(like, MatchedJpeg):
        return Finding(f"They were compressed. What their files tell is {like}.")
    return None


def noise_chart(like: Degradation, generator: torch.Generator) -> Chart:
    """How strong noise is from dark to bright: its deviation on even grey, in the middle case and in most.

    Args:
        like: what adds it.
        generator: source of the noise.

    Returns:
        A chart in steps of 1/255; the band holds four draws of five.
    """
    levels = torch.linspace(0.05, 0.95, LEVELS)
    grey = levels.repeat_interleave(_SIDE).expand(3, 2 * _SIDE, -1).contiguous()
    found = torch.stack([_deviations(like(grey, generator)) for _ in range(DRAWS)])  # (DRAWS, LEVELS)
    tenths = [quantiles(values, n=10, method="inclusive") for values in (255 * found).T.tolist()]
    middle = [(255 * level, cuts[4]) for level, cuts in zip(levels.tolist(), tenths, strict=True)]
    low, high = ([cuts[index] for cuts in tenths] for index in (0, -1))
    return Chart(
        "Noise from dark to bright",
        [Line("deviation", middle, low, high)],
        x="brightness, of 255",
        y="of 255",
        note="The line is the middle case; the band holds four of five.",
    )


def _deviations(noisy: Tensor) -> Tensor:
    """Deviation of the noise at each brightness, over pixels and colours, without what is near the next one."""
    patches = noisy.reshape(*noisy.shape[:2], LEVELS, _SIDE)[:, _BORDER:-_BORDER, :, _BORDER:-_BORDER]
    found: Tensor = patches.var(dim=(1, 3)).mean(dim=0).sqrt()
    return found


def _noise_words(like: Matched) -> str:
    if like.measured:
        return f"Their noise differs from pixel to pixel, so that it could be measured. In figures: {like}."
    counts = Counter(kind for kind, _ in like.found)
    shares = [f"{count / len(like.found):.0%} {KINDS.get(kind, kind)}" for kind, count in counts.most_common()]
    if len(shares) == 1:
        words = f"Their noise is most like {KINDS.get(like.found[0][0], like.found[0][0])}."
    else:
        words = f"Their noise is most like a mixture: {'; '.join(shares)}."
    return f"{words} In figures: {like}."


def _kernel(kernel: Tensor) -> Pane:
    return Pane(f"{2 * extent(kernel):.1f} pixels wide", (kernel / kernel.max().clamp(min=1e-12))[None])
