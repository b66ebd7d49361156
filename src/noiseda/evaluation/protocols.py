"""What each field means by "PSNR" and "SSIM": an explicit table, so that a score is compared with its own kind only.

Common to all: files are measured at 8 bits (clamped, rounded), at 16 where all of them have 16; no border is cut off
before measuring, each image is scored on its own and the scores are then averaged. A grey image is measured as it is,
on its one channel; beside an RGB image it counts as three equal channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from noiseda.evaluation.metrics import best_shift_psnr, luma, psnr, ssim_gaussian, ssim_uniform, ssim_volume
from noiseda.images import from_integers, to_uint8, to_uint16

ProtocolName = Literal["rgb", "sidd", "derain-y", "deblur"]


@dataclass(frozen=True)
class Protocol:
    """How the images of one field are scored."""

    name: ProtocolName
    """Its name on the command line."""

    sentence: str
    """What goes into a report, so that a reader knows what was measured."""

    ssim: Callable[[Tensor, Tensor], Tensor]
    """The kind of SSIM: (B, C, H, W) twice -> (B,)."""

    colour: Literal["rgb", "y"] = "rgb"
    """The channels that are compared: RGB, or the luma of BT.601 (grey images stay as they are)."""

    max_shift: int | None = None
    """If set, PSNR is also taken at the best integer shift up to this many pixels."""

    bits: int = 8
    """Bits a sample that the images are rounded to before they are measured."""

    border: int = 0
    """Pixels cut off on each side before measuring."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the scores, in the order of :meth:`score`."""
        return ("psnr", "ssim") if self.max_shift is None else ("psnr", "ssim", "psnr_best_shift")

    @property
    def settings(self) -> dict[str, object]:
        """All that determines a score, for the report."""
        return {
            "name": self.name,
            "sentence": self.sentence,
            "colour": self.colour,
            "ssim": self.ssim.__name__,
            "data_range": 2**self.bits - 1,
            "bits": self.bits,
            "border": self.border,
            "max_shift": self.max_shift,
        }

    def score(self, restored: Tensor, target: Tensor) -> dict[str, float]:
        """Score one image.

        Args:
            restored: (C, H, W) in [0, 1], C = 1 or 3.
            target: (C, H, W) in [0, 1], of the same height and width.

        Returns:
            A score for each of :attr:`columns`; PSNR in dB, infinite for identical images.

        Raises:
            UserError: The image is smaller than the window of the SSIM, or than the shift.
        """
        x, y = (image.unsqueeze(0) for image in comparable(restored, target, self.bits))
        if self.colour == "y" and x.shape[1] == 3:
            x, y = luma(x), luma(y)
        scores = {"psnr": psnr(x, y).item(), "ssim": self.ssim(x, y).item()}
        if self.max_shift is not None:
            scores["psnr_best_shift"] = best_shift_psnr(x, y, self.max_shift).item()
        return scores


PROTOCOLS: Mapping[ProtocolName, Protocol] = {
    "rgb": Protocol(
        name="rgb",
        sentence="PSNR over the RGB channels; SSIM with an 11x11 Gaussian window (std 1.5), mean of the channels.",
        ssim=ssim_gaussian,
    ),
    "sidd": Protocol(
        name="sidd",
        sentence="PSNR over the RGB channels; SSIM as MATLAB's ssim on the H x W x 3 array, taken as a volume.",
        ssim=ssim_volume,
    ),
    "derain-y": Protocol(
        name="derain-y",
        sentence="PSNR and SSIM (11x11 Gaussian window, std 1.5) on the Y of BT.601 (16 to 235, not rounded).",
        ssim=ssim_gaussian,
        colour="y",
    ),
    "deblur": Protocol(
        name="deblur",
        sentence=(
            "PSNR over the RGB channels, also at the best whole shift of up to 5 pixels; SSIM with scikit-image's "
            "defaults (7x7 box window), mean of the channels."
        ),
        ssim=ssim_uniform,
        max_shift=5,
    ),
}
"""Every protocol by its name."""


def comparable(restored: Tensor, target: Tensor, bits: int = 8) -> tuple[Tensor, Tensor]:
    """Two images as they are measured: rounded to 8 or 16 bits, and of the same number of channels.

    Args:
        restored: (C, H, W) in [0, 1], C = 1 or 3.
        target: (C, H, W) in [0, 1].
        bits: 8 or 16.

    Returns:
        Both, (C, H, W) with the larger C.
    """
    channels = max(restored.shape[0], target.shape[0])
    rounded = to_uint16 if bits == 16 else to_uint8
    x, y = (from_integers(rounded(image)).expand(channels, -1, -1) for image in (restored, target))
    return x, y
