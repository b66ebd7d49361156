"""Colour models: what libvips reads -> grey or RGB, and grey or RGB -> what a format can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyvips
from numpy.typing import NDArray

from noiseda.errors import ImageError
from noiseda.formats import tiff
from noiseda.formats.colour import Colour

VipsImage: TypeAlias = Any
"""A libvips image; it ships no types."""


def plain(image: VipsImage, meaning: tiff.Photometric | None, path: Path) -> tuple[VipsImage, VipsImage | None]:
    """Split off alpha and bring the colours to 8- or 16-bit grey or RGB.

    Args:
        image: What libvips makes of a file; of a TIFF file in Lab, the samples as they stand.
        meaning: What the samples of a TIFF file mean.
        path: The file, for the error.

    Raises:
        ImageError: The samples are not integers of 8 or 16 bits, or not grey or RGB.
    """
    alpha, channels = None, image.bands
    if meaning is not None and meaning.kind == tiff.YCBCR and (meaning.samples, image.bands) == (3, 4):
        image = image[:3]  # libtiff's way for subsampled colours adds an alpha
    if image.hasalpha():
        image, alpha = image[:-1], image[-1]
    if image.format not in ("uchar", "ushort"):
        raise ImageError(f"{path}: has {image.format} samples; expected 8- or 16-bit unsigned integers")
    wide = image.format == "ushort"
    if meaning is not None and meaning.kind in tiff.LAB:
        image = _from_lab(image, meaning.kind == 9, wide)
    elif meaning is not None and meaning.kind == tiff.YCBCR and meaning.plain and image.bands == 3:
        image = _from_ycbcr(image, meaning, wide)
    elif image.interpretation == "cmyk":
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=16 if wide else 8)
    elif image.interpretation not in ("b-w", "grey16", "srgb", "rgb16", "rgb", "multiband"):
        image = image.colourspace("rgb16" if wide else "srgb")
    if image.bands not in (1, 3):
        raise ImageError(f"{path}: has {_counted(channels, meaning)}; expected grey or RGB, with or without alpha")
    return image, alpha


def _counted(channels: int, meaning: tiff.Photometric | None) -> str:
    """How many channels an image has, and what is odd about that."""
    grey = meaning is not None and meaning.kind in (0, 1) and meaning.samples > 1
    return f"{channels} channels" + (", though its header says grey" if grey else "")


def _from_lab(image: VipsImage, unsigned: bool, wide: bool) -> VipsImage:
    """CIELab (a and b signed) or ICCLab (moved up by half their range), under D50 -> sRGB; one channel is L alone."""
    full = 65536 if wide else 256
    light = image[0] * (100 / (65280 if wide and unsigned else full - 1))
    hues = image[1:] if image.bands == 3 else light.bandjoin(light) * 0
    if image.bands == 3:
        hues = ((hues if unsigned else (hues + full / 2) % full) - full / 2) * (256 / full)
    lab = light.bandjoin(hues).copy(interpretation="lab")
    made = lab.icc_export(output_profile="srgb", pcs="lab", intent="relative", depth=16 if wide else 8)
    made.remove("icc-profile-data")
    return made if image.bands == 3 else made[1]


def _from_ycbcr(image: VipsImage, meaning: tiff.Photometric, wide: bool) -> VipsImage:
    """YCbCr as TIFF 6.0, section 21, has it, one colour a pixel -> RGB."""
    top, half = (65535, 32768) if wide else (255, 128)
    stated = meaning.reference or (0, top, half, top, half, top)
    if wide and max(stated) <= 255:  # as writers that only know 8 bits put it
        stated = tuple(half if value == 128 else value * 257 for value in stated)
    black, white = stated[::2], stated[1::2]
    spans = [max(1e-9, abs(w - b)) for b, w in zip(black, white, strict=True)]
    scale = [area / span for area, span in zip((top, top - half, top - half), spans, strict=True)]
    red, green, blue = meaning.coefficients
    of_cr, of_cb = 2 - 2 * red, 2 - 2 * blue
    matrix = [[1, 0, of_cr], [1, -blue * of_cb / green, -red * of_cr / green], [1, of_cb, 0]]
    full = image.linear(scale, [-b * factor for b, factor in zip(black, scale, strict=True)])
    made = full.recomb(pyvips.Image.new_from_array(matrix)).rint().cast(image.format)
    return made.copy(interpretation="rgb16" if wide else "srgb")


def encodable(
    samples: NDArray[Any], icc: bytes | None, colour: Colour | None, name: str
) -> tuple[VipsImage, list[str]]:
    """The libvips image of some samples, which shares their memory, in colours that a format can hold.

    Args:
        samples: (H, W, C), C = 1 (grey) to 4 (RGB with alpha), uint8 or uint16.
        icc: Their profile.
        colour: What else is known of their colours, where the format cannot say it but by a profile.
        name: The format: png, jpeg, tiff or webp.

    Returns:
        The image, and what that costs, in plain sentences.
    """
    grey, rgb = ("grey16", "rgb16") if samples.dtype == np.uint16 else ("b-w", "srgb")
    channels = 1 if samples.shape[2] < 3 else 3
    image = pyvips.Image.new_from_array(samples).copy(interpretation=grey if channels == 1 else rgb)
    lost: list[str] = []
    if icc is None and colour is not None and not colour.is_srgb:
        icc = colour.profile(channels)
        if colour.is_hdr and icc is not None:
            lost.append("its HDR colours are only described by a profile there; PNG keeps them as they are")
    if icc is None:
        return image, lost
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    if name == "webp" and channels == 1 and icc[16:20] == b"GRAY":
        lost.append("WebP has no grey profiles: the picture was converted to sRGB")
        image = _grey_to_srgb(image)
    return image, lost


def _grey_to_srgb(image: VipsImage) -> VipsImage:
    made = image[0].copy(interpretation="b-w").icc_transform("srgb", embedded=True, intent="relative")
    made = made.copy(interpretation="srgb")
    made.remove("icc-profile-data")
    return made if image.bands == 1 else made.bandjoin(image[1])
