"""Image file <-> float tensor in [0, 1]: the only place that knows 255 and 65535.

Whatever a file holds, the rest of the project sees float32 pixels (C, H, W) in [0, 1] with C = 1 (grey) or 3 (RGB). All
that is not a pixel (alpha, bit depth, ICC profile, EXIF) rides along in a :class:`Picture` and is written back. What is
too large to be held as floats stays a :class:`noiseda.raster.Raster`, of which a part at a time becomes pixels.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from noiseda import raster
from noiseda.errors import ImageError, UserError
from noiseda.listing import Listing, find_images, list_folder
from noiseda.precision import FULL
from noiseda.raster import FORMATS, SUFFIXES, Carried, Raster, format_of, read_bits, read_size

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Listing",
    "Picture",
    "enlarged",
    "enlarged_integers",
    "find_images",
    "fits",
    "from_integers",
    "from_samples",
    "from_uint8",
    "jpeg",
    "lay",
    "list_folder",
    "output_buffer",
    "read",
    "read_bits",
    "read_size",
    "to_uint8",
    "to_uint16",
    "write",
]


_REACH = 3
"""Pixels, at most, from which a bicubic interpolation takes its values on each side."""

log = logging.getLogger(__name__)
_said: set[tuple[Path, str]] = set()


@dataclass(frozen=True, eq=False)
class Picture(Carried):
    """An image and all that is needed to write it back: only ``pixels`` are meant to change.

    >>> Picture(torch.zeros(3, 4, 5)).bits
    8
    """

    pixels: Tensor
    """(C, H, W) float32 in [0, 1], C = 1 or 3, upright (orientation applied)."""

    alpha: Tensor | None = None
    """(1, H, W) uint8 or uint16 (as ``bits`` says), the file's own integers; the pixels are not multiplied by it."""

    bits: int = 8
    """Bits a sample: 8 or 16."""


def read(path: Path, *, max_megapixels: float = 200.0, say: bool = True) -> Picture:
    """Read an image file as :func:`noiseda.raster.read` does, as floats.

    Args:
        path: The file.
        max_megapixels: Refuse larger images, before any pixel is decoded.
        say: Warn of what is odd about the file, once for each file.

    Raises:
        ImageError: The file is missing, empty, damaged, too large, or not an image that can be kept in 8 or 16 bits.
    """
    found = raster.read(path, max_megapixels=max_megapixels)
    for note in found.notes if say else ():
        if (path, note) not in _said:
            _said.add((path, note))
            log.warning("%s: %s", path, note)
    alpha = found.samples[:, :, found.channels :]
    return Picture(
        pixels=from_samples(found.samples[:, :, : found.channels]).contiguous(),
        alpha=torch.from_numpy(alpha.transpose(2, 0, 1).copy()) if alpha.size else None,
        bits=found.bits,
        **found.carried(),
    )


def write(picture: Picture, path: Path) -> None:
    """Write a picture in the format its suffix names; the file appears whole or not at all.

    PNG and TIFF (deflate) are lossless and keep 8 or 16 bits. WebP is lossless at 8 bits and has no grey, so that grey
    is written as three equal channels. JPEG is 8 bits at quality 95 without chroma subsampling and has no alpha: the
    picture is laid over white.

    Args:
        picture: Pixels (1 or 3, H, W) in [0, 1], and what the file shall hold beside them.
        path: The file.

    Raises:
        ImageError: Another suffix; a folder that is missing or read-only; a full disk; pixels that are not numbers.
    """
    raster.refuse_in_fork("writing")
    bits, flat = _holds(path, picture.bits)
    try:
        if picture.pixels.ndim != 3 or picture.pixels.shape[0] not in (1, 3):
            raise UserError(f"expected pixels of shape (1 or 3, H, W), not {tuple(picture.pixels.shape)}")
        samples = _integers(picture.pixels.detach().cpu(), picture.alpha, picture.bits, bits, flat)
    except UserError as error:
        raise ImageError(f"{path}: {error}") from error
    raster.write(Raster(np.ascontiguousarray(samples), **picture.carried()), path)


