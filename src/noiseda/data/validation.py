"""The pairs that a run is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from noiseda.config import AdaptSettings
from noiseda.data.cache import Skipped
from noiseda.data.depth import shown
from noiseda.data.shards import ShardSet
from noiseda.errors import ImageError, UserError, none_usable
from noiseda.images import read
from noiseda.precision import FULL


def load_validation(
    settings: AdaptSettings, groups: Sequence[tuple[Path, ...]] | ShardSet, white: int = FULL
) -> tuple[list[tuple[Tensor, Tensor]], list[Skipped]]:
    """Read the validation pairs whole.

    Args:
        settings: the run's settings.
        groups: (input, target) files.
        white: the white level of those of 16 bits (:mod:`noiseda.data.depth`).

    Returns:
        The pairs, (C, H, W) each, grey ones as colour where their partner is; and the images that cannot be read.

    Raises:
        UserError: where none can be read.
    """
    assert not isinstance(groups, ShardSet), "validation pairs lie in a folder"
    pairs: list[tuple[Tensor, Tensor]] = []
    skipped: list[Skipped] = []
    for group in groups:
        try:
            x, y = shown([read(path, max_megapixels=settings.max_megapixels) for path in group], white)
        except ImageError as error:
            skipped += [Skipped(path, str(error)) for path in group if str(path) in str(error)]
            continue
        x, y = torch.broadcast_tensors(x, y)  # type: ignore[no-untyped-call]
        pairs.append((x, y))
    if groups and not pairs:
        why = none_usable(len(groups), "pair", (one.reason for one in skipped))
        raise UserError(f"--validation {settings.validation}: {why}")
    return pairs, skipped
