"""Restore images with a trained network: a tensor or an array, a file, a folder."""

from noiseda.inference.adjusted import adjusted
from noiseda.inference.files import RestoreReport, restore_files
from noiseda.inference.in_memory import restore
from noiseda.inference.tiling import Model, restore_tensor

__all__ = ["Model", "RestoreReport", "adjusted", "restore", "restore_files", "restore_tensor"]
