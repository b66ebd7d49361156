"""What a run finds before its first step: images, and what the real ones went through."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from noiseda.data.batches import Domains
from noiseda.data.cache import Skipped
from noiseda.data.degradations import Degradation
from noiseda.data.depth import Depth
from noiseda.training.build import Listed


@dataclass(frozen=True)
class Found:
    """What there is to train on.

    Attributes:
        groups: the images by flag.
        domains: where samples are drawn from.
        skipped: images that cannot be used.
        validation: pairs of ``--validation``.
        like: what the real photographs went through, where that is known.
        deep: how deep they are.
        others: what the folders hold beside images, a line each.
    """

    groups: Listed
    domains: Domains
    skipped: list[Skipped]
    validation: list[tuple[Tensor, Tensor]]
    like: Degradation | None
    deep: Depth
    others: list[str]
