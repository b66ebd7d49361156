"""Restore an image that is held in memory: a tensor, an array or a Pillow image, each returned as it was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from noiseda.config import Precision
from noiseda.errors import ImageError, UserError
from noiseda.images import enlarged, enlarged_integers, to_uint8, to_uint16
from noiseda.inference.adjusted import adjusted
from noiseda.inference.tiling import Model, restore_tensor, scale_of

AnyImage = TypeVar("AnyImage", Tensor, NDArray[Any], PIL.Image.Image)

OVERSHOOT = 0.1
"""How far outside [0, 1] values may lie: a little, as resampling leaves them; -1..1 and 0..255 are other ranges."""

_BACK: dict[torch.dtype, Callable[[Tensor], Tensor]] = {torch.uint8: to_uint8, torch.uint16: to_uint16}
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_MODES = ("L", "RGB", "LA", "RGBA", "I;16")
_COUNTS = (1, 3, 4)  # of channels: grey, RGB, RGB and alpha
_TAKEN = "floats in [0, 1], uint8 in 0..255 or uint16 in 0..65535"

_Restored: TypeAlias = Callable[[Tensor], Tensor]


def restore(
    model: Model,
    image: AnyImage,
    *,
    tile: int | None = 768,
    overlap: int = 64,
    precision: Precision = "auto",
    self_ensemble: bool = False,
    strength: float = 1.0,
) -> AnyImage:
    """Restore one image, or a batch of equal size, as :func:`noiseda.inference.restore_tensor` does.

    Values are floats in [0, 1], or integers of 8 or 16 bits over their whole range. What is returned has the type, the
    shape and the order of axes of what was given; with a network for super-resolution it is ``scale`` times as high
    and wide. A channel of alpha is returned as it was, or enlarged by bicubic interpolation.

    Args:
        model: Network, as :func:`noiseda.load` gives it.
        image: A tensor (C, H, W), (B, C, H, W) or (H, W); an array of the same order or with its channels last,
            (H, W, C) or (B, H, W, C); or a Pillow image of mode L, RGB, LA, RGBA or I;16. C = 1, 3, or 4 with alpha.
        tile: Side in pixels of the tiles that larger images are cut into; None restores the whole image at once.
        overlap: Least number of pixels that neighbouring tiles share.
        precision: fp32, bf16, or auto: bf16 where the processor has it, but fp32 for integers of 16 bits.
        self_ensemble: Restore the image in its eight orientations and give the mean: eight times as slow.
        strength: How far to go from the image to what the network makes of it: 0 (not at all) to 1 (there) to 1.5
            (beyond it).

    Returns:
        A tensor on the same device, without gradient; an array; or a Pillow image with the same ``info``.

    Raises:
        UserError: Values of another type or range, or not finite; a shape that is none of these, or could be two of
            them; an empty image; a tile, overlap or strength that cannot work; no network.
    """
    if not callable(model):
        raise UserError(f"expected a network (noiseda.load gives one), then the image, not {_kind(model)} first")
    if precision not in ("auto", "fp32", "bf16"):
        raise UserError(f"precision must be auto, fp32 or bf16, not {precision!r}")

    scale = scale_of(model)
    network = adjusted(model, self_ensemble=self_ensemble, strength=strength)

    def restored(batch: Tensor) -> Tensor:
        """(B, C, H, W) of the image's own type -> the same, grown; an even number of channels ends with alpha."""
        exact: Precision = "fp32" if precision == "auto" and batch.dtype is torch.uint16 else precision
        opaque = batch.shape[1] - (batch.shape[1] % 2 == 0)
        found = restore_tensor(network, _pixels(batch)[:, :opaque], tile=tile, overlap=overlap, precision=exact)
        if not bool(found.isfinite().all()):
            raise UserError("the network's output holds values that are not numbers (NaN) or infinite")
        back = _BACK[batch.dtype](found) if batch.dtype in _BACK else found.to(batch.dtype)
        return back if opaque == batch.shape[1] else torch.cat([back, _grown(batch[:, opaque:], scale)], dim=1)

    if isinstance(image, Tensor):
        return _tensor(image, restored)
    if isinstance(image, np.ndarray):
        return _array(image, restored)
    if isinstance(image, PIL.Image.Image):
        return _pillow(image, restored)
    raise UserError(f"expected a tensor, a numpy array or a Pillow image, not {_kind(image)}")


