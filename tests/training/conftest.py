from pathlib import Path

import pytest
import torch

from noiseda.adaptation import SyntheticOnly, Terms
from noiseda.estimation import noise_looks
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
    monkeypatch.setattr(noise_looks.simulate, "__defaults__", (2,))
    folder(tmp_path / "clean", count=2, height=200, width=200)
    noise = 20 * torch.randn(200, 200, 3, generator=torch.Generator().manual_seed(0)).numpy()
    for index in range(2):
        save(tmp_path / f"real/{index}.png", (CLEAN[:200, :200] + noise).clip(0, 255).astype("uint8"))
    return tmp_path


@pytest.fixture
def thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """At step 61 of 80 the weights become ten times as large, as if a step had been far too large."""
    losses, after_step = SyntheticOnly.losses, SyntheticOnly.after_step

    def losses_of(self: SyntheticOnly, terms: Terms, progress: float) -> dict[str, torch.Tensor]:
        self.blown = progress == 0.75
        return losses(self, terms, progress)

    def after(self: SyntheticOnly, progress: float) -> None:
        after_step(self, progress)
        if self.blown:
            with torch.no_grad():
                for weight in self.restorer.parameters():
                    weight.mul_(10.0)

    monkeypatch.setattr(SyntheticOnly, "losses", losses_of)
    monkeypatch.setattr(SyntheticOnly, "after_step", after)
