from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from noiseda.config import DegradationSettings, PredictorSettings, RestorerSettings
from noiseda.data.cache import Skipped
from noiseda.data.degradations import Mixture
from noiseda.data.noise import White
from noiseda.data.rain import Rain, Streaks
from noiseda.data.validation import load_validation
from noiseda.errors import UserError
from noiseda.estimation import Matched, MatchedRain
from noiseda.restoration import UNet, save_weights
from noiseda.strategies import StrategyName
from noiseda.training import adapt
from noiseda.training.build import (
    build_objective,
    build_optimizer,
    fingerprint,
    list_images,
    load_domains,
    training_degradation,
    without,
)
from noiseda.training.cost import describe
from noiseda.training.plan import settled
from tests.training.photographs import CLEAN, folder, pairs, save, small

FLAGS = ("clean", "real", "pairs", "reference", "validation")


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("state", ["missing", "empty", "without images", "a file"])
def test_a_folder_that_holds_nothing_is_named_with_its_flag(where: Path, flag: str, state: str) -> None:
    given = where / "given"
    if state == "a file":
        given.write_text("x")
    elif state != "missing":
        halves = [given / "input", given / "target"] if flag in ("pairs", "validation") else [given]
        for half in halves:
            half.mkdir(parents=True)
            if state == "without images":
                (half / "notes.txt").write_text("x")
    changes = {flag: given, **({"clean": None} if flag == "pairs" else {})}
    with pytest.raises(UserError) as refused:
        list_images(small(where, **changes))
    assert str(refused.value).startswith(f"--{flag} ")
    assert str(given) in str(refused.value)


@pytest.mark.parametrize("flag", ["pairs", "validation"])
def test_a_pair_that_does_not_match_is_named_with_its_flag(where: Path, flag: str) -> None:
    given = pairs(where / "given")
    settings = small(where, **{flag: given, **({"clean": None} if flag == "pairs" else {})})
    lonely = save(given / "input/lonely.png", CLEAN[:40, :40])
    with pytest.raises(UserError, match=rf"^--{flag} .*lonely\.png has no partner"):
        list_images(settings)
    lonely.unlink()
    save(given / "target/1.png", CLEAN[:44, :40])
    with pytest.raises(UserError, match=rf"^--{flag} .*is 40x40 but .* is 40x44"):
        list_images(settings)


def test_images_are_counted_by_flag_and_unused_domains_left_out(where: Path) -> None:
    settings = small(where, reference=folder(where / "reference", count=2), validation=pairs(where / "validation"))
    assert {flag: len(found) for flag, found in list_images(settings).items()} == {
        "clean": 3,
        "real": 3,
        "reference": 2,
        "validation": 2,
    }
    assert set(list_images(replace(settings, strategy="synthetic"))) == {"clean", "validation"}


@pytest.mark.parametrize("half", ["input", "target"])
def test_a_pair_with_a_broken_half_is_left_out_and_the_half_named(where: Path, half: str) -> None:
    for name in ("pairs", "validation"):
        pairs(where / name)
        (where / name / half / "1.png").write_bytes(b"")
    settings = small(where, clean=None, pairs=where / "pairs", validation=where / "validation")
    groups = list_images(settings)
    domains, skipped, _ = load_domains(settings, groups, where / "cache")
    assert len(domains.synthetic) == 1
    assert [image.path for image in skipped] == [where / "pairs" / half / "1.png"]
    validation, skipped = load_validation(settings, groups["validation"])
    assert len(validation) == 1
    assert [image.path for image in skipped] == [where / "validation" / half / "1.png"]
    assert "empty" in skipped[0].reason


