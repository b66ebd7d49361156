"""Adaptation of every network of the catalogue, and of weights files of other people."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from noiseda import SyntheticOnly, cli
from noiseda.config import AdaptSettings, RestorerSettings
from noiseda.errors import UserError
from noiseda.inference import restore_files
from noiseda.restoration import load, read_metadata
from noiseda.restoration.catalogue import NETWORKS
from noiseda.training import adapt
from noiseda.training.build import build_objective, build_optimizer, check_baseline
from noiseda.training.cost import describe
from noiseda.training.fitting import fit
from noiseda.training.start import start_of
from tests.restoration.networks import SMALL, Doubling, built, enlarging
from tests.training.photographs import small

pytestmark = pytest.mark.slow


def settings_for(where: Path, name: str, **changes: object) -> AdaptSettings:
    restorer = RestorerSettings(network=name, **SMALL[name])
    return replace(small(where, steps=2, precision="fp32"), restorer=restorer, out=where / f"run-{name}", **changes)


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith("unet")])
def test_two_steps_of_adaptation_move_every_weight_that_is_to_learn(where: Path, name: str) -> None:
    """The diffusion model's loss and the pairs', as in the paper; and the file goes to us and to spandrel."""
    settings = settings_for(where, name, strategy="noise-space")
    before = build_objective(settings).restorer
    summary = adapt(settings)
    after = load(summary.weights)
    import spandrel  # after torchvision, which that made importable

    assert read_metadata(summary.weights)["architecture"] == NETWORKS[name].architecture
    moved = [not torch.equal(new, old) for old, new in zip(before.parameters(), after.parameters(), strict=True)]
    wanted = [weight.requires_grad for weight in before.parameters()]
    assert not any(new for new, meant in zip(moved, wanted, strict=True) if not meant)
    assert sum(moved) > 0.7 * sum(wanted), f"{sum(moved)} of {sum(wanted)}"  # some begin where they get no gradient yet
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = after(images).clamp(0, 1)
        assert torch.equal(spandrel.ModelLoader().load_from_file(summary.weights)(images), expected)


def test_a_run_that_is_broken_off_goes_on_with_its_network(where: Path) -> None:
    whole = replace(
        settings_for(where, "nafnet", strategy="noise-space"), training=small(where, steps=4, precision="fp32").training
    )
    expected = load(adapt(replace(whole, out=where / "whole")).weights).tensors()
    adapt(replace(whole, training=replace(whole.training, steps=2, checkpoint_every=2)))
    resumed = load(adapt(replace(whole, out=where / "whole")).weights).tensors()
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A file of another's training program."""
    torch.manual_seed(3)
    torch.save({"params_ema": built("nafnet").tensors(), "epoch": 7}, path := tmp_path / "theirs.pth")
    return path


def test_a_file_of_another_is_adapted_and_what_it_knew_is_reported(where: Path, theirs: Path) -> None:
    settings = replace(
        small(where, steps=2, precision="fp32", max_regression_db=0.1), restorer=RestorerSettings(weights=theirs)
    )
    settings.check()
    assert torch.equal(start_of(settings.restorer).tensors()["intro.weight"], load(theirs).tensors()["intro.weight"])
    summary = adapt(settings)
    assert summary.kept is not None  # PSNR on synthetic pairs, before and after
    assert summary.kept.after >= summary.kept.before - 0.1
    assert json.loads((settings.out / "summary.json").read_text())["kept"]["before"] == summary.kept.before
    assert load(summary.weights).architecture == "NAFNet"
    report = restore_files(summary.weights, str(where / "real"), where / "restored")
    assert len(report.restored) == 3


def test_a_start_must_be_the_network_that_is_asked_for(where: Path, theirs: Path) -> None:
    right = RestorerSettings(network="nafnet", **SMALL["nafnet"], start=theirs)
    assert torch.equal(start_of(right).tensors()["intro.weight"], load(theirs).tensors()["intro.weight"])
    for asked, words in (
        ({"network": "nafnet", "width": 8, "blocks": [1] * 9}, ["NAFNet", "intro.weight is (4, 3, 3, 3), not (8, 3"]),
        ({"network": "unet-tiny"}, ["NAFNet", "unet of width 16", "--weights"]),
        ({"network": "nafnet", "width": 4, "blocks": [2, *[1] * 8]}, ["encoders.0.1.", "missing"]),
    ):
        with pytest.raises(UserError) as refused:
            start_of(RestorerSettings(**asked, start=theirs))
        assert all(word in str(refused.value) for word in ["--restorer.start", str(theirs), *words]), str(refused.value)
    with pytest.raises(UserError, match=r"--weights .*none\.pth does not exist"):
        start_of(RestorerSettings(weights=where / "none.pth"))


def test_grey_weights_ask_for_grey_images(tmp_path: Path) -> None:
    torch.save(built("dncnn", channels=1).tensors(), tmp_path / "grey.pth")
    with pytest.raises(UserError, match=r"--weights .*1 channel.*--restorer\.channels 1"):
        start_of(RestorerSettings(weights=tmp_path / "grey.pth"))
    assert start_of(RestorerSettings(weights=tmp_path / "grey.pth", channels=1)).channels == 1


