"""What was asked and what will be done: one place settles, and settings stay what was asked."""

import ast
import dataclasses
from dataclasses import fields, replace
from pathlib import Path

import pytest

import noiseda
from noiseda.config import AdaptSettings, RestorerSettings, TrainingSettings
from noiseda.estimation.noise import Matched
from noiseda.settings_file import flatten, from_tree, to_tree
from noiseda.strategies import MeanTeacherSettings
from noiseda.tasks import INCLUDED
from noiseda.training import Evidence, resolve
from tests.test_config import UNUSUAL

BASE = AdaptSettings(clean=Path("clean"), real=Path("real"))


def leaves(settings, path=()):
    """Every field of a tree of settings, as a path of names."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        yield from leaves(value, (*path, field.name)) if dataclasses.is_dataclass(value) else [(*path, field.name)]


def changed(settings, path, value):
    name, *rest = path
    return replace(settings, **{name: changed(getattr(settings, name), rest, value) if rest else value})


@pytest.mark.parametrize("path", list(leaves(BASE)), ids=".".join)
def test_replacing_a_setting_is_as_if_it_had_been_given(path):
    """Nothing that was settled for other settings stays behind."""
    value = UNUSUAL
    for name in path:
        value = getattr(value, name)
    tree = to_tree(BASE)
    leaf = tree
    for name in path[:-1]:
        leaf = leaf[name]
    leaf[path[-1]] = value
    anew = from_tree(tree)
    later = changed(BASE, path, value)
    assert later == anew
    assert resolve(later) == resolve(anew)


def test_the_task_decides_the_strategy_where_none_is_asked_for():
    assert resolve(replace(BASE, task="derain")).settings.strategy == "mean-teacher"
    assert resolve(replace(replace(BASE, task="derain"), task="denoise")).settings.strategy == "neighbor2neighbor"
    assert resolve(replace(BASE, reference=Path("ref"))).settings.strategy == "noise-space"
    assert BASE.strategy == "auto"


def test_rain_from_the_ready_weights_is_held_to_psnr():
    rain = replace(BASE, task="derain")
    assert resolve(replace(rain, restorer=RestorerSettings(network="unet"))).settings.loss == "charbonnier"
    assert resolve(rain).settings.loss == "psnr"
    assert resolve(replace(rain, strategy="synthetic")).settings.loss == "psnr"
    assert resolve(replace(rain, strategy="noise-space")).settings.loss == "charbonnier"
    assert resolve(replace(rain, strategy="noise-space", loss="psnr")).settings.loss == "psnr"
    assert resolve(replace(rain, loss="charbonnier")).settings.loss == "charbonnier"
    assert resolve(BASE).settings.loss == "charbonnier"
    assert resolve(replace(BASE, task="deblur")).settings.loss == "charbonnier"


def test_nothing_is_left_open_and_what_was_asked_is_kept():
    plan = resolve(BASE)
    assert plan.asked is BASE
    flat = flatten(to_tree(plan.settings))
    assert (flat["strategy"], flat["restorer.weights"], flat["training.lr_schedule"]) == (
        "neighbor2neighbor", "denoise", "cosine"
    )  # fmt: skip
    assert flat["clean"] == str(BASE.clean)
    assert resolve(plan.settings).settings == plan.settings
    bare = resolve(AdaptSettings(real="r"))
    assert bare.asked.clean is None
    assert bare.settings.clean == Path(INCLUDED)
    assert resolve(bare.settings).settings == bare.settings
    random = resolve(replace(BASE, restorer=RestorerSettings(network="unet-residual"))).settings
    assert (random.restorer.weights, random.restorer.width, random.training.lr_schedule) == (None, 24, "cosine")


def test_a_start_that_has_learnt_cools_down():
    started = replace(BASE, restorer=RestorerSettings(start=Path("w.safetensors")))
    assert resolve(started).settings.training.lr_schedule == "cooldown"
    assert (
        resolve(replace(started, training=TrainingSettings(lr_schedule="constant"))).settings.training.lr_schedule
        == "constant"
    )


def test_the_photographs_decide_what_learns_from_them_late():
    unlike = Matched((("camera", 800.0),), alike=False)
    plan = resolve(BASE, Evidence(unlike))
    assert plan.settings.strategy == "mean-teacher"
    assert plan.settings.mean_teacher.start == BASE.neighbor2neighbor.start
    assert "a mean teacher learns from them" in plan.because[0]
    assert resolve(BASE, Evidence()).because == ()


def test_the_ready_weights_go_on_without_neighbor2neighbor_where_neighbours_do_not_share_their_noise():
    white = Evidence(Matched((("shot", 20.0),)))
    plan = resolve(BASE, white)
    assert plan.settings.strategy == "synthetic"
    assert "makes the ready weights worse" in plan.because[0]
    random = replace(BASE, restorer=RestorerSettings(network="unet-residual"))
    assert resolve(random, white).settings.strategy == "neighbor2neighbor"
    assert resolve(replace(BASE, strategy="mean-teacher"), white).settings.strategy == "mean-teacher"


def test_trees_and_settings_are_each_others_inverse():
    assert from_tree(to_tree(UNUSUAL)) == UNUSUAL
    assert from_tree({"mean_teacher": {"start": 0.5}}).mean_teacher == MeanTeacherSettings(start=0.5)
    with pytest.raises(TypeError, match="no_such"):
        from_tree({"no_such": 1})


@pytest.mark.parametrize(
    ("task", "given", "network"),
    [
        ("denoise", {}, "auto"),  # that of the ready weights
        ("denoise", {"freeze": ["intro.*"]}, "auto"),
        ("denoise", {"channels": 1}, "unet-residual"),
        ("denoise", {"start": "w.safetensors"}, "unet-residual"),
        ("denoise", {"width": 8}, "unet-residual"),
        ("denoise", {"blocks": [1, 1, 2, 1, 1, 1, 1]}, "unet-residual"),
        ("denoise", {"depth": 2}, "unet"),  # which alone has one
        ("denoise", {"network": "unet"}, "unet"),
        ("derain", {}, "auto"),
        ("deblur", {}, "auto"),
        ("dejpeg", {}, "auto"),
        ("derain", {"channels": 1}, "unet"),
        ("deblur", {"width": 8}, "unet"),
        ("dejpeg", {"width": 8}, "unet-residual"),
    ],
)
def test_the_network_is_the_tasks_where_none_is_asked_for(task, given, network):
    asked = AdaptSettings(task=task, real="r", clean="c", restorer=RestorerSettings(**given))
    asked.check()
    plan = resolve(asked)
    assert plan.settings.restorer.network == network
    assert plan.asked.restorer.network == given.get("network", "auto")


def test_a_run_is_resolved_in_one_place():
    """Called once by a run, and once by a dry run; all else compares or estimates what was asked."""
    found = []
    for path in sorted(Path(noiseda.__file__).parent.rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        found += [path.name for call in calls if getattr(call.func, "id", "") == "resolve"]
    assert found == ["cost.py", "run.py"]
