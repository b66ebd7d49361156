"""``noiseda pretrain-predictor``: a file that adaptation takes, exact where it is continued, refused in words."""

import shutil
from dataclasses import replace

import pytest
import torch

from noiseda.cli import main
from noiseda.config import PredictorSettings
from noiseda.diffusion.stored import load_predictor
from noiseda.errors import UserError
from noiseda.pretrain_settings import PretrainSettings
from noiseda.restoration import UNet, save_weights
from noiseda.training.pretrain import check, pretrain_predictor
from tests.training.photographs import folder

SMALL = PredictorSettings(width=8, channel_mults=[1, 2], blocks=1, patch_size=2, dropout=0.1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished pretraining: its settings and what it returned."""
    where = tmp_path_factory.mktemp("pretrain")
    folder(where / "clean")
    settings = PretrainSettings(
        clean=where / "clean", out=where / "judge.safetensors", steps=6, batch=2, patch=16, predictor=SMALL,
        schedule="cosine", checkpoint_every=3, device="cpu",
    )  # fmt: skip
    return settings, pretrain_predictor(settings)


def weights(path):
    return load_predictor(path).network.state_dict()


def test_it_writes_a_predictor_with_what_rebuilds_it(finished):
    settings, made = finished
    assert made.out == settings.out
    found = load_predictor(settings.out)
    assert made.parameters == sum(weight.numel() for weight in found.network.parameters())
    assert made.steps == 6
    assert (found.kind, found.schedule, found.prediction, found.notes["steps"]) == ("unet", "cosine", "eps", "6")
    assert found.arguments["channel_mults"] == [1, 2]
    assert not {"start", "training", "kind"} & {*found.arguments}
    assert found.network.last.weight.abs().max() > 0  # it starts at zero
    assert not (settings.folder / "restorer.safetensors").exists()
    assert str(settings.out) in str(made)


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(finished, tmp_path):
    settings, _ = finished
    shutil.copytree(settings.folder, tmp_path / "judge")
    (tmp_path / "judge" / "checkpoints" / "step-00000006.pt").unlink()
    again = replace(settings, out=tmp_path / "judge.safetensors", cache=settings.folder / "cache")
    assert pretrain_predictor(again).steps == 6
    one, other = weights(settings.out), weights(again.out)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_model_of_clean_images_is_shown_none(finished, tmp_path):
    settings = replace(finished[0], out=tmp_path / "clean.safetensors", conditions=0, steps=2)
    assert pretrain_predictor(settings).listens.rises == {}
    assert load_predictor(settings.out).arguments["conditions"] == 0


@pytest.mark.parametrize("changes", [{"seed": 1}, {"steps": 8}, {"unrelated": 0.0}, {"predictor": PredictorSettings()}])
def test_other_settings_in_the_same_folder_are_refused(finished, changes):
    settings, _ = finished
    with pytest.raises(UserError, match="holds a run with other settings"):
        pretrain_predictor(replace(settings, **changes))


def test_a_file_of_something_else_is_not_written_over(finished, tmp_path):
    settings, _ = finished
    path = tmp_path / "restorer.safetensors"
    save_weights(path, UNet(width=4).state_dict(), architecture="unet", arguments={}, task="denoise")
    before = path.read_bytes()
    with pytest.raises(UserError, match=f"--out {path} holds a restoration network, .* give another name"):
        pretrain_predictor(replace(settings, out=path))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_flags_are_named_as_this_command_has_them(finished, tmp_path):
    settings, _ = finished
    with pytest.raises(UserError, match="--device nonsense cannot be had") as refused:
        pretrain_predictor(replace(settings, out=tmp_path / "judge.safetensors", device="nonsense"))
    assert "--training" not in str(refused.value)


def test_minutes_choose_the_steps_once(finished, tmp_path):
    settings, _ = finished
    timed = replace(settings, out=tmp_path / "timed.safetensors", minutes=0.001, predictor=SMALL)
    assert pretrain_predictor(timed).steps == 20  # the least
    assert pretrain_predictor(replace(timed, minutes=500.0)).steps == 20


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"out": "judge"}, "--out judge must be the name of a file that ends in .safetensors"),
        ({"patch": 18}, "--patch must be a multiple of 4"),
        ({"patch": 17, "predictor": PredictorSettings("transformer")}, "of 4 (--predictor.patch_size), not 17"),
        ({"steps": 0}, "--steps must be greater than 0"),
        ({"untouched": 1.5}, "--untouched must be at least 0 and at most 1"),
        ({"predictor": replace(SMALL, channel_mults=[])}, "--predictor.channel_mults needs factors"),
        ({"predictor": replace(SMALL, training="frozen")}, "--predictor.training are of noiseda adapt"),
    ],
)
def test_what_cannot_be_is_refused(changes, said):
    with pytest.raises(UserError) as refused:
        check(replace(PretrainSettings(predictor=SMALL, patch=16), **changes))
    assert said in str(refused.value)


def test_a_folder_without_images_is_named(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ["pretrain-predictor", "--clean", str(tmp_path / "empty"), "--out", str(tmp_path / "judge.safetensors")]
    assert main(words) == 2
    assert f"--clean {tmp_path / 'empty'} holds no image" in capsys.readouterr().err