def _tensor(image: Tensor, restored: _Restored) -> Tensor:
    if image.layout is not torch.strided or image.is_quantized or image.is_meta:
        raise UserError(f"expected a plain tensor with values, not one of {image.layout} on {image.device}")
    shape = tuple(image.shape)
    if len(shape) not in (2, 3, 4) or (len(shape) > 2 and shape[-3] not in _COUNTS):
        last = len(shape) in (3, 4) and shape[-1] in _COUNTS
        order = "2, 0, 1" if len(shape) == 3 else "0, 3, 1, 2"
        hint = f"; where its channels are last, give image.permute({order})" if last else ""
        raise UserError(f"expected a tensor (C, H, W), (B, C, H, W) or (H, W), C = 1, 3 or 4, not {shape}{hint}")
    batch = image.detach().reshape(*_ones(4 - len(shape)), *shape)
    found = restored(batch)
    return found.reshape(*shape[:-2], *found.shape[-2:])


def _array(image: NDArray[Any], restored: _Restored) -> NDArray[Any]:
    shape = image.shape
    if image.dtype.kind not in "uf" or image.dtype.itemsize > 8:
        raise UserError(f"expected {_TAKEN}, not {image.dtype}")
    if len(shape) not in (2, 3, 4):
        raise UserError(f"expected an array (H, W), (H, W, C), (C, H, W) or a batch of the latter two, not {shape}")
    first, last = (len(shape) > 2 and shape[axis] in _COUNTS for axis in (-3, -1))
    if len(shape) > 2 and first == last:
        why = "which could be (C, H, W) or (H, W, C): give a tensor, which is (C, H, W)" if first else "C = 1, 3 or 4"
        raise UserError(f"expected an array (H, W, C) or (C, H, W), or a batch of them, not {shape}, {why}")
    # A copy in the machine's own order of bytes: torch knows no other, and no negative strides.
    values = torch.from_numpy(np.array(image, dtype=image.dtype.newbyteorder("="), order="C", copy=True, subok=False))
    batch = values.reshape(*_ones(4 - len(shape)), *shape)
    if last:
        found = restored(batch.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return found.reshape(*shape[:-3], *found.shape[-3:]).contiguous().numpy()
    found = restored(batch)
    return found.reshape(*shape[:-2], *found.shape[-2:]).numpy()


def _pillow(image: PIL.Image.Image, restored: _Restored) -> PIL.Image.Image:
    if image.mode not in _MODES:
        raise UserError(
            f"expected a Pillow image of mode {', '.join(_MODES)}, not {image.mode}; image.convert('RGB') gives one"
        )
    try:
        samples = np.array(image)
    except (OSError, SyntaxError, ValueError) as error:  # it is read only now
        raise ImageError(f"the Pillow image cannot be read: {error}") from error
    batch = torch.from_numpy(samples.reshape(1, *samples.shape[:2], -1)).permute(0, 3, 1, 2)
    back = restored(batch).permute(0, 2, 3, 1)[0]
    found = PIL.Image.fromarray(back.reshape(*back.shape[:2], *samples.shape[2:]).contiguous().numpy())
    found.info = dict(image.info)
    return found


def _grown(alpha: Tensor, scale: int) -> Tensor:
    """A channel of alpha, (B, 1, H, W), as large as what is restored."""
    if scale == 1:
        return alpha
    return enlarged_integers(alpha, scale) if alpha.dtype in _BACK else enlarged(alpha, scale).to(alpha.dtype)


def _pixels(batch: Tensor) -> Tensor:
    """Float pixels in [0, 1], as far as values that may be pixels lie there.

    Raises:
        UserError: They are of another type, empty, not finite or in another range.
    """
    if batch.dtype not in (*_FLOATS, *_BACK):
        raise UserError(f"expected {_TAKEN}, not {str(batch.dtype).removeprefix('torch.')}")
    if 0 in batch.shape:
        raise UserError(f"the image is empty: {batch.shape[-2]} x {batch.shape[-1]} pixels")
    if batch.dtype in _BACK:
        return batch.to(torch.float32) / torch.iinfo(batch.dtype).max
    low, high = (float(value) for value in batch.aminmax())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError("the image holds values that are not numbers (NaN) or infinite")
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise UserError(f"the image's values lie in [{low:.4g}, {high:.4g}]; expected {_TAKEN}")
    return batch.to(torch.float32)


def _ones(count: int) -> tuple[int, ...]:
    return (1,) * count


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
