"""The shipped file stands alone: the adaptation, and all that it threw away, is not needed to use it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import noiseda
from noiseda.training import adapt
from tests.training.photographs import REAL, save, small

# Refuses to import what trains, then runs what follows.
WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if f"{name}.".startswith(("noiseda.adaptation.", "noiseda.diffusion.", "noiseda.training.")):
            raise ImportError(f"{name} is thrown away")

sys.meta_path.insert(0, Refuse())
"""


def run_without(code: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", WITHOUT + code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def weights(where: Path) -> Path:
    return adapt(small(where, task="deblur", seed=3)).weights


def test_it_says_what_it_is_and_holds_the_restorer_alone(weights: Path) -> None:
    with safe_open(weights, framework="pt") as file:
        metadata, keys = file.metadata(), set(file.keys())
        tensors = [file.get_tensor(key) for key in keys]
    assert metadata["format"] == "noiseda/1"
    assert metadata["architecture"] == "unet"
    assert json.loads(metadata["arguments"]) == {"width": 4, "depth": 2, "channels": 3}
    assert metadata["task"] == "deblur"
    assert metadata["value_range"] == "0..1"
    assert (metadata["strategy"], metadata["steps"], metadata["seed"]) == ("noise-space", "6", "3")
    assert {"noiseda", "commit", "torch"} <= metadata.keys()
    assert keys == set(noiseda.UNet(width=4, depth=2).state_dict())
    assert all(tensor.dtype == torch.float32 for tensor in tensors)


@pytest.mark.slow
def test_the_library_and_the_command_restore_where_the_adaptation_is_gone(weights: Path, tmp_path: Path) -> None:
    image = save(tmp_path / "photo.png", REAL[:40, :48])
    said = run_without(
        """
import noiseda, torch
from noiseda.cli import main
weights, image, out = sys.argv[1:]
model = noiseda.load(weights)
x = torch.rand(3, 21, 30, generator=torch.Generator().manual_seed(0))
print(noiseda.restore(model, x).double().sum().item())
assert main(["restore", weights, image, out]) == 0
for name in ("adapt", "NoiseSpace", "Denoiser"):
    try:
        getattr(noiseda, name)
    except ImportError:
        continue
    raise AssertionError(name)
gone = ("noiseda.adaptation.", "noiseda.diffusion.", "noiseda.training.")
assert not [name for name in sys.modules if f"{name}.".startswith(gone)]
""",
        str(weights),
        str(image),
        str(tmp_path / "restored.png"),
    )
    x = torch.rand(3, 21, 30, generator=torch.Generator().manual_seed(0))
    expected = noiseda.restore(noiseda.load(weights), x).double().sum().item()
    assert float(said.splitlines()[0]) == pytest.approx(expected, rel=1e-5)
    assert (tmp_path / "restored.png").exists()


def test_all_public_names_can_be_had() -> None:
    assert set(noiseda.__all__) == set(noiseda._HOMES)
    assert all(getattr(noiseda, name) is not None for name in noiseda.__all__)
    assert set(noiseda.__all__) <= set(dir(noiseda))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        noiseda.nonsense  # noqa: B018
