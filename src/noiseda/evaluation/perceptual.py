"""LPIPS, the learned perceptual distance; its backbone is never downloaded from here."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import torch
from torch import Tensor

from noiseda.errors import UserError
from noiseda.restoration.torchvision_schema import import_torchvision

BACKBONE = "alexnet-owt-7be5be79.pth"
"""torchvision's AlexNet; the digits are the beginning of its SHA-256."""

SMALLEST = 31
"""Height and width below which AlexNet's features are empty."""


class Lpips:
    """Learned perceptual image patch similarity with AlexNet's features (0: identical; lower is nearer).

    Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018; computed by
    torchmetrics, which brings the linear weights; the backbone is read from ``weights_dir``.

    Args:
        weights_dir: Folder as torch.hub keeps it, with ``checkpoints/alexnet-owt-7be5be79.pth``; by default its own.

    Raises:
        UserError: The backbone is not there or not loadable, or torchmetrics or torchvision is not installed.
    """

    name = "lpips"

    def __init__(self, weights_dir: Path | None = None) -> None:
        folder = Path(torch.hub.get_dir()) if weights_dir is None else weights_dir
        self.backbone = folder / "checkpoints" / BACKBONE
        self.sha256 = _check_backbone(self.backbone)
        try:
            import_torchvision()
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        except ImportError as error:
            raise UserError(
                f"torchmetrics cannot be imported ({error}); pip install 'noiseda[lpips]' brings it"
            ) from error
        before = torch.hub.get_dir()
        torch.hub.set_dir(folder)
        try:
            self._metric = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
        except (RuntimeError, OSError) as error:
            raise UserError(f"{self.backbone}: not the weights of torchvision's AlexNet: {error}") from error
        finally:
            torch.hub.set_dir(before)

    @property
    def settings(self) -> dict[str, object]:
        """All that determines a distance, for the report."""
        published = self.sha256.startswith(Path(BACKBONE).stem.rpartition("-")[2])
        return {"backbone": str(self.backbone), "sha256": self.sha256, "published_backbone": published}

    def __call__(self, restored: Tensor, target: Tensor) -> float:
        """Distance of two images.

        Args:
            restored: (C, H, W) in [0, 1]; a grey image counts as three equal channels.
            target: (C, H, W) in [0, 1].

        Raises:
            UserError: An image is smaller than 31 x 31.
        """
        height, width = target.shape[-2:]
        if min(height, width) < SMALLEST:
            raise UserError(f"AlexNet needs images of {SMALLEST}x{SMALLEST} or more, not {width}x{height}")
        with torch.inference_mode():
            distance = self._metric(restored.expand(3, -1, -1)[None], target.expand(3, -1, -1)[None])
        self._metric.reset()
        return float(distance)


def _check_backbone(path: Path) -> str:
    """The SHA-256 of a backbone that holds nothing but tensors; torch.hub would also run a pickle's code."""
    if not path.is_file():
        raise UserError(f"no AlexNet backbone at {path} (--weights-dir names the folder that holds checkpoints/)")
    try:
        torch.load(path, map_location="cpu", weights_only=True)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise UserError(f"{path}: cannot be loaded as a file of weights: {error}") from error
