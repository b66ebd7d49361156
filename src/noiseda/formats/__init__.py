"""What image files hold beside their samples, byte for byte: read from each format, and put into each."""

from __future__ import annotations

from dataclasses import replace

from noiseda.formats import jpeg, png, tiff, webp
from noiseda.formats.extras import DENSITY, Buffer, Extras, mentioned

__all__ = ["Extras", "fitted", "orientation", "read"]


def read(content: Buffer, name: str, place: int = 0) -> Extras:
    """What a file holds beside its samples.

    Args:
        content: The file, or a memory map of it.
        name: Its format: png, jpeg, tiff or webp.
        place: In a TIFF file, where the directory of the page stands that is meant; 0 for the first.
    """
    if name == "tiff":
        return tiff.read(content, place)
    return {"png": png.read, "jpeg": jpeg.read, "webp": webp.read}[name](content)


def orientation(content: Buffer, name: str, place: int = 0) -> int:
    """How the samples of a file must be turned to be upright: EXIF's values, 1 to 8; :func:`read` finds the same.

    Args:
        content: The file, or a memory map of it.
        name: Its format.
        place: In a TIFF file, where the directory of the page stands that is meant; 0 for the first.
    """
    if name == "tiff":
        return tiff.orientation(content, place)
    if name == "jpeg":
        return jpeg.orientation(content)
    return read(content, name).orientation


def fitted(extras: Extras, source: str, target: str) -> tuple[Extras, list[str]]:
    """What of it a file of a format can hold, and plain sentences about what it cannot.

    Args:
        extras: What the image came with. Colours are dropped that native blocks state: no profile is needed then.
        source: The format it came from.
        target: The format it goes to.
    """
    lost = [] if source == target else [name for name, _ in extras.native if name not in (DENSITY, "colours")]
    own = source == target
    kept = replace(
        extras, native=extras.native if own else (), colour=None if own and target != "webp" else extras.colour
    )
    if target == "webp":
        lost += ["IPTC records"] if kept.iptc or kept.photoshop else []
        kept = replace(kept, iptc=None, photoshop=None)
        if kept.exif is None and kept.resolution is not None:
            kept = replace(kept, exif=tiff.resolution_block(kept.resolution))
    if target == "jpeg":
        long = jpeg.too_long(kept)
        lost += [f"{name} of more than 64 kB" for name in long]
        kept = replace(kept, exif=None if "EXIF" in long else kept.exif, xmp=None if "XMP" in long else kept.xmp)
    return kept, [f"{mentioned(lost)} cannot be kept in {NAMES[target]}"] if lost else []


NAMES = {"png": "PNG", "jpeg": "JPEG", "tiff": "TIFF", "webp": "WebP"}
"""Format -> what a person calls it."""
