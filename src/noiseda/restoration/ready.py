"""Ready weights: networks that come with noiseda, trained on freely licensed photographs (src/noiseda/ready)."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "ready"

READY = {"denoise": FOLDER / "denoise.safetensors"}
"""Names that may stand for a weights file -> the file."""


def located(path: Path) -> Path:
    """The file that a path stands for: of ready weights where it is one of their names, and no file has it.

    >>> located(Path("denoise")).name, located(Path("mine.safetensors")).name
    ('denoise.safetensors', 'mine.safetensors')
    """
    return READY[str(path)] if str(path) in READY and not path.exists() else path
