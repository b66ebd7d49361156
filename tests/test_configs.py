"""Every shipped preset parses through the real command line, holds up against the settings' own check, and dry-runs."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
import yaml

from noiseda import cli
from noiseda.config import AdaptSettings
from noiseda.images import Picture, write
from noiseda.settings_file import flatten, to_tree
from noiseda.training import resolve

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[1] / "configs"
PARTIAL = {"gentle"}
"""Laid over another."""
PRESETS = sorted({path.stem for path in CONFIGS.glob("*.yaml")} - PARTIAL)
RIVALS = {name for name, kind in get_type_hints(AdaptSettings).items() if hasattr(kind, "STRATEGIES")}
SMALL = {"denoise": "1,975,496", "derain": "1,205,211", "deblur": "1,205,211"}
PAPER = {"denoise-sidd": ("denoise", 1e-4), "derain-spa": ("derain", 5e-5), "deblur-realblur": ("deblur", 5e-5)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Flags of --clean and of --pairs, each with --real: two noise images in every folder."""
    root = tmp_path_factory.mktemp("images")
    generator = torch.Generator().manual_seed(0)
    for folder in ("clean", "real", "pairs/input", "pairs/target"):
        (root / folder).mkdir(parents=True)
        for name in "ab":
            write(Picture(torch.rand(3, 40, 48, generator=generator)), root / folder / f"{name}.png")
    real = ["--real", str(root / "real")]
    return {"clean": ["--clean", str(root / "clean"), *real], "pairs": ["--pairs", str(root / "pairs"), *real]}


def settings_of(name, *flags):
    command, arguments = cli.parse(["adapt", "--config", str(CONFIGS / f"{name}.yaml"), *flags])
    assert command == "adapt"
    return AdaptSettings(**arguments)


def test_there_is_a_paper_and_a_small_preset_for_each_task():
    assert (
        sorted(set(cli.presets()) - PARTIAL)
        == PRESETS
        == sorted([*PAPER, "denoise-small", "derain-small", "deblur-small"])
    )
    assert {name: settings_of(name).task for name in PRESETS if name not in PAPER} == {
        "denoise-small": "denoise",
        "derain-small": "derain",
        "deblur-small": "deblur",
    }


@pytest.mark.parametrize("name", PRESETS)
def test_it_spells_out_what_the_run_computes(name):
    """No unknown setting, and none that decides the outcome left to a default that may change."""
    given = flatten(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()))
    known = flatten(to_tree(AdaptSettings()))
    assert set(given) <= set(known)
    of_the_user = {"real", "clean", "pairs", "reference", "validation", "cache", "max_megapixels", "dry_run", "seed"}
    of_the_user |= {"minutes", "ship_worse", "cache_gigabytes", "shards.window", "shards.draws"}
    of_the_user |= {
        "strategy",
        "also",
        "training.snapshot_every",
        "restorer.start",
        "restorer.weights",
        "restorer.freeze",
        "restorer.width",  # the network's own
        "restorer.depth",
        "restorer.blocks",
        "baseline",
        "predictor.start",
        "training.device",
        "training.compile",
        "training.recompute",
        "training.shard",
        "degradation.kind",
        "degradation.strength",
        "degradation.smoothed",
        "degradation.remembered",
    }
    # Those of strategies that no preset uses are their own files' business.
    of_rivals = {key for key in known if key.split(".")[0] in RIVALS}
    assert set(known) - set(given) <= of_the_user | of_rivals
    parsed = flatten(to_tree(settings_of(name)))
    assert {key: parsed[key] for key in given} == given


# The paper's for rain is for pairs, whose inputs it takes as they are.
@pytest.mark.parametrize("name", [name for name in PRESETS if name != "derain-spa"])
def test_its_settings_hold_up_once_clean_photographs_are_given(name, folders):
    settings_of(name, *folders["clean"]).check()


# Denoising presets say which noise is added to clean photographs.
@pytest.mark.parametrize("name", [name for name in PRESETS if not name.startswith("denoise")])
def test_its_settings_hold_up_once_pairs_are_given(name, folders):
    settings_of(name, *folders["pairs"]).check()


@pytest.mark.parametrize("name", PRESETS)
def test_it_dry_runs(name, folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = "pairs" if name in ("derain-spa", "deblur-realblur") else "clean"
    assert cli.main(["adapt", "--config", name, *folders[source], "--strategy", "noise-space", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    restorer, thrown_away = (
        ("8,559,171", "62,643,075") if name in PAPER else (SMALL[name.partition("-")[0]], "3,135,344")
    )
    assert restorer in shown
    assert thrown_away in shown
    assert not list(tmp_path.iterdir())


def test_the_gentle_preset_is_laid_over_another():
    alone = settings_of("deblur-small")
    gentle = settings_of("deblur-small", "--config", "gentle", "--weights", "a.pth")
    assert gentle.task == "deblur"
    assert gentle.training.learning_rate == resolve(alone).settings.training.learning_rate / 50
    assert (gentle.training.patch, gentle.training.max_regression_db) == (alone.training.patch, 0.1)
    assert settings_of("gentle").task == "denoise"


def test_the_small_denoising_preset_is_the_defaults():
    given = flatten(yaml.safe_load((CONFIGS / "denoise-small.yaml").read_text()))
    default = flatten(to_tree(AdaptSettings()))
    done = flatten(to_tree(resolve(AdaptSettings()).settings))
    default |= {key: done[key] for key in ("loss", "training.patch")}  # which the preset spells out
    own = {"out", "degradation.kind", "restorer.network"}
    assert given["restorer.network"] == "auto", "the ready weights"
    assert {key: given[key] for key in set(given) - own} == {key: default[key] for key in set(given) - own}


@pytest.mark.parametrize(("name", "task", "rate"), [(name, *values) for name, values in PAPER.items()])
def test_the_paper_presets_are_the_papers(name, task, rate):
    """Method, section 4 of arXiv 2406.18516: networks, batch, patch, rates, average, weight, ramp, margin."""
    settings = settings_of(name)
    training, objective, predictor = settings.training, settings.objective, settings.predictor
    assert settings.task == task
    restorer = settings.restorer.settled()
    assert (restorer.width, restorer.depth) == (64, 4)
    assert (predictor.width, predictor.channel_mults, predictor.blocks) == (64, [1, 2, 4, 8], 2)
    assert (predictor.patch_size, predictor.attention, predictor.dropout) == (1, True, 0.2)
    assert (objective.weight, objective.ramp, objective.margin) == (0.2, 5.0, 0.1)
    assert (objective.shuffle, objective.contrast, objective.schedule) == ("blocks", True, "linear")
    assert (training.batch, training.patch, training.ema_decay) == (24, 128, 0.9999)
    assert (training.learning_rate, training.predictor_learning_rate, training.lr_schedule) == (rate, None, "constant")
    if task == "denoise":
        assert (settings.degradation.kind, settings.degradation.strength) == ("white", (0.0, 75.0))
    else:
        assert settings.degradation.kind == ("pairs" if task == "derain" else None)


def test_a_wheel_carries_the_presets_and_nothing_of_research(tmp_path):
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=CONFIGS.parent, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in files} == {"noiseda", "noiseda-0.1.0.dist-info"}
    assert not [name for name in files if "research" in name or "matrices" in name]
    held = {name for name in files if name.startswith("noiseda/configs/")}
    assert held == {f"noiseda/configs/{name}.yaml" for name in [*PRESETS, *PARTIAL]}
