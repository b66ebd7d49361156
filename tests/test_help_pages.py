"""The help of adapt: a page of common flags, a page a strategy, and everything."""

import typing

import pytest

from noiseda import cli, help_pages
from noiseda.errors import UserError
from noiseda.strategies import StrategyName
from noiseda.strategy_flags import sections_of


def shown(words, monkeypatch, columns="120"):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(cli.Answer) as answer:
        cli.parse(["adapt", *words.split()])
    return answer.value.text


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_the_common_flags_fit_a_page(columns, monkeypatch):
    lines = shown("--help", monkeypatch, columns).splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    assert lines == shown("--real x -h", monkeypatch).splitlines()


def test_each_common_flag_has_one_line_which_is_a_sentence_of_its_docstring(monkeypatch):
    lines = shown("--help", monkeypatch).splitlines()
    leaf = cli.build_parser("adapt")
    flags = {action.dest: action for action in leaf._actions}
    names = [name for _, names in help_pages.COMMON for name in names]
    assert 25 <= len(names) <= 35
    for name in names:
        flag = help_pages.SHORT.get(name) or f"--{name if '.' in name else name.replace('_', '-')}"
        (line,) = [line for line in lines if line.startswith(f"  {flag} ") or line == f"  {flag}"]
        sentence = help_pages.first_sentence(flags[name].help)
        assert f"  {sentence}{help_pages.Help.default_of(flags[name])}" in line, "its first sentence is too long"
    assert "  --training.steps N              Number of optimiser steps. (default: 5000)" in lines


def test_it_ends_with_how_to_see_the_rest(monkeypatch):
    text = shown("--help", monkeypatch)
    assert "mean-teacher" in text.partition("\nstrategies: ")[2]
    assert "denoise-small" in text.partition("\npresets: ")[2]
    assert "--help-all lists every flag." in text
    assert len(shown("--help-all", monkeypatch).splitlines()) > 300


@pytest.mark.parametrize("strategy", typing.get_args(StrategyName))
def test_a_strategy_has_a_page_with_its_own_flags_alone(strategy, monkeypatch):
    text = shown(f"--help {strategy}", monkeypatch)
    assert text.startswith(f"usage: noiseda adapt --strategy {strategy} [FLAGS]\n")
    flags = [line.split()[0] for line in text.splitlines() if line.startswith("  --")]
    assert {flag[2:].partition(".")[0] for flag in flags} == {*sections_of(strategy)}
    assert "--training" not in "".join(flags)
    leaf = cli.build_parser("adapt")
    for action in leaf._actions:
        if action.dest.partition(".")[0] in sections_of(strategy) and "." in action.dest:
            assert " ".join(action.help.split()) in " ".join(text.split())


def test_a_page_says_what_the_strategy_does_and_where_it_is_from(monkeypatch):
    text = " ".join(shown("--help=mean_teacher", monkeypatch).split())
    assert "L = L_res + weight(p) * L_teacher" in text
    assert "arXiv 1703.01780" in text
    assert "--mean_teacher.decay X Decay of the moving average that is the teacher. (default: 0.999)" in text
    assert "synthetic trains on synthetic pairs alone" in " ".join(shown("-h synthetic", monkeypatch).split())
    assert "synthetic has no flags of its own." in shown("-h synthetic", monkeypatch)


def test_a_section_has_a_page_too(monkeypatch):
    text = shown("--help training", monkeypatch)
    assert "--training.snapshot_every N" in text
    assert "--mean_teacher" not in text


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("mean-teachr", "--help: no strategy 'mean-teachr' (there are auto, noise-space, "),
        ("mean-teachr", "; did you mean mean-teacher?"),
        ("trainin", "; did you mean training?"),
        ("x" * 10000, "… (10,000 characters)"),
    ],
)
def test_help_on_what_there_is_not_is_refused(topic, said):
    with pytest.raises(UserError) as refused:
        cli.parse(["adapt", "--help", topic])
    assert said in str(refused.value)


def test_help_all_is_known_to_every_command():
    with pytest.raises(cli.Answer, match="usage: noiseda data check"):
        cli.parse(["data", "check", "--help-all"])


def test_help_may_come_first():
    for words, same in ((["--help", "dann"], ["adapt", "--help", "dann"]), (["-h", "restore"], ["restore", "--help"])):
        pages = []
        for asked in (words, same):
            with pytest.raises(cli.Answer) as answer:
                cli.parse(asked)
            pages.append(answer.value.text)
        assert pages[0] == pages[1]
    with pytest.raises(UserError, match="unknown command 'danm'"):
        cli.parse(["--help", "danm"])
