"""Noise predictors in files: what was written comes back, and anything else is refused in words."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from noiseda.diffusion import Schedule, build_predictor
from noiseda.diffusion.catalogue import PREDICTORS
from noiseda.diffusion.sensitivity import sensitivity
from noiseda.diffusion.stored import JUDGE, Predictor, load_predictor, located, save_predictor
from noiseda.diffusion_settings import PredictorSettings
from noiseda.errors import WeightsError
from noiseda.estimation import middle
from noiseda.images import read
from noiseda.restoration import UNet, load, save_weights

OWN = {"width": 8, "channel_mults": [1, 2], "blocks": 1, "patch_size": 2, "attention": True, "dropout": 0.1}
SMALL = OWN | {"channels": 3, "conditions": 2, "dims": 2}


def small(kind="unet", condition_by="concatenation", **changes):
    torch.manual_seed(3)
    sizes = {"channels": 3, "conditions": 2, "dims": 2} | changes
    arguments = OWN | {"condition_by": condition_by} | sizes
    network = build_predictor(PredictorSettings(kind=kind, condition_by=condition_by, **OWN), **sizes)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return Predictor(network, kind, arguments, "cosine", "v", {"steps": "7"})


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("conditions", [1, 2])
@pytest.mark.parametrize(
    ("kind", "condition_by"),
    [*((kind, "concatenation") for kind in PREDICTORS), ("unet", "summed"), ("transformer", "cross-attention")],
)
def test_what_was_written_comes_back(tmp_path, kind, condition_by, dims, conditions):
    written = small(kind, condition_by, dims=dims, conditions=conditions)
    save_predictor(tmp_path / "judge.safetensors", written)
    state = torch.get_rng_state()
    found = load_predictor(tmp_path / "judge.safetensors")
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.kind, found.arguments, found.schedule, found.prediction) == (kind, written.arguments, "cosine", "v")
    assert found.denoiser.prediction.name == "v"
    assert found.notes["steps"] == "7"
    assert "noiseda" in found.notes
    assert not found.network.training
    sides = (8,) * dims
    y_t, *shown = torch.rand(1 + conditions, 2, 3, *sides)
    level = torch.tensor([10.0, 900.0])
    with torch.no_grad():
        wanted = written.network.eval()(y_t, tuple(shown), level)
        assert torch.equal(found.network(y_t, tuple(shown), level), wanted)
    assert wanted.abs().max() > 0


def rewritten(path, **changes):
    """A file of a predictor whose metadata says something else."""
    written = small()
    described = {"format": "noiseda-predictor/1", "kind": "unet", "arguments": json.dumps(SMALL)}
    described |= {"schedule": "linear", "prediction": "eps"}
    described = {name: text for name, text in (described | changes).items() if text is not None}
    save_file(written.network.state_dict(), path, metadata=described)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "noiseda-predictor/2"}, "this noiseda reads noiseda-predictor/1"),
        ({"format": "noiseda/1"}, "holds a restoration network, and no noise predictor"),
        ({"format": None}, "holds something else"),
        ({"kind": "os.system"}, "unknown kind 'os.system'; known: unet, transformer, pixel"),
        ({"schedule": "zigzag"}, "states no schedule"),
        ({"prediction": None}, "states no prediction"),
        ({"arguments": "{"}, "arguments are no JSON"),
        ({"arguments": "[1]"}, "arguments are no mapping"),
        ({"arguments": json.dumps(SMALL | {"width": 16})}, "does not fit its own description"),
        ({"arguments": json.dumps(SMALL | {"width": 10**9})}, "out of all bounds"),
        ({"arguments": json.dumps(SMALL | {"width": 0})}, "does not fit its own description"),
        ({"arguments": json.dumps(SMALL | {"width": "8"})}, "does not fit its own description"),
        ({"arguments": json.dumps(OWN)}, "does not fit its own description"),
        ({"arguments": json.dumps(SMALL | {"condition_by": "hope"})}, "does not fit its own description"),
        ({"arguments": json.dumps(SMALL | {"channel_mults": []})}, "does not fit its own description"),
        ({"arguments": json.dumps(SMALL | {"hue": 8})}, "does not fit its own description"),
        ({"arguments": json.dumps(SMALL | {"dims": 7})}, "does not fit its own description"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, changes, said):
    path = tmp_path / "judge.safetensors"
    rewritten(path)
    assert load_predictor(path).kind == "unet"
    rewritten(path, **changes)
    with pytest.raises(WeightsError) as refused:
        load_predictor(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_restorer_nonsense_a_folder_and_nothing_are_refused(tmp_path):
    restorer = UNet(width=4, depth=2)
    save_weights(tmp_path / "r.safetensors", restorer.state_dict(), architecture="unet", arguments={}, task="denoise")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04cos\nsystem\n")
    (tmp_path / "huge.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    cases = {"r": "restoration network", "pickle": "no readable", "huge": "no readable", "empty": "no readable"}
    for name, said in cases.items():
        with pytest.raises(WeightsError, match=said):
            load_predictor(tmp_path / f"{name}.safetensors")
    with pytest.raises(WeightsError, match="is a folder"):
        load_predictor(tmp_path)
    with pytest.raises(WeightsError, match="does not exist"):
        load_predictor(tmp_path / "none.safetensors")


def test_numbers_that_are_none_are_refused(tmp_path):
    broken = small()
    with torch.no_grad():
        broken.network.first.bias[0] = torch.nan
    save_predictor(tmp_path / "judge.safetensors", broken)
    with pytest.raises(WeightsError, match=r"first\.bias holds values"):
        load_predictor(tmp_path / "judge.safetensors")


def test_a_disk_that_takes_nothing_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot write the noise predictor"):
        save_predictor(tmp_path / "file" / "judge.safetensors", small())


def test_the_same_predictor_is_the_same_bytes_in_any_order_of_its_notes(tmp_path):
    found = replace(small(), notes={"steps": "4", "seed": "1"})
    save_predictor(tmp_path / "one.safetensors", found)
    content = (tmp_path / "one.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])
    save_predictor(tmp_path / "two.safetensors", replace(found, notes={"seed": "1", "steps": "4"}))
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_what_restores_says_what_it_was_given(tmp_path):
    save_predictor(tmp_path / "judge.safetensors", small())
    with pytest.raises(WeightsError, match=r"judge\.safetensors holds a noise predictor, which restores nothing"):
        load(tmp_path / "judge.safetensors")


def test_a_judge_comes_with_noiseda_in_half_precision_and_would_rather_have_photographs_without_noise():
    path = located(Path(JUDGE))
    assert path.stat().st_size <= 2e6
    found = load_predictor(JUDGE)
    assert found.arguments["conditions"] == 2
    assert found.notes["note"]
    assert next(found.network.parameters()).dtype == torch.float32
    files = sorted((path.parent / "clean").iterdir())[:4]
    clean = torch.stack([middle(read(file).pixels, 64) for file in files])
    heard = sensitivity(found.denoiser, clean, Schedule(found.schedule).alpha_bar)
    assert max(heard.error) < 0.5
    assert min(heard.beside["noise"]) > 0
    assert located(Path("mine.safetensors")) == Path("mine.safetensors")
