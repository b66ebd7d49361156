"""Restore images with a trained network: a tensor, a file, a folder."""

from noiseda.inference.files import RestoreReport, restore_files
from noiseda.inference.tiling import restore_tensor

__all__ = ["RestoreReport", "restore_files", "restore_tensor"]
