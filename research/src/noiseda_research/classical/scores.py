"""How a restored image is scored: by a protocol of noiseda, blur at the best shift throughout."""

from __future__ import annotations

from itertools import product

from torch import Tensor

from noiseda.evaluation import PROTOCOLS, ProtocolName, comparable, psnr


def score(restored: Tensor, target: Tensor, protocol: ProtocolName) -> dict[str, float]:
    """Score an image.

    Where the protocol looks for the best shift, SSIM is taken at that shift too. The protocol itself takes it at none.

    Args:
        restored: (C, H, W) in [0, 1], C = 1 or 3.
        target: (C, H, W) in [0, 1].
        protocol: one of :data:`noiseda.evaluation.PROTOCOLS`.

    Returns:
        ``psnr`` and ``ssim``.

    Raises:
        UserError: where the image is too small to be scored.
    """
    by = PROTOCOLS[protocol]
    if by.max_shift is not None:
        restored, target = at_best_shift(*comparable(restored, target, by.bits), by.max_shift)
    found = by.score(restored, target)
    return {name: found[name] for name in ("psnr", "ssim")}


def at_best_shift(restored: Tensor, target: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """What two images (C, H, W) share at the whole shift, up to a reach in pixels, that has the best PSNR."""
    shifts = product(range(-reach, reach + 1), repeat=2)
    shared = ((_moved(restored, *shift), _moved(target, *(-step for step in shift))) for shift in shifts)
    return max(shared, key=lambda both: psnr(both[0][None], both[1][None]).item())


def _moved(image: Tensor, down: int, right: int) -> Tensor:
    """What is left of an image in the frame of another that it is moved over."""
    height, width = image.shape[-2:]
    return image[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
