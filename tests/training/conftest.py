from pathlib import Path

import pytest

from tests.training.photographs import REAL, folder


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A place with a folder of clean and one of real photographs."""
    folder(tmp_path / "clean")
    folder(tmp_path / "real", REAL)
    return tmp_path
