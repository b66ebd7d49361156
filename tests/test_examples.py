"""Each example runs, uses public names alone, and is short."""

import ast
import importlib.util
from pathlib import Path

import pytest
import torch

import noiseda
from tests.training.photographs import REAL, folder

GENERATOR = torch.Generator().manual_seed(0)
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def example(name):
    return module(next(path for path in EXAMPLES if path.stem == name))


@pytest.fixture
def places(tmp_path):
    folder(tmp_path / "clean")
    folder(tmp_path / "real", REAL)
    return str(tmp_path / "clean"), str(tmp_path / "real"), str(tmp_path / "out")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_uses_public_names(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    tree = ast.parse(text)
    imported = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [alias.name for node in imported if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in imported if isinstance(node, ast.ImportFrom)]
    assert [name for name in names if name.startswith("noiseda")] == ["noiseda"]
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "noiseda"
    }
    assert used <= set(noiseda.__all__)


def test_a_network_of_ones_own(places):
    adapted = example("own_network").main(*places, steps=4, patch=16)
    x = torch.rand(1, 3, 20, 24)
    assert adapted(x).shape == x.shape
    assert not torch.equal(adapted(x), x)


@pytest.mark.parametrize(
    ("name", "term"), [("own_objective", "variation"), ("own_degradation", "teacher"), ("own_predictor", "noise")]
)
def test_what_is_handed_in_is_trained_with(places, name, term):
    summary = example(name).main(*places, steps=4, patch=16)
    assert summary.steps == 4
    assert summary.terms[term] > 0
    assert noiseda.load(summary.weights).channels == 3


def test_a_modality_of_ones_own(tmp_path):
    found = example("readings")
    time = torch.linspace(0, 1, 700)
    truth = [0.5 + 0.3 * torch.sin(2 * torch.pi * (3 + k) * time) for k in range(8)]
    for name, readings in (("clean", truth[:6]), ("real", [found.drift(one[None], GENERATOR)[0] for one in truth[6:]])):
        (tmp_path / name).mkdir()
        for index, values in enumerate(readings):
            found.Readings().write(noiseda.Signal(values[None]), tmp_path / name / f"{index}.txt")
    written = found.main(*(str(tmp_path / name) for name in ("clean", "real", "out")), steps=60)
    for path, target in zip(written, truth[6:], strict=True):
        restored, degraded = (found.Readings().read(one).values for one in (path, tmp_path / "real" / path.name))
        assert (restored - target).square().mean() < 0.7 * (degraded - target).square().mean()


@pytest.mark.slow
def test_a_signal_of_one_dimension(tmp_path):
    found = example("one_dimensional")
    model = found.main(str(tmp_path / "out"), steps=60)
    generator = torch.Generator().manual_seed(5)
    target = torch.stack([found.clean(generator) for _ in range(16)])
    degraded = torch.stack([found.real(one, generator) for one in target])
    with torch.no_grad():
        restored = model(degraded)
    before, after = ((one - target).square().mean() for one in (degraded, restored))
    assert after < 0.8 * before
