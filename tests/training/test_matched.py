"""Runs whose degradation is matched to the real photographs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from noiseda.config import AdaptSettings, DegradationSettings, RestorerSettings, Task
from noiseda.errors import UserError
from noiseda.estimation.empirical_bayes import DRAWS
from noiseda.estimation.noise import Matched
from noiseda.strategies import Neighbor2NeighborSettings
from noiseda.training import Evidence, adapt, resolve
from noiseda.training.cost import describe
from tests.training.photographs import folder, pairs, small

MATCHED = DegradationSettings(kind="white+matched")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["noise-space", "synthetic"])
def test_a_run_matches_once_and_says_what_it_found(
    noisy: Path, strategy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = small(noisy, strategy=strategy, degradation=MATCHED)
    summary = adapt(settings)
    assert "the photographs look like " in capfd.readouterr().err
    (kept,) = (noisy / "out/cache").glob("matched-*.json")
    before = json.loads(kept.read_text())
    assert len(before["found"] or before["measured"]) in (2, 2 * DRAWS)
    assert summary.images["real"] == 2
    kept.write_text(json.dumps(before | {"found": [["white", 5.0]], "alike": True, "measured": []}))
    adapt(replace(settings, out=noisy / "again", cache=noisy / "out/cache"))
    assert "look like white 100% (strength 5 to 5" in capfd.readouterr().err


@pytest.mark.slow
def test_what_looks_like_nothing_simulated_is_learnt_from_a_teacher(
    noisy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = small(noisy, strategy="synthetic", degradation=DegradationSettings(kind="white"), out=noisy / "first")
    start = replace(first.restorer, start=adapt(first).weights)
    settings = small(noisy, strategy="auto", degradation=DegradationSettings(), out=noisy / "found", restorer=start)
    assert strategy(settings) == "neighbor2neighbor"
    adapt(replace(settings, neighbor2neighbor=Neighbor2NeighborSettings(unlike="neighbor2neighbor")))
    (kept,) = (noisy / "found/cache").glob("matched-*.json")
    document = json.loads(kept.read_text())
    kept.write_text(json.dumps(document | {"found": [["phone", 800.0]], "alike": False, "measured": []}))
    capfd.readouterr()
    unlike = replace(settings, out=noisy / "unlike", cache=noisy / "found/cache")
    summary = adapt(unlike)
    assert summary.strategy == "mean-teacher"
    assert "teacher" in summary.terms
    said = capfd.readouterr().err
    assert "nothing simulated quite resembles them" in said
    assert "so a mean teacher learns from them, in place of Neighbor2Neighbor" in said
    assert adapt(unlike).strategy == "mean-teacher"  # a finished run, looked at again
    kept.write_text(json.dumps(document | {"found": [["camera", 800.0]], "alike": True, "measured": []}))
    shared = adapt(replace(unlike, out=noisy / "shared"))
    assert shared.strategy == "synthetic"
    assert shared.images["real"] == 2
    assert "pairs made to look like them are all that is learnt from" in capfd.readouterr().err


def strategy(settings: AdaptSettings) -> str:
    """The one that a run without evidence would have."""
    return resolve(settings).settings.strategy


@pytest.mark.parametrize(
    "other",
    [
        {"like": Matched((("shot", 8.0), ("shrunk", 800.0), ("camera", 800.0)))},
        {"like": Matched((("shot", 8.0), ("camera", 800.0)), alike=False)},
        {"like": None},
        {"strategy": "noise-space"},
        {"also": ["mean-teacher"]},
        {"neighbor2neighbor": Neighbor2NeighborSettings(start=0.0)},
        {"neighbor2neighbor": Neighbor2NeighborSettings(unlike="neighbor2neighbor")},
        {"degradation": DegradationSettings(kind="white")},
    ],
)
def test_it_is_not_where_it_does_not_suit(other: dict[str, Any]) -> None:
    settings = AdaptSettings(
        strategy="neighbor2neighbor", clean=Path("clean"), real=Path("real"),
        degradation=DegradationSettings(kind="white+matched"), restorer=RestorerSettings(start=Path("start")),
    )  # fmt: skip
    unlike = Matched((("camera", 800.0),), alike=False)
    assert resolve(settings, Evidence(unlike)).settings.strategy == "mean-teacher"
    assert resolve(settings, Evidence(unlike)).settings.mean_teacher.start == settings.neighbor2neighbor.start
    alike = Matched((("shot", 8.0), ("phone", 800.0), ("camera", 800.0)))
    assert resolve(settings, Evidence(alike)).settings.strategy == "synthetic"
    like = other.pop("like", unlike)
    changed = replace(settings, **other)
    assert resolve(changed, Evidence(like)) == replace(resolve(changed), because=())


def test_denoising_matches_where_nothing_else_is_asked_for(noisy: Path, caplog: pytest.LogCaptureFixture) -> None:
    adapt(small(noisy, degradation=DegradationSettings()))
    assert len([*(noisy / "out/cache").glob("matched-*.json")]) == 1
    assert not caplog.text
    folder(noisy / "smooth", count=2, height=24, width=24)
    adapt(small(noisy, degradation=DegradationSettings(), real=noisy / "smooth", out=noisy / "other"))
    assert "there is nothing to match; the clean photographs get white+camera instead" in caplog.text
    with pytest.raises(UserError, match="there is nothing to match"):
        adapt(small(noisy, degradation=MATCHED, real=noisy / "smooth", out=noisy / "asked"))


def test_weights_that_are_missing_are_named_before_anything_is_looked_at(
    noisy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = small(noisy, degradation=MATCHED, restorer=RestorerSettings(start=noisy / "none.safetensors"))
    with pytest.raises(UserError, match=r"none\.safetensors does not exist"):
        adapt(settings)
    assert "looking for" not in capfd.readouterr().err


def test_it_needs_photographs_in_a_folder_and_no_strength(noisy: Path) -> None:
    with pytest.raises(UserError, match=r"--real is missing: .*\(or another --degradation\.kind\)"):
        adapt(small(noisy, strategy="synthetic", real=None, degradation=MATCHED))
    with pytest.raises(UserError, match=r"--degradation\.strength cannot be given for matched"):
        describe(small(noisy, degradation=DegradationSettings(kind="matched", strength=(1.0, 2.0))))
    described = describe(small(noisy, degradation=MATCHED))
    assert described.images["real"] == 2
    assert not (noisy / "out").exists()


def test_without_a_strategy_matched_pairs_need_no_diffusion_model(noisy: Path) -> None:
    by_hand = AdaptSettings(clean=noisy / "clean", real=noisy / "real")
    assert (by_hand.matches, strategy(by_hand)) == (True, "neighbor2neighbor")
    assert strategy(AdaptSettings()) == "noise-space"
    for settings in (
        replace(by_hand, strategy="auto", degradation=DegradationSettings(kind="white")),
        replace(by_hand, strategy="auto", reference=noisy / "clean"),
        AdaptSettings(pairs=noisy / "clean", real=noisy / "real"),
        replace(by_hand, strategy="noise-space"),
    ):
        assert strategy(settings) == "noise-space"
    assert "strategy neighbor2neighbor, degradation matched to the photographs" in str(describe(by_hand))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["matched", "camera-shake+matched"])
def test_blur_is_matched_by_kernels(noisy: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    settings = small(noisy, task="deblur", strategy="synthetic", degradation=DegradationSettings(kind=kind))
    summary = adapt(settings)
    assert "the photographs look like blur of " in capfd.readouterr().err
    (kept,) = (noisy / "out/cache").glob("matched-*.json")
    assert len(json.loads(kept.read_text())["kernels"]) == 2
    assert summary.images["real"] == 2
    by_hand = replace(settings, strategy="auto", degradation=DegradationSettings())
    assert strategy(by_hand) == "mean-teacher", "Neighbor2Neighbor is for noise"
    assert by_hand.matches


@pytest.mark.slow
def test_jpeg_is_matched_by_the_tables_of_the_files(
    noisy: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for index, path in enumerate(sorted((noisy / "real").iterdir())):
        with PIL.Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(".jpg"), quality=20 + 10 * index)
        path.unlink()
    settings = small(noisy, task="dejpeg", strategy="auto", degradation=DegradationSettings(), proxy_pairs=4)
    assert settings.matches
    assert strategy(settings) == "mean-teacher"
    summary = adapt(settings)
    assert "the photographs look like JPEG of quality 20 to 30 (median 25, of 2 found)" in capfd.readouterr().err
    assert summary.images["real"] == 2
    for path in (noisy / "real").glob("*.jpg"):
        with PIL.Image.open(path) as image:
            image.save(path.with_suffix(".png"))
        path.unlink()
    adapt(replace(settings, out=noisy / "unknown"))
    assert "none is a JPEG file; the clean photographs get jpeg instead" in caplog.text


@pytest.mark.parametrize("task", ["derain", "deblur"])
@pytest.mark.parametrize("source", ["clean", "pairs"])
def test_without_a_strategy_rain_and_blur_have_a_late_teacher(task: Task, source: str, noisy: Path) -> None:
    settings = AdaptSettings(task=task, real=noisy / "real", **{source: noisy / source})
    assert strategy(settings) == "mean-teacher"
    assert settings.mean_teacher.start == 0.67
    assert strategy(replace(settings, reference=noisy / "clean")) == "noise-space"


def test_inputs_of_pairs_may_be_mixed_with_matched_ones(noisy: Path) -> None:
    pairs(noisy / "pairs", size=200)
    mixed = DegradationSettings(kind="pairs+matched")
    settings = small(noisy, clean=None, pairs=noisy / "pairs", degradation=mixed, strategy="synthetic")
    adapt(settings)
    assert len([*(noisy / "out/cache").glob("matched-*.json")]) == 1
