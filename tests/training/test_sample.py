"""``noiseda sample``, and what a run notes of its judge."""

import json

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from noiseda.adaptation.catalogue import predictor_arguments
from noiseda.cli import main
from noiseda.config import AdaptSettings, PredictorSettings, RestorerSettings, TrainingSettings
from noiseda.diffusion import build_predictor
from noiseda.diffusion.stored import Predictor, load_predictor, save_predictor
from noiseda.errors import UserError
from noiseda.images import read
from noiseda.training import adapt, checkpoints
from noiseda.training.listening import listening_charts
from noiseda.training.sample import of_run, sample
from tests.training.photographs import CLEAN, folder, save

SMALL = PredictorSettings(width=8, channel_mults=[1, 2], blocks=1, patch_size=2)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A file of a predictor, and images beside it."""
    place = tmp_path_factory.mktemp("judge")
    torch.manual_seed(0)
    network = build_predictor(SMALL)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    arguments = predictor_arguments(AdaptSettings(predictor=SMALL), conditions=2)
    save_predictor(place / "judge.safetensors", Predictor(network, "unet", arguments, "cosine"))
    for name, (height, width) in {"a": (21, 30), "b": (21, 30), "other": (20, 30)}.items():
        save(place / f"{name}.png", CLEAN[5 : 5 + height, 7 : 7 + width].astype("uint8"))
    return place


def test_it_draws_as_many_images_of_the_size_of_the_conditions(judge, tmp_path, capsys):
    words = ["sample", str(judge / "judge.safetensors"), str(judge / "a.png"), "--second", str(judge / "b.png")]
    assert main([*words, "--out", str(tmp_path), "--steps", "3", "--count", "2", "--table"]) == 0
    shown = capsys.readouterr().out
    assert "2 images drawn in 3 steps" in shown
    assert "another image in condition 2" in shown
    found = [read(path).pixels for path in sorted(tmp_path.iterdir())]
    assert [image.shape for image in found] == [(3, 21, 30)] * 2
    assert not torch.equal(*found)


def test_one_that_looks_at_no_image_draws_what_it_likes_of_the_size_of_one(judge, tmp_path):
    arguments = predictor_arguments(AdaptSettings(predictor=SMALL), conditions=0)
    path = tmp_path / "clean.safetensors"
    save_predictor(path, Predictor(build_predictor(SMALL, conditions=0), "unet", arguments))
    said = sample(path, judge / "a.png", out=tmp_path / "drawn", steps=2, count=1, table=True)
    assert read(tmp_path / "drawn" / "sample-01.png").pixels.shape == (3, 21, 30)
    assert "error" in said
    assert "condition" not in said
    with pytest.raises(UserError, match="looks at no image"):
        sample(path, judge / "a.png", second=judge / "b.png", out=tmp_path / "drawn")


def test_the_same_seed_draws_the_same(judge, tmp_path):
    def drawn(out, **changes):
        sample(judge / "judge.safetensors", judge / "a.png", out=tmp_path / out, steps=2, count=1, **changes)
        return read(tmp_path / out / "sample-01.png").pixels

    assert torch.equal(drawn("one"), drawn("two"))
    assert not torch.equal(drawn("one"), drawn("three", seed=1))
    assert drawn("small", side=8).shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 0}, "--steps must be at least 1 and at most 999"),
        ({"count": 0}, "--count must be"),
        ({"seed": -1}, "--seed must be"),
        ({"second": "other.png"}, "must be of one size, not 30 x 21 and 30 x 20"),
    ],
)
def test_what_cannot_be_is_refused(judge, tmp_path, changes, said):
    if "second" in changes:
        changes = {"second": judge / changes["second"]}
    with pytest.raises(UserError) as refused:
        sample(judge / "judge.safetensors", judge / "a.png", out=tmp_path, **changes)
    assert said in str(refused.value)


def adapted(place, out, strategies):
    """A finished run, of these strategies, on the photographs of a folder."""
    training = TrainingSettings(steps=4, batch=2, patch=16, picture_every=2, precision="fp32", device="cpu")
    adapt(
        AdaptSettings(
            real=place / "real", clean=place / "clean", out=out, strategy=strategies[0], also=strategies[1:],
            restorer=RestorerSettings(network="unet", width=4, depth=2), training=training, proxy_pairs=0,
            predictor=SMALL,
        )
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of noise-space adaptation."""
    place = tmp_path_factory.mktemp("run")
    folder(place / "clean")
    folder(place / "real")
    return adapted(place, place / "run", ["noise-space"])


def test_the_judge_of_a_run_is_that_of_its_checkpoint(finished, judge, tmp_path):
    found, kept = of_run(finished), checkpoints.latest(finished / "checkpoints")["strategy"]
    for name, weight in found.network.state_dict().items():
        assert torch.equal(weight, kept[f"denoiser.network.{name}"])
    sample(finished, judge / "a.png", out=tmp_path, steps=2, count=1)
    assert (tmp_path / "sample-01.png").exists()
    save_predictor(tmp_path / "kept.safetensors", found)
    assert load_predictor(tmp_path / "kept.safetensors").arguments == found.arguments
    with pytest.raises(UserError, match="no folder of a run"):
        of_run(tmp_path)


@pytest.mark.parametrize(
    ("strategies", "place", "takes"),
    [
        (["pseudo-targets"], "", 1),
        (["noise-space", "pseudo-targets"], "parts.0.", 2),
        (["redegradation", "pseudo-targets"], "parts.1.", 1),
        (["score-distillation", "noise-space"], "parts.1.", 2),
    ],
)
def test_the_judge_of_other_strategies_is_the_first_that_looks_at_images(finished, tmp_path, strategies, place, takes):
    run = adapted(finished.parent, tmp_path / "run", strategies)
    found, kept = of_run(run), checkpoints.latest(run / "checkpoints")["strategy"]
    assert found.arguments["conditions"] == takes
    for name, weight in found.network.state_dict().items():
        assert torch.equal(weight, kept[f"{place}denoiser.network.{name}"])


def test_judges_that_look_at_no_image_are_none(finished, tmp_path):
    with pytest.raises(UserError, match="score-distillation, which has no noise predictor that looks at images"):
        of_run(adapted(finished.parent, tmp_path / "run", ["score-distillation"]))


def test_a_run_notes_what_its_judge_listens_to(finished):
    tree = json.loads((finished / "sensitivity.json").read_text())
    assert tree["step"] == 4
    assert len(tree["rises"]) == 6
    charts = listening_charts(finished)
    assert [chart.title for chart in charts] == [
        "the judge's error with noise",
        "the judge's error with blur",
        "the judge's error with another image",
    ]
    assert {*tree["beside"]} == {"noise", "blur"}
    assert [len(chart.lines) for chart in charts] == [3, 3, 2]
    assert charts[0].lines[-1].name == "in another image"
    assert all(len(line.points) == len(tree["t"]) for chart in charts for line in chart.lines)
    board = EventAccumulator(str(finished / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("judge/noise in condition 1")] == [2, 4]
    assert "judge/text_summary" in board.Tags()["tensors"]
    assert "judge&#x27;s error with blur" in (finished / "report.html").read_text()
    assert listening_charts(finished.parent) == []
