"""Restore images with a trained network: a tensor or an array, a file, a folder."""

from noiseda.inference.files import RestoreReport, restore_files
from noiseda.inference.in_memory import restore
from noiseda.inference.tiling import restore_tensor

__all__ = ["RestoreReport", "restore", "restore_files", "restore_tensor"]