def output_buffer(source: Raster, path: Path, scale: int = 1) -> Raster:
    """Where the restored pixels of an image are laid, to be written to a file of this name.

    That is the image itself where it keeps its size and the file can hold its bits and its alpha: rows of it may be
    replaced as soon as they are not needed any more.

    Args:
        source: The image.
        path: The file.
        scale: How many times as high and wide it becomes. Blocks of the file that state its size state the new one.

    Raises:
        ImageError: The suffix names no format.
    """
    bits, flat = _holds(path, source.bits)
    bands = source.channels if flat else source.samples.shape[2]
    if (scale, bits, bands) == (1, source.bits, source.samples.shape[2]):
        return source
    height, width = (side * scale for side in source.samples.shape[:2])
    samples = np.empty((height, width, bands), np.uint16 if bits == 16 else np.uint8)
    target = Raster(samples, **source.carried())
    return target if scale == 1 else replace(target, extras=source.extras.resized(height, width))


def lay(pixels: Tensor, top: int, source: Raster, target: Raster) -> None:
    """Quantise rows of restored pixels into a :func:`output_buffer`, with the image's own alpha (or laid over white).

    The alpha of an image that becomes larger is :func:`enlarged`, strip by strip as the pixels are.

    Args:
        pixels: (C, h, W) in [0, 1], on the CPU.
        top: Which row of the output_buffer is their first; of a larger one, at the edge of a pixel of the image.
        source: The image.
        target: Its output_buffer.

    Raises:
        UserError: A value is not a number (NaN).
    """
    rows = slice(top, top + pixels.shape[1])
    scale = target.samples.shape[0] // source.samples.shape[0]
    mask = source.samples[:, :, source.channels :]
    alpha = torch.from_numpy(mask[rows]).permute(2, 0, 1) if scale == 1 else _strip(mask, rows, scale)
    flat = target.samples.shape[2] == target.channels
    target.samples[rows] = _integers(pixels, alpha if alpha.numel() else None, source.bits, target.bits, flat)


def enlarged(pixels: Tensor, scale: int) -> Tensor:
    """Enlarge images by bicubic interpolation, as Pillow and MATLAB have it (Keys' kernel, a = -0.5).

    >>> enlarged(torch.ones(1, 2, 3), 2).shape
    torch.Size([1, 4, 6])

    Args:
        pixels: (C, H, W) or (B, C, H, W) in [0, 1].
        scale: how many times as high and wide they become.

    Returns:
        float32 in [0, 1].
    """
    if scale == 1:
        return pixels
    batch = pixels.to(torch.float32) if pixels.ndim == 4 else pixels.to(torch.float32)[None]
    # Antialiasing changes nothing when images grow, but for a: without it, torch takes -0.75.
    found = F.interpolate(batch, scale_factor=scale, mode="bicubic", antialias=True).clamp_(0, 1)
    return found if pixels.ndim == 4 else found[0]


def enlarged_integers(samples: Tensor, scale: int) -> Tensor:
    """The same for uint8 or uint16 over their whole range."""
    found = enlarged(from_integers(samples), scale)
    return to_uint16(found) if samples.dtype is torch.uint16 else to_uint8(found)


