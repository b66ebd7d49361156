"""``noiseda compare`` as a command: its entry point, its flags, its refusals."""

import re
from dataclasses import replace
from importlib.metadata import entry_points

import pytest

from noiseda import UserError, cli
from noiseda.numbers import check_numbers
from noiseda.settings_file import flatten, to_tree
from noiseda_research.comparison.command import compare
from noiseda_research.comparison.matrix import CompareSettings


def test_it_is_an_entry_point_of_the_installed_package():
    (point,) = entry_points(group="noiseda.commands", name="compare")
    assert point.load() is compare
    assert cli.COMMANDS["compare"]() is compare


def test_refusals_of_what_lies_deep_in_a_matrix(tmp_path, capsys):
    (file := tmp_path / "mine.yaml").write_text("simulated: {a: {clean: x, count: many}}")
    assert cli.main(["compare", "--config", str(file)]) == 2
    assert f"'count' in 'simulated' in {file} must be a whole number, not 'many'" in capsys.readouterr().err


def test_a_list_of_names_is_read_as_one():
    words = ["compare", "--only", "[matched, noise-space]", "--only-sets=[polyu]", "--seeds", "[0, 1]"]
    settings = CompareSettings(**cli.parse(words)[1])
    assert (settings.only, settings.only_sets, settings.seeds) == (["matched", "noise-space"], ["polyu"], [0, 1])


def parsed(tmp_path, *words):
    (file := tmp_path / "mine.yaml").write_text(
        "settings: {width: 8, training: {steps: 9, batch: 4}}\nsets: {dark-phone: {adapt: a, test: b}}\n"
        "strategies: {noise-space: {training: {steps: 5}}}"
    )
    return CompareSettings(**cli.parse(["compare", "--config", str(file), *words])[1])


def test_a_flag_changes_one_value_deep_in_a_matrix_and_no_other(tmp_path):
    settings = parsed(tmp_path, "--settings.training.steps", "3", "--settings.training.compile=true", "--threads", "2")
    assert settings.settings == {"width": 8, "training": {"steps": 3, "batch": 4, "compile": True}}
    assert settings.threads == 2
    settings = parsed(tmp_path, "--strategies.noise-space.training.batch", "7", "--start.training.steps", "1e3")
    assert settings.strategies == {"noise-space": {"training": {"steps": 5, "batch": 7}}}
    assert settings.start == {"training": {"steps": 1000.0}}
    settings = parsed(tmp_path, "--sets.dark-phone.test", "photos/test")
    assert (settings.sets["dark-phone"].adapt, settings.sets["dark-phone"].test) == ("a", "photos/test")


def test_a_group_that_is_named_is_replaced(tmp_path):
    assert parsed(tmp_path, "--settings.training", "{steps: 3}").settings == {"width": 8, "training": {"steps": 3}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--settings.training.steps"], "--settings.training.steps needs a value"),
        (["--settings.training.steps", "--dry-run"], "--settings.training.steps needs a value"),
        (["--settings.training.steps.x", "3"], "--settings.training.steps.x names a value inside of 9"),
        (["--settings.training.steps", "[1"], "--settings.training.steps cannot be read"),
        (["--sets.dark-phone.tst", "x"], "unknown setting 'tst'"),
    ],
)
def test_refusals_of_flags_that_name_a_value_deep_in_a_matrix(tmp_path, words, said):
    with pytest.raises(UserError, match=re.escape(said)):
        parsed(tmp_path, *words)


@pytest.mark.slow
def test_a_dry_run_lists_the_runs_and_writes_nothing(tmp_path, capsys):
    words = f"compare --config sensitivity --data {tmp_path} --out {tmp_path}/out --seeds [0] --dry-run"
    assert cli.main(words.split()) == 0
    assert "(dry run: nothing is written)" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [10**30, 1e308, float("nan"), float("-inf")])
def test_no_setting_takes_a_number_that_nothing_can_be_built_of(number):
    names = [name for name, value in flatten(to_tree(CompareSettings())).items() if type(value) is int]
    assert len(names) > 2
    for name in names:
        with pytest.raises(UserError, match=name):
            check_numbers(replace(CompareSettings(), **{name: number}))
