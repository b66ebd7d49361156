"""Small photographs, and zip files of them."""

import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pyvips
import skimage.data

from tests.formats.files import exif_block

PROFILE = pyvips.Image.black(1, 1).icc_export(output_profile="srgb").get("icc-profile-data")


def photograph(path: Path, height: int = 40, width: int = 48) -> Path:
    """A noisy piece of a photograph, in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clean = skimage.data.astronaut()[100 : 100 + height, 100 : 100 + width]
    noisy = clean + np.random.default_rng(0).normal(0, 15, clean.shape)
    PIL.Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return path


def deep(path: Path) -> Path:
    """The same with 16 bits, EXIF and a profile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.array(PIL.Image.open(photograph(path.with_name("eight.png")))).astype(np.uint16) * 257 + 3
    path.with_name("eight.png").unlink()
    image = pyvips.Image.new_from_array(samples, interpretation="rgb16").copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", PROFILE)
    image.set_type(pyvips.GValue.blob_type, "exif-data", b"Exif\0\0" + exif_block())
    image.write_to_file(str(path))
    return path


def packed(path: Path, content: dict[str, bytes | Path]) -> Path:
    """A zip file: name -> bytes, or a file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as into:
        for name, what in content.items():
            into.writestr(name, what if isinstance(what, bytes) else what.read_bytes())
    return path