@pytest.mark.parametrize("flag", FLAGS)
def test_where_none_can_be_used_the_flag_and_the_reasons_are_named(where: Path, flag: str) -> None:
    given = pairs(where / "given") if flag in ("pairs", "validation") else folder(where / "given")
    for path in given.rglob("*.png"):
        path.write_bytes(b"")
    settings = small(where, **{flag: given, **({"clean": None} if flag == "pairs" else {})})
    groups = list_images(settings)
    with pytest.raises(UserError, match=rf"^--{flag} {given}: none of its \d .* can be used \(.*the file is empty"):
        (load_domains(settings, groups, where / "cache"), load_validation(settings, groups["validation"]))


def test_a_grey_half_of_a_validation_pair_becomes_colour(where: Path) -> None:
    save(where / "v/input/a.png", CLEAN[:40, :40, 0])
    save(where / "v/target/a.png", CLEAN[:40, :40])
    settings = small(where, validation=where / "v")
    ((x, y),), _ = load_validation(settings, list_images(settings)["validation"])
    assert x.shape == y.shape == (3, 40, 40)
    assert torch.equal(x[0], x[2])


def test_groups_are_left_without_what_was_skipped() -> None:
    a, b, c = Path("a"), Path("b"), Path("c")
    groups = {"pairs": [(a, b), (b, c)], "real": [(c,)]}
    assert without(groups, [Skipped(a, "broken")]) == {"pairs": [(b, c)], "real": [(c,)]}


def test_the_fingerprint_knows_names_and_sizes_but_not_places(where: Path) -> None:
    first = {"clean": [(path,) for path in sorted((where / "clean").iterdir())]}
    again = folder(where / "moved")
    assert fingerprint(first) == fingerprint({"clean": [(path,) for path in sorted(again.iterdir())]})
    assert fingerprint(first) != fingerprint({"clean": first["clean"][:2]})
    save(where / "clean/1.png", CLEAN[:50, :50])
    assert fingerprint(first) != fingerprint({"clean": [(path,) for path in sorted(again.iterdir())]})


def test_all_strategies_start_from_the_same_restorer(where: Path) -> None:
    """Bit by bit at the same seed, whatever the noise predictor beside it."""
    settings = small(where)
    others = (
        replace(settings, strategy="synthetic"),
        replace(settings, predictor=PredictorSettings(width=16, channel_mults=[1, 1], patch_size=2, attention=True)),
        replace(settings, reference=where / "clean"),
        *(replace(settings, strategy=name) for name in get_args(StrategyName)),
    )
    expected = build_objective(settings).restorer.state_dict()
    for other in others:
        found = build_objective(other).restorer.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    another = build_objective(replace(settings, seed=1)).restorer.state_dict()
    assert not all(torch.equal(another[key], expected[key]) for key in expected)


def test_weights_to_start_from_are_taken_or_refused(where: Path) -> None:
    network = UNet(width=4, depth=2)
    nn.init.normal_(network.head.weight)
    arguments = {"width": 4, "depth": 2, "channels": 3}
    start = where / "start.safetensors"
    save_weights(start, network.state_dict(), architecture="unet", arguments=arguments, task="denoise")
    settings = small(where, restorer=RestorerSettings(width=4, depth=2, start=start))
    restorer = build_objective(settings).restorer
    assert restorer.training
    assert all(torch.equal(a, b) for a, b in zip(restorer.parameters(), network.parameters(), strict=True))
    assert all(parameter.requires_grad for parameter in restorer.parameters())
    with pytest.raises(UserError, match=r"--restorer.start .*start\.safetensors holds .*width 4.*asks for.*width 8"):
        build_objective(replace(settings, restorer=RestorerSettings(width=8, depth=2, start=start)))
    with pytest.raises(UserError, match=r"--restorer\.start .*none\.safetensors"):
        build_objective(
            replace(settings, restorer=RestorerSettings(width=4, depth=2, start=where / "none.safetensors"))
        )


