"""A flag of a strategy that the run does not use is refused; a settings file may hold what it likes."""

import dataclasses
import itertools
import typing

import pytest

from noiseda import cli, strategies
from noiseda.config import AdaptSettings, DegradationSettings, Task
from noiseda.errors import UserError
from noiseda.strategies import StrategyName
from noiseda.strategy_flags import BELONGS, LEADS_TO, choices_of_auto, sections_of
from noiseda.training import resolve


def given(words):
    return AdaptSettings(**cli.parse(["adapt", *words.split()])[1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--strategy synthetic --mean_teacher.weight 2",
            "--mean_teacher.weight belongs to --strategy mean-teacher or source-free, and this run uses synthetic",
        ),
        (
            "--strategy=dann --also [sure] --critic.weight=2",
            "--critic.weight belongs to --strategy critic, and this run uses dann and sure",
        ),
        ("--mean-teacher.weight 2 --strategy sure", "--mean_teacher.weight belongs to --strategy mean-teacher or"),
        ("--flat_noise.everywhere --strategy sure", "--flat_noise.everywhere belongs to --strategy flat-noise, and"),
        ("--alignment.grid 2 --strategy dann", "--alignment.grid belongs to --strategy mmd or coral, and"),
        (
            "--predictor.width 8 --strategy mean-teacher",
            "--predictor.width belongs to --strategy noise-space or pseudo-targets or score-distillation or score",
        ),
        (
            "--strategy redegradation --pseudo_targets.gate off",
            "--pseudo_targets.gate belongs to --strategy pseudo-targets, and this run uses redegradation",
        ),
        (
            "--task derain --neighbor2neighbor.weight 2",
            "--neighbor2neighbor.weight belongs to --strategy neighbor2neighbor, and this run uses auto (which chooses "
            "among mean-teacher, noise-space for derain)",
        ),
        ("--config deblur-small --dann.weight 1", "--dann.weight belongs to --strategy dann, and this run uses auto"),
        ("--config denoise-sidd --mean_teacher.weight 1", "and this run uses noise-space"),
    ],
)
def test_a_flag_of_another_strategy_is_refused(words, said):
    with pytest.raises(UserError) as refused:
        given(words)
    assert str(refused.value).startswith(said) or said in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        "--strategy mean-teacher --mean_teacher.weight 2",
        "--strategy source-free --mean_teacher.weight 2",
        "--strategy synthetic --also [mean-teacher] --mean_teacher.weight 2",
        "--strategy neighbor2neighbor --mean_teacher.weight 2",  # which may take its place
        "--strategy score --predictor.width 8 --score.weight 2",
        "--strategy pseudo-targets --predictor.width 8 --pseudo_targets.gate off",
        "--strategy score-distillation --predictor.width 8 --score_distillation.teacher restored",
        "--strategy redegradation --redegradation.residual synthetic",
        "--strategy coral --alignment.coral 2",
        "--mean_teacher.weight 2 --neighbor2neighbor.weight 2 --objective.weight 2 --predictor.width 8",
        "--task deblur --mean_teacher.weight 2 --objective.weight 2",
        "--strategy synthetic --training.steps 2 --degradation.kind white --shards.window 2 --restorer.width 8",
    ],
)
def test_flags_of_strategies_that_the_run_may_use_are_taken(words):
    assert given(words)


def test_what_a_settings_file_says_of_other_strategies_is_taken(tmp_path):
    (tmp_path / "own.yaml").write_text("strategy: synthetic\nmean_teacher:\n  weight: 3.0\ndann: {width: 8}\n")
    assert given(f"--config {tmp_path}/own.yaml").mean_teacher.weight == 3.0
    assert given("--config deblur-small --strategy synthetic").strategy == "synthetic"  # with an objective of its own


def test_the_table_has_every_section_of_a_strategy_and_every_strategy_with_settings():
    hints = typing.get_type_hints(AdaptSettings)
    theirs = {name for name, kind in hints.items() if hasattr(kind, "STRATEGIES")}
    assert theirs | {"objective", "predictor"} == set(BELONGS)
    named = {strategy for strategies in BELONGS.values() for strategy in strategies}
    assert named == {*typing.get_args(StrategyName)} - {"synthetic"}
    assert sections_of("score") == ["predictor", "score"]


@pytest.mark.parametrize("task", typing.get_args(Task))
def test_auto_chooses_what_the_table_says(task):
    usual, white = DegradationSettings(), DegradationSettings(kind="white")
    chosen = {
        resolve(
            AdaptSettings(task=task, real="r", clean=clean, pairs=pairs, reference=reference, degradation=kind)
        ).settings.strategy
        for (clean, pairs), reference, kind in itertools.product(
            [("c", None), (None, "p")], [None, "x"], [usual, white]
        )
    }
    assert chosen | {later for name in chosen for later in LEADS_TO.get(name, ())} == set(choices_of_auto(task))


def test_what_neighbor2neighbor_leads_to_is_what_its_settings_offer():
    offered = typing.get_type_hints(strategies.Neighbor2NeighborSettings)
    both = {*typing.get_args(offered["unlike"]), *typing.get_args(offered["shared"])}
    assert {"neighbor2neighbor", "synthetic", *LEADS_TO["neighbor2neighbor"]} == both
    assert dataclasses.is_dataclass(strategies.MeanTeacherSettings)
