"""ST-LPIPS, a perceptual distance whose weights come with a package: what LPIPS's backbone is missing for offline."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.errors import UserError

PACKAGE = "stlpips_pytorch"
WEIGHTS = Path("weights") / "vST0.0" / "alex_shift_tolerant.pth"
SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
"""Of the weights as the package's version 0.0.2 has them."""

SMALLEST = 21
"""Height and width below which the last features are empty."""

_LAYERS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")


class StLpips:
    """Shift-tolerant learned perceptual distance (0: identical; lower is nearer).

    Ghildyal and Liu, "Shift-tolerant perceptual similarity metric", ECCV 2022: LPIPS with an AlexNet whose strides are
    blurred, trained again. Its figures are not LPIPS's and do not compare with them. Its weights are read from the
    package ``stlpips-pytorch``, no line of which is run; the network is written here from the paper and their names.

    Raises:
        UserError: The package is not installed, or its file is not the published one.
    """

    name = "st_lpips"

    def __init__(self) -> None:
        found = importlib.util.find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise UserError("ST-LPIPS needs its weights: pip install 'noiseda[st-lpips]' brings them")
        path = Path(found.submodule_search_locations[0]) / WEIGHTS
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
        self.sha256 = hashlib.sha256(content).hexdigest()
        if self.sha256 != SHA256:
            raise UserError(f"{path}: not the weights of ST-LPIPS as published (version 0.0.2)")
        self._state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)

    @property
    def settings(self) -> dict[str, object]:
        """All that determines a distance, for the report."""
        return {"measure": "ST-LPIPS, AlexNet", "weights": str(WEIGHTS), "sha256": self.sha256}

    def __call__(self, restored: Tensor, target: Tensor) -> float:
        """Distance of two images.

        Args:
            restored: (C, H, W) in [0, 1]; a grey image counts as three equal channels.
            target: (C, H, W) in [0, 1].

        Raises:
            UserError: An image is smaller than 21 x 21.
        """
        height, width = target.shape[-2:]
        if min(height, width) < SMALLEST:
            raise UserError(f"ST-LPIPS needs images of {SMALLEST}x{SMALLEST} or more, not {width}x{height}")
        with torch.inference_mode():
            pairs = zip(self._features(restored), self._features(target), strict=True)
            distances = [
                F.conv2d((x - y).square(), self._state[f"lin{layer}.model.1.weight"]).mean()
                for layer, (x, y) in enumerate(pairs)
            ]
        return float(torch.stack(distances).sum())

    def _features(self, image: Tensor) -> list[Tensor]:
        """What each of five layers makes of an image, of length 1 over its channels."""
        shift, scale = self._state["scaling_layer.shift"], self._state["scaling_layer.scale"]
        x = (2 * image.float().expand(3, -1, -1)[None] - 1 - shift) / scale
        found = []
        for layer, name in enumerate(_LAYERS):
            weight, bias = self._state[f"net.{name}.weight"], self._state[f"net.{name}.bias"]
            if layer in (1, 2):
                x = _blurred(F.max_pool2d(x, 3, stride=1))
            x = F.conv2d(x, weight, bias, padding=2 if layer < 2 else 1)
            x = F.relu(_blurred(x) if layer == 0 else x)
            found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found


def _blurred(x: Tensor) -> Tensor:
    """Every other pixel of (B, C, H, W), blurred by the binomial filter of three taps; two pixels are reflected."""
    taps = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])