def test_restorer_and_predictor_have_rates_of_their_own(where: Path) -> None:
    settings = small(where, learning_rate=0.01, predictor_learning_rate=0.002, lr_scaling="none")
    strategy = build_objective(settings)
    first, second = build_optimizer(strategy, settings.training).param_groups
    assert (first["base_lr"], second["base_lr"]) == (0.01, 0.002)
    assert sum(p.numel() for p in first["params"]) == sum(p.numel() for p in strategy.restorer.parameters())
    assert len(first["params"]) + len(second["params"]) == len(list(strategy.parameters()))
    alone = build_optimizer(build_objective(replace(settings, strategy="synthetic")), settings.training)
    assert len(alone.param_groups) == 1
    # A teacher follows; it is not trained.
    taught = build_optimizer(build_objective(replace(settings, strategy="mean-teacher")), settings.training)
    assert len(taught.param_groups) == 1


def test_wide_layers_learn_slower_by_their_inputs(where: Path) -> None:
    """With everything else of one width, the product of a layer's rate and its inputs has a limit."""
    wide = small(where, strategy="synthetic", learning_rate=0.01, restorer=RestorerSettings(width=32, depth=3))
    objective = build_objective(wide)
    groups = build_optimizer(objective, wide.training).param_groups
    rates = {id(weight): group["base_lr"] for group in groups for weight in group["params"]}
    assert len(rates) == len(list(objective.parameters()))
    for name, weight in objective.named_parameters():
        inputs = weight[0].numel() if weight.ndim > 1 else 1
        assert rates[id(weight)] == pytest.approx(0.01 * min(1, 216 / inputs)), name
    assert min(rates.values()) < 0.01 / 5
    alike = replace(wide, training=replace(wide.training, lr_scaling="none"))
    assert [group["base_lr"] for group in build_optimizer(objective, alike.training).param_groups] == [0.01]


def test_the_ready_weights_learn_matched_images_alone_beside_what_they_remember(where: Path) -> None:
    like = Matched((("shot", 8.0),))
    weights = RestorerSettings(weights=Path("denoise"))
    ready = small(where, strategy="auto", degradation=DegradationSettings(), restorer=weights)
    other = replace(ready, restorer=RestorerSettings(width=4, depth=2))
    assert training_degradation(settled(ready), like) == (like, 1.0)
    assert training_degradation(settled(other), like)[0] == Mixture((White(), like))
    asked = replace(ready, degradation=DegradationSettings(kind="white+matched"))
    assert training_degradation(asked, like)[0] == Mixture((White(), like)), "what is asked for stays"
    rain = MatchedRain((Streaks(),))
    assert training_degradation(replace(ready, task="derain"), rain)[0] == Mixture((Rain(), rain)), "noise alone"


def test_pairs_may_be_mixed_with_inputs_made_anew_of_their_targets(where: Path) -> None:
    both = small(where, task="derain", clean=None, pairs=pairs(where / "pairs"))
    mixed = replace(both, degradation=DegradationSettings(kind="pairs+3*streaks"))
    for settings in (both, mixed):
        settings.check()
    assert training_degradation(both, None) == (Streaks(), 0.5), "the default for rain"
    assert training_degradation(replace(both, degradation=DegradationSettings(kind="pairs")), None) == (None, 0.0)
    assert training_degradation(replace(both, task="deblur"), None) == (None, 0.0)
    assert training_degradation(mixed, None) == (Streaks(), 0.75)
    domains, _, _ = load_domains(mixed, list_images(mixed), where / "cache")
    assert (domains.degradation, domains.share) == (Streaks(), 0.75)
    summary = adapt(mixed)
    assert summary.images == {"pairs": 2, "real": 3}
    for kind, strength, said in (
        ("streaks", None, r"--degradation\.kind pairs\+streaks"),
        ("pairs+streaks", (1.0, 2.0), r"has no --degradation\.strength"),
        ("pairs+white", None, "--task derain must be one of rain, streaks, drops, matched, not 'white'"),
    ):
        with pytest.raises(UserError, match=said):
            describe(replace(both, out=where / "no", degradation=DegradationSettings(kind=kind, strength=strength)))
    with pytest.raises(UserError, match="is for --pairs"):
        replace(mixed, pairs=None, clean=where / "clean").check()
