"""A run that begins with a model of diffusers: its sizes are its own, it learns as others do, and it is exact."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from noiseda import cli
from noiseda.adaptation.catalogue import build_predictor
from noiseda.config import AdaptSettings, ObjectiveSettings, PredictorSettings, RestorerSettings, TrainingSettings
from noiseda.errors import UserError
from noiseda.training import Interrupted, adapt, build_objective, checkpoints, resolve
from noiseda.training.build import build_optimizer
from noiseda.training.ema import MovingAverage
from noiseda.training.sample import of_run, sample
from noiseda.training.start import check_predictor
from tests.diffusion.diffusers_models import diffusers, written

RUN = TrainingSettings(
    steps=4, batch=2, patch=18, learning_rate=0.01, lr_scaling="none", precision="fp32", device="cpu",
    checkpoint_every=2,
)  # fmt: skip


def usual(**changes):
    return AdaptSettings(
        **{
            "strategy": "noise-space",
            "restorer": RestorerSettings(network="unet", width=4, depth=2),
            "training": RUN,
            "proxy_pairs": 0,
        }
        | changes
    )


@pytest.fixture
def judge(tmp_path):
    """The folder of a model whose sides are multiples of 2, and the model."""
    unet, folder = written(tmp_path / "judge")
    return folder, unet


def begun(path, how="joint", **changes):
    return usual(predictor=PredictorSettings(start=path, training=how), **changes)


@pytest.mark.parametrize("conditions", ["both", "real"])
@pytest.mark.parametrize("training", ["joint", "fine-tune"])
def test_it_begins_with_the_folders_weights_and_the_restorer_is_the_same(judge, training, conditions):
    path, unet = judge
    objective = build_objective(begun(path, training, objective=ObjectiveSettings(conditions=conditions)))
    found, state = objective.denoiser.network.unet.state_dict(), unet.state_dict()
    assert found.keys() == state.keys()
    for name, weight in found.items():
        assert torch.equal(weight[:, :3] if name == "conv_in.weight" else weight, state[name])
    assert found["conv_in.weight"].shape[1] == (9 if conditions == "both" else 6)
    assert objective.denoiser.network.training
    for mine, other in zip(
        objective.restorer.parameters(), build_objective(usual()).restorer.parameters(), strict=True
    ):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(("training", "rate"), [("joint", 0.01), ("fine-tune", 0.001)])
def test_at_which_rate_it_learns(judge, training, rate):
    settings = resolve(begun(judge[0], training)).settings
    objective = build_objective(settings)
    rates = {id(one): group["base_lr"] for group in build_optimizer(objective, settings.training).param_groups
             for one in group["params"]}  # fmt: skip
    (found,) = {rates[id(one)] for one in objective.denoiser.parameters()}
    assert found == pytest.approx(rate)


@pytest.mark.slow
def test_it_teaches_and_a_stopped_run_continues_exactly(where, judge, monkeypatch):
    folders = {"real": where / "real", "clean": where / "clean", "cache": where / "cache"}
    whole = begun(judge[0], out=where / "whole", **folders)
    whole.check()
    summary = adapt(whole)
    broken, update = replace(whole, out=where / "broken"), MovingAverage.update

    def stop(self, network, step):
        update(self, network, step)
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(MovingAverage, "update", stop)
        with pytest.raises(Interrupted):
            adapt(broken)
    continued = adapt(broken)
    taught, again = load_file(summary.weights), load_file(continued.weights)
    assert all(torch.equal(taught[name], again[name]) for name in taught)
    states = [checkpoints.latest(where / name / "checkpoints")["strategy"] for name in ("whole", "broken")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert states[0]["denoiser.network.unet.conv_in.weight"][:, 3:].any()  # it has begun to look
    mute = load_file(adapt(replace(whole, out=where / "mute", objective=ObjectiveSettings(weight=0.0))).weights)
    assert any(not torch.equal(taught[name], mute[name]) for name in taught)
    drawn_from_a_run(where)


def drawn_from_a_run(where: Path):
    found, kept = of_run(where / "whole"), checkpoints.latest(where / "whole" / "checkpoints")["strategy"]
    for name, weight in found.network.state_dict().items():
        assert torch.equal(weight, kept[f"denoiser.network.{name}"])
    image = next((where / "clean").iterdir())
    assert "1 image drawn" in sample(where / "whole", image, out=where / "drawn", steps=2, count=1, side=16)


@pytest.mark.parametrize("training", ["joint", "frozen"])
def test_one_that_looks_already_may_be_frozen(judge, training, tmp_path):
    network = build_predictor(begun(judge[0]), conditions=2)
    network.unet.save_pretrained(tmp_path / "looks")
    settings = begun(tmp_path / "looks", training)
    check_predictor(settings)
    found = build_predictor(settings, conditions=2)
    assert found.training == (training == "joint")
    assert {weight.requires_grad for weight in found.parameters()} == {training == "joint"}


def test_without_conditions_there_is_nothing_to_widen(judge):
    found = build_predictor(begun(judge[0], "frozen"), conditions=0)
    assert torch.equal(found.unet.conv_in.weight, judge[1].conv_in.weight)
    assert not found.training


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"restorer": RestorerSettings(network="unet", channels=1)}, "needs --restorer.channels 3"),
        ({"objective": ObjectiveSettings(prediction="v")}, "predicts eps: it needs --objective.prediction eps, not v"),
        ({"training": replace(RUN, patch=19)}, "--training.patch must be a multiple of 2 for --predictor.start"),
        ({"predictor": PredictorSettings(kind="pixel")}, "it needs --predictor.kind unet, not pixel"),
        (
            {"predictor": PredictorSettings(condition_by="summed")},
            "it needs --predictor.condition_by concatenation, not summed",
        ),
        ({"predictor": PredictorSettings(training="frozen")}, "--predictor.training frozen would teach nothing"),
    ],
)
def test_what_does_not_suit_it_is_refused_with_the_flag(judge, changes, said):
    settings = usual(**changes)
    settings = replace(settings, predictor=replace(settings.predictor, start=judge[0]))
    with pytest.raises(UserError) as refused:
        check_predictor(settings)
    assert said in str(refused.value)
    assert f"--predictor.start {judge[0]}" in str(refused.value)


def test_what_its_schedule_says_it_predicts_is_asked_for(tmp_path):
    _, folder = written(tmp_path, diffusers.DDPMScheduler(prediction_type="v_prediction"))
    with pytest.raises(UserError, match=r"it needs --objective.prediction v, not eps"):
        check_predictor(begun(folder))
    check_predictor(begun(folder, objective=ObjectiveSettings(prediction="v")))


def test_a_patch_need_not_suit_the_usual_predictor(judge):
    """18 is no multiple of 8, which the usual predictor of random weights asks for."""
    real = {"real": judge[0].parent, "clean": judge[0].parent}
    begun(judge[0], **real).check()
    with pytest.raises(UserError, match="multiple of 8"):
        usual(**real).check()
    with pytest.raises(UserError, match=r"multiple of 4 \(2 per further --restorer\.depth\)"):
        begun(judge[0], restorer=RestorerSettings(network="unet", depth=3), **real).check()


@pytest.mark.parametrize("strategy", ["noise-space", "synthetic"])
def test_a_folder_of_something_else_is_refused(tmp_path, strategy):
    with pytest.raises(UserError, match=r"--predictor\.start .* is no folder of a diffusers UNet2DModel"):
        check_predictor(replace(begun(tmp_path), strategy=strategy))


@pytest.mark.parametrize("strategy", ["synthetic", "pseudo-targets"])
def test_strategies_that_show_it_other_numbers_of_images_take_it(judge, strategy):
    check_predictor(begun(judge[0], strategy=strategy))
    build_objective(begun(judge[0], strategy=strategy))


def test_the_command_line_names_the_folder(judge):
    _, given = cli.parse(["adapt", "--predictor.start", str(judge[0]), "--predictor.training", "fine-tune"])
    predictor = AdaptSettings(**given).predictor
    assert predictor.from_folder
    assert predictor == PredictorSettings(start=judge[0], training="fine-tune")
