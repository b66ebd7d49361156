"""Packages that this one does without: imported where they are needed, with a plain sentence where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from noiseda import UserError

PACKAGES = {"bm3d": "bm3d", "cv2": "opencv-python-headless", "pywt": "PyWavelets"}
"""What is imported -> what is installed. All of them stand in the extra ``classical`` of this package."""


def optional(module: str, wanted_by: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: its name; a key of :data:`PACKAGES`.
        wanted_by: what cannot be done without it.

    Raises:
        UserError: where it is not installed; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{wanted_by} needs the package {PACKAGES[module]}, which is not installed: pip install "
            f"{PACKAGES[module]}, or all rivals with pip install -e 'research[classical]'"
        ) from error