def _strip(mask: NDArray[Any], rows: slice, scale: int) -> Tensor:
    """Some rows of an enlarged mask, (H, W, 0 or 1) -> (0 or 1, h, W * scale), without enlarging the others."""
    if not mask.shape[2]:
        return torch.from_numpy(mask[:0]).permute(2, 0, 1)
    first = max(rows.start // scale - _REACH, 0)
    last = -(-rows.stop // scale) + _REACH
    near = torch.from_numpy(mask[first:last]).permute(2, 0, 1)
    return enlarged_integers(near, scale)[:, rows.start - first * scale : rows.stop - first * scale]


def from_samples(samples: NDArray[Any]) -> Tensor:
    """(H, W, C) uint8 or uint16 -> (C, H, W) float32 in [0, 1], channels last in memory."""
    return torch.from_numpy(samples).permute(2, 0, 1).to(torch.float32).div_(np.iinfo(samples.dtype).max)


def to_uint8(pixels: Tensor) -> Tensor:
    """[0, 1] -> {0, ..., 255}, any shape: clamped, then rounded (halves upwards).

    >>> to_uint8(torch.tensor([-1.0, 0.0, 0.5, 1.0, 7.0])).tolist()
    [0, 0, 128, 255, 255]

    Args:
        pixels: Floats of any shape.

    Raises:
        UserError: A value is not a number (NaN); infinities are clamped.
    """
    return _quantise(pixels, 255).to(torch.uint8)


def to_uint16(pixels: Tensor) -> Tensor:
    """[0, 1] -> {0, ..., 65535}, as :func:`to_uint8`."""
    return _quantise(pixels, 65535).to(torch.uint16)


def from_uint8(samples: Tensor) -> Tensor:
    """{0, ..., 255} -> float32 in [0, 1], any shape: the inverse of :func:`to_uint8`.

    >>> from_uint8(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]

    Args:
        samples: Integers of 8 bits.
    """
    return samples.to(torch.float32) / 255


def from_integers(samples: Tensor, white: int | None = None) -> Tensor:
    """uint8 or uint16 -> float32 in [0, 1], any shape.

    >>> from_integers(torch.tensor([0, 13107, 65535], dtype=torch.uint16)).tolist()
    [0.0, 0.20000000298023224, 1.0]

    Args:
        samples: {0, ..., 255} or {0, ..., 65535}, as their type says.
        white: the value that becomes 1; by default the largest of the type.
    """
    return samples.to(torch.float32) / (torch.iinfo(samples.dtype).max if white is None else white)


def fits(images: Iterable[Tensor], white: int) -> bool:
    """Whether no value of some images in [0, 1] goes beyond a white level, which is given in steps of 16 bits.

    >>> fits([torch.tensor([0.0, 0.0624])], 4095), fits([torch.tensor([0.5])], 4095)
    (True, False)
    """
    return all(FULL * float(image.max()) < white + 0.5 for image in images)


def jpeg(pixels: Tensor, quality: int, colours: str = "4:2:0") -> Tensor:
    """What JPEG leaves of an image.

    Args:
        pixels: (C, H, W) in [0, 1], C = 1 or 3.
        quality: From 1 (worst) to 100.
        colours: chroma subsampling: 4:2:0, as cameras use, or 4:4:4, which is none.

    Returns:
        (C, H, W) float32 in [0, 1], on the CPU.
    """
    samples = to_uint8(pixels.detach().cpu())
    image = PIL.Image.fromarray(samples.permute(1, 2, 0).squeeze(2).numpy())
    encoded = io.BytesIO()
    # Not libvips, whose threads do not survive the fork of a data loader's workers.
    image.save(encoded, "JPEG", quality=quality, subsampling=colours)
    decoded = np.array(PIL.Image.open(encoded)).reshape(*samples.shape[1:], -1)
    return from_uint8(torch.from_numpy(decoded).permute(2, 0, 1).contiguous())


def _quantise(pixels: Tensor, top: int) -> Tensor:
    if pixels.isnan().any():
        raise UserError("the pixels hold values that are not numbers (NaN)")
    return pixels.to(torch.float32).clamp(0, 1).mul(top).add_(0.5).floor_()


def _holds(path: Path, bits: int) -> tuple[int, bool]:
    """Bits a sample of a file of this name, and whether it is without alpha."""
    name = format_of(path)
    return bits if name in ("png", "tiff") else 8, name == "jpeg"


def _integers(pixels: Tensor, alpha: Tensor | None, bits: int, wanted: int, flat: bool) -> NDArray[Any]:
    """(C, H, W) pixels and their alpha of some bits -> (H, W, C [+ 1]) samples of the wanted bits."""
    if alpha is not None and flat:
        opacity = alpha.to(torch.float32) / (2**bits - 1)
        pixels, alpha = opacity * pixels + (1 - opacity), None
    samples = to_uint16(pixels) if wanted == 16 else to_uint8(pixels)
    if alpha is not None:
        opacity = alpha.to(torch.float64) * ((2**wanted - 1) / (2**bits - 1))
        samples = torch.cat([samples, opacity.round().to(samples.dtype)])
    found: NDArray[Any] = samples.permute(1, 2, 0).numpy()
    return found
