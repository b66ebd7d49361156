"""A node for ComfyUI: restore the pictures of a workflow with ready weights, or with weights of one's own.

A file ``noiseda.py`` in the folder ``custom_nodes`` of ComfyUI makes it known::

    from noiseda.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

ComfyUI itself is not needed to import this module: its names for what a node is are plain attributes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from noiseda.errors import UserError
from noiseda.inference import restore
from noiseda.restoration import Restorer, load
from noiseda.restoration.ready import READY

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]


class Restore:
    """Takes away noise, rain, blur or what JPEG left."""

    DESCRIPTION = "Takes away noise, rain, blur or JPEG blocks, with noiseda's ready weights or with yours."
    CATEGORY = "image/restoration"
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[Any, ...]]]:  # noqa: N802 - ComfyUI's name
        """What the node has: pictures, ready weights by name, how far to go, and a file that takes their place."""
        return {
            "required": {
                "image": ("IMAGE",),
                "ready": (list(READY),),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.5, "step": 0.05}),
            },
            "optional": {
                "weights": ("STRING", {"default": "", "tooltip": "a file of yours, in place of the ready ones"})
            },
        }

    def run(self, image: Tensor, ready: str, strength: float = 1.0, weights: str = "") -> tuple[Tensor]:
        """Restore a batch of pictures.

        Args:
            image: (B, H, W, 3) in [0, 1], as ComfyUI has them.
            ready: a name of ready weights.
            strength: how far to go, from 0 (not at all) over 1 to 1.5 (beyond).
            weights: a file of weights in their place; none where empty.

        Returns:
            (B, H * scale, W * scale, 3) in [0, 1], on the same device.

        Raises:
            UserError: a name or a file that is not there; anything but three channels.
        """
        if image.ndim != 4 or image.shape[-1] != 3:
            raise UserError(f"expected pictures (B, H, W, 3), not {tuple(image.shape)}")
        if ready not in READY:
            raise UserError(f"ready must be one of {', '.join(READY)}, not {ready!r}")
        path = Path(weights.strip()) if weights.strip() else READY[ready]
        network = _loaded(path, path.stat().st_mtime_ns if path.is_file() else 0).to(image.device)
        restored = restore(network, image.movedim(-1, 1).clamp(0, 1), strength=strength)
        return (restored.clamp(0, 1).movedim(1, -1).contiguous(),)


@lru_cache(maxsize=2)
def _loaded(path: Path, _changed: int) -> Restorer:
    """A network, read once as long as its file stays what it is."""
    return load(path).eval()


NODE_CLASS_MAPPINGS = {"NoisedaRestore": Restore}
"""The nodes, by the names that workflows know them by."""

NODE_DISPLAY_NAME_MAPPINGS = {"NoisedaRestore": "Restore (noiseda)"}
"""What people read."""
