"""What comes with noiseda (src/noiseda/ready): weights trained on freely licensed photographs, and such photographs."""

from __future__ import annotations

from pathlib import Path

from noiseda.tasks import INCLUDED, TASKS

FOLDER = Path(__file__).resolve().parent.parent / "ready"

READY = {task.ready: FOLDER / f"{task.ready}.safetensors" for task in TASKS.values() if task.ready}
"""Names that may stand for a weights file -> the file."""


def located(path: Path) -> Path:
    """The file that a path stands for: of ready weights where it is one of their names, and no file has it.

    >>> located(Path("denoise")).name, located(Path("mine.safetensors")).name
    ('denoise.safetensors', 'mine.safetensors')
    """
    return READY[str(path)] if str(path) in READY and not path.is_file() else path


def included(path: Path) -> Path:
    """The folder that a path stands for: that of noiseda's clean photographs, by their name.

    >>> included(Path("noiseda:clean")).name, included(Path("mine")).name
    ('clean', 'mine')
    """
    return FOLDER / "clean" if str(path) == INCLUDED else path
