"""A run that begins with a pretrained noise predictor: it learns jointly, slowly or not at all; others are refused."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from noiseda.adaptation.catalogue import predictor_arguments
from noiseda.config import AdaptSettings, ObjectiveSettings, PredictorSettings, RestorerSettings, TrainingSettings
from noiseda.diffusion import build_predictor
from noiseda.diffusion.stored import Predictor, save_predictor, sized
from noiseda.errors import UserError
from noiseda.restoration import UNet, save_weights
from noiseda.training import adapt, build_objective, checkpoints, describe, resolve
from noiseda.training.build import build_optimizer
from noiseda.training.plan import settled
from noiseda.training.run import check
from noiseda.training.start import check_predictor

SMALL = PredictorSettings(width=8, channel_mults=[1, 2], blocks=1, patch_size=2)


def usual(**changes):
    return AdaptSettings(
        **{
            "strategy": "noise-space",
            "restorer": RestorerSettings(network="unet", width=4, depth=2),
            "predictor": SMALL,
            "training": TrainingSettings(
                steps=3, batch=2, patch=16, learning_rate=0.01, lr_scaling="none", precision="fp32", device="cpu"
            ),
            "proxy_pairs": 0,
        }
        | changes
    )


@pytest.fixture
def judge(tmp_path):
    """A file of a predictor whose weights are far from any start, and its state."""
    torch.manual_seed(5)
    arguments = predictor_arguments(usual(), conditions=2)
    network = build_predictor(SMALL)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.1 * torch.randn(weight.shape))
    path = tmp_path / "judge.safetensors"
    save_predictor(path, Predictor(network, "unet", arguments))
    return path, network.state_dict()


def begun(path, how, **changes):
    return usual(predictor=replace(SMALL, start=path, training=how), **changes)


@pytest.mark.parametrize("training", ["joint", "fine-tune", "frozen"])
def test_it_begins_with_the_files_weights_and_the_restorer_is_the_same(judge, training):
    path, state = judge
    objective = build_objective(begun(path, training))
    for name, weight in objective.denoiser.network.state_dict().items():
        assert torch.equal(weight, state[name])
    for mine, other in zip(
        objective.restorer.parameters(), build_objective(usual()).restorer.parameters(), strict=True
    ):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(("training", "rate"), [("joint", 0.01), ("fine-tune", 0.001), ("frozen", None)])
def test_at_which_rate_it_learns(judge, training, rate):
    settings = resolve(begun(judge[0], training)).settings
    objective = build_objective(settings)
    rates = {id(one): group["base_lr"] for group in build_optimizer(objective, settings.training).param_groups
             for one in group["params"]}  # fmt: skip
    assert {rates[id(one)] for one in objective.restorer.parameters()} == {0.01}
    found = {rates.get(id(one)) for one in objective.denoiser.parameters()}
    assert len(found) == 1
    assert found.pop() == (rate if rate is None else pytest.approx(rate))
    assert resolve(settings).settings == settings


def test_a_rate_that_is_given_is_kept(judge):
    settings = begun(judge[0], "fine-tune", training=TrainingSettings(predictor_learning_rate=0.5))
    assert resolve(settings).settings.training.predictor_learning_rate == 0.5
    assert resolve(usual()).settings.training.predictor_learning_rate is None


@pytest.mark.parametrize("training", ["joint", "frozen"])
def test_a_frozen_one_stays_as_it_is_and_teaches(where, judge, training):
    path, state = judge
    run = begun(path, training, real=where / "real", clean=where / "clean", out=where / "run")
    summary = adapt(run)
    kept = checkpoints.latest(where / "run" / "checkpoints")["strategy"]
    same = [torch.equal(kept[f"denoiser.network.{name}"], weight) for name, weight in state.items()]
    assert all(same) == (training == "frozen")
    mute = replace(run, out=where / "mute", objective=ObjectiveSettings(weight=0.0))
    taught, untaught = load_file(summary.weights), load_file(adapt(mute).weights)
    assert any(not torch.equal(taught[name], untaught[name]) for name in taught)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"predictor": replace(SMALL, width=16)}, "--predictor.width 16 does not suit --predictor.start"),
        ({"predictor": replace(SMALL, channel_mults=[1])}, "--predictor.channel_mults [1] does not suit"),
        ({"predictor": replace(SMALL, kind="pixel")}, "--predictor.kind pixel does not suit"),
        ({"predictor": replace(SMALL, condition_by="summed")}, "--predictor.condition_by summed does not suit"),
        ({"predictor": replace(SMALL, attention=True)}, "--predictor.attention true does not suit"),
        ({"objective": ObjectiveSettings(conditions="real")}, "--objective.conditions does not suit"),
        ({"restorer": RestorerSettings(network="unet", channels=1)}, "--restorer.channels 1 does not suit"),
    ],
)
def test_one_of_other_sizes_is_refused_with_the_flag(judge, changes, said):
    settings = usual(**changes)
    settings = replace(settings, predictor=replace(settings.predictor, start=judge[0]))
    with pytest.raises(UserError) as refused:
        check_predictor(settings)
    assert said in str(refused.value)
    assert str(judge[0]) in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "pseudo-targets"}, "--strategy pseudo-targets does not suit"),
        ({"also": ["pseudo-targets"]}, r"--also \[pseudo-targets\] does not suit"),
        ({"strategy": "score-distillation"}, "--strategy score-distillation does not suit"),
    ],
)
def test_a_strategy_that_shows_other_images_names_itself_before_anything_is_written(where, judge, changes, said):
    run = begun(judge[0], "joint", real=where / "real", clean=where / "clean", out=where / "refused", **changes)
    with pytest.raises(UserError, match=said):
        adapt(run)
    assert not (where / "refused").exists()


@pytest.mark.parametrize("training", ["joint", "frozen"])
def test_a_dry_run_takes_the_file_too(where, judge, training):
    run = begun(judge[0], training, real=where / "real", clean=where / "clean", out=where / "dry")
    assert describe(run).parameters == describe(replace(run, predictor=SMALL)).parameters
    with pytest.raises(UserError, match=r"--predictor\.start .* does not exist"):
        describe(replace(run, predictor=replace(SMALL, start=where / "nothing.safetensors")))


def test_sizes_that_are_not_given_are_the_files(judge):
    asked = usual(predictor=PredictorSettings(start=judge[0], dropout=0.2))
    plan = settled(asked)
    assert plan.predictor == replace(SMALL, start=judge[0], dropout=0.2)
    assert settled(plan) == plan
    for name, weight in build_objective(plan).denoiser.network.state_dict().items():
        assert torch.equal(weight, judge[1][name])
    small = replace(asked, training=replace(asked.training, patch=20))  # of 4, not of 8
    check(replace(small, real=judge[0].parent, clean=judge[0].parent))
    with pytest.raises(UserError, match="at least 16 and a multiple of 4 "):
        check(replace(small, real=judge[0].parent, training=replace(asked.training, patch=18)))


def test_a_file_that_is_none_leaves_the_sizes_and_is_named_later(tmp_path):
    nothing = PredictorSettings(start=tmp_path / "nothing.safetensors")
    assert sized(nothing) == nothing
    assert sized(PredictorSettings(width=8)) == PredictorSettings(width=8)


def test_dropout_may_differ(judge):
    check_predictor(usual(predictor=replace(SMALL, start=judge[0], dropout=0.3)))


@pytest.mark.parametrize("strategy", ["noise-space", "synthetic"])
def test_a_restorer_in_its_place_is_refused(tmp_path, strategy):
    path = tmp_path / "restorer.safetensors"
    save_weights(path, UNet(width=4).state_dict(), architecture="unet", arguments={}, task="denoise")
    with pytest.raises(UserError, match=r"--predictor\.start .*restoration network, and no noise predictor"):
        check_predictor(usual(strategy=strategy, predictor=replace(SMALL, start=path)))


@pytest.mark.parametrize("training", ["frozen", "fine-tune"])
def test_what_is_not_trained_cannot_stay_as_it_is(training, tmp_path):
    with pytest.raises(UserError, match=f"--predictor.training {training} needs --predictor.start"):
        usual(real=tmp_path, predictor=replace(SMALL, training=training)).check()


@pytest.mark.parametrize(("training", "learns"), [("joint", True), ("frozen", False)])
def test_both_models_of_score_distillation_begin_with_one_of_no_conditions(tmp_path, training, learns):
    torch.manual_seed(5)
    network = build_predictor(SMALL, conditions=0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.1 * torch.randn(weight.shape))
    path = tmp_path / "clean.safetensors"
    save_predictor(path, Predictor(network, "unet", predictor_arguments(usual(), conditions=0)))
    objective = build_objective(begun(path, training, strategy="score-distillation"))
    for denoiser in (objective.of_clean, objective.of_restored):
        for name, weight in denoiser.network.state_dict().items():
            assert torch.equal(weight, network.state_dict()[name])
    assert all(weight.requires_grad for weight in objective.of_restored.parameters())
    assert all(weight.requires_grad is learns for weight in objective.of_clean.parameters())
