from pathlib import Path

import pytest
import torch

from noiseda.data import matching
from tests.training.photographs import CLEAN, REAL, folder, save


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A place with a folder of clean and one of real photographs."""
    folder(tmp_path / "clean")
    folder(tmp_path / "real", REAL)
    return tmp_path


@pytest.fixture
def noisy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clean and real photographs large enough to have flat places; few simulations."""
    monkeypatch.setattr(matching.simulate, "__defaults__", (2,))
    folder(tmp_path / "clean", count=2, height=200, width=200)
    noise = 20 * torch.randn(200, 200, 3, generator=torch.Generator().manual_seed(0)).numpy()
    for index in range(2):
        save(tmp_path / f"real/{index}.png", (CLEAN[:200, :200] + noise).clip(0, 255).astype("uint8"))
    return tmp_path