def test_a_network_that_enlarges_is_not_adapted(where: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save(enlarging().state_dict(), large := tmp_path / "large.pth")
    said = (
        f"{large} enlarges images by 2; noiseda adapts networks that keep their size (noiseda restore takes this one)"
    )
    for flag, restorer in (
        ("weights", RestorerSettings(weights=large)),
        ("restorer.start", RestorerSettings(network="unet-tiny", start=large)),
    ):
        with pytest.raises(UserError, match=re.escape(f"--{flag} {said}")):
            start_of(restorer)
    with pytest.raises(UserError, match=re.escape(f"--baseline {said}")):
        check_baseline(replace(small(where), baseline=large))
    words = ["adapt", "--clean", str(where / "clean"), "--real", str(where / "real"), "--weights", str(large)]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "restorer.safetensors").exists()
    model = Doubling()
    with pytest.raises(UserError, match="the network Doubling enlarges images by 2"):
        fit(model, SyntheticOnly(model), lambda random: None, out=tmp_path)  # refused before it is used


@pytest.mark.parametrize(
    ("restorer", "words"),
    [
        ({"weights": "w.pth", "start": "s.pth"}, ["--weights", "--restorer.start"]),
        ({"weights": "w.pth", "network": "nafnet"}, ["--weights", "--network"]),
        ({"weights": "w.pth", "width": 8}, ["--weights", "--restorer.width"]),
    ],
)
def test_weights_bring_their_own_network(where: Path, restorer: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        replace(small(where), restorer=RestorerSettings(**restorer)).check()
    assert all(word in str(refused.value) for word in words)


def test_a_frozen_part_stays_as_it_is(where: Path) -> None:
    restorer = RestorerSettings(network="nafnet", **SMALL["nafnet"], freeze=["encoders.*", "intro.*"])
    settings = replace(small(where, steps=2, precision="fp32"), strategy="noise-space", restorer=restorer)
    strategy = build_objective(settings)
    first, *_ = build_optimizer(strategy, settings.training).param_groups
    learning = [weight for weight in strategy.restorer.parameters() if weight.requires_grad]
    assert len(first["params"]) == len(learning) < len(list(strategy.restorer.parameters()))
    before, after = strategy.restorer.tensors(), load(adapt(settings).weights).tensors()
    still = {key.split(".")[0] for key in before if torch.equal(before[key], after[key])}
    assert {"encoders", "intro"} <= still
    assert not torch.equal(before["ending.weight"], after["ending.weight"])
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert not changed & {"encoders", "intro"}


@pytest.mark.parametrize(("pattern", "words"), [("encoder.*", ["matches none", "encoders.*"]), ("*", ["matches all"])])
def test_a_pattern_that_makes_no_sense_is_refused(where: Path, pattern: str, words: list[str]) -> None:
    restorer = RestorerSettings(network="nafnet", **SMALL["nafnet"], freeze=[pattern])
    with pytest.raises(UserError) as refused:
        build_objective(replace(small(where), restorer=restorer))
    assert all(word in str(refused.value) for word in [f"--restorer.freeze {pattern}", *words])


@pytest.mark.parametrize(
    "words",
    [
        ["--network", "nafnet", "--network.width", "8"],
        ["--network=nafnet", "--network.width=8"],
        ["--restorer.network", "nafnet", "--restorer.width", "8"],
        ["--config", "denoise-small", "--network", "nafnet", "--network.width", "8"],
    ],
)
def test_a_network_has_a_short_name_on_the_command_line(words: list[str]) -> None:
    _, given = cli.parse(["adapt", *words])
    restorer = AdaptSettings(**given).restorer.settled()
    assert (restorer.network, restorer.width, restorer.depth) == ("nafnet", 8, None)
    assert restorer.blocks == [2, 2, 4, 8, 12, 2, 2, 2, 2]


@pytest.mark.parametrize("config", ["denoise-small", "denoise-sidd", "own"])
@pytest.mark.parametrize("weights", [["--weights", "a.pth"], ["--restorer.weights=a.pth"]])
def test_weights_take_the_place_of_the_network_in_a_config(config: str, weights: list[str], tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("restorer: {network: nafnet, width: 8, blocks: [1, 1, 1, 1, 1, 1, 1, 1, 1]}")
    _, given = cli.parse(["adapt", *weights, "--config", str(own) if config == "own" else config])
    restorer = AdaptSettings(**given).restorer
    assert restorer == RestorerSettings(weights=Path("a.pth"))
    restorer.check()


@pytest.mark.parametrize("weights", [["--weights", "null"], ["--weights=null"]])
def test_no_weights_leave_the_network_of_a_config(weights: list[str]) -> None:
    _, given = cli.parse(["adapt", "--config", "denoise-sidd", *weights])
    assert AdaptSettings(**given).restorer.network == "unet-paper"


@pytest.mark.parametrize("words", [["--network", "nafnet"], ["--network.width", "8"]])
def test_weights_and_another_network_are_not_both_taken_from_a_command_line(words: list[str]) -> None:
    _, given = cli.parse(["adapt", "--weights", "a.pth", *words])
    with pytest.raises(UserError, match=r"--weights brings its own network: .*--(network|restorer\.width)"):
        AdaptSettings(**given).restorer.check()


def test_a_dry_run_counts_the_arithmetic_of_any_network(where: Path) -> None:
    told = {name: describe(settings_for(where, name, strategy="noise-space")) for name in ("nafnet", "swinir")}
    assert told["nafnet"].parameters["restorer"] == sum(weight.numel() for weight in built("nafnet").parameters())
    assert all(one.forward_gmac > 0 for one in told.values())
    with pytest.raises(UserError, match="means nothing to nafnet"):
        describe(replace(small(where), restorer=RestorerSettings(network="nafnet", depth=3)))
