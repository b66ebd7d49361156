"""The command line under nonsense: every value is understood or refused in words, and a pipe that closes ends it."""

import dataclasses
import errno
import io
import os
import re
import sys
from pathlib import Path

import pytest

from noiseda import cli, help_text, streams
from noiseda.config import AdaptSettings
from noiseda.errors import UserError
from noiseda.numbers import HIGHEST, MOST, check_numbers
from noiseda.settings_file import flatten, to_tree

NONSENSE = [
    "0", "-1", "-0", "1" + "0" * 30, "1e30", "1e308", "1e999", "nan", ".nan", "inf", "-inf", "1" * 5000, "0x10",
    "1_000", "1:30", "2024-01-01", "", " ", "null", "true", "[]", "{}", "[1, 2, 3]", "[1, nan]",
    "[" + "1," * 200 + "1]",
    "{a: 1}", "{a: [1]}", "[[1, 2], [3, 4]]", "[" * 3000, "x" * 100_000, "é漢😀", "caf\udce9", "--", "-x", "../..",
    "#x", "~", "&x", "*x", "!x", "!!python/name:os.system", "%TAG", "@x", "- a", "a: b", '"x', "a\nb", "\x01", "=",
]  # fmt: skip
GIVEN = {
    "restore": ["w", "s", "o"],
    "evaluate": ["a", "b"],
    "judge": ["a", "b", "c"],
    "export": ["w"],
    "hub push": ["w", "r"],
    "hub pull": ["r", "o"],
    "data check": ["f"],
    "sample": ["p", "i"],
    "data pack": ["s", "o"],
}


def refused(run, *arguments):
    """The refusal of what is not understood, which must be in words; "" of what is."""
    try:
        run(*arguments)
    except UserError as error:
        said = str(error)
        assert not re.search(r"Parser key|<class|Traceback|typing\.|codec|Expected a", said), said
        assert len(said) < 2500
        return said
    except cli.Answer:
        pass
    return ""


@pytest.mark.slow
def test_every_kind_of_flag_understands_nonsense_or_refuses_it_in_words():
    """All flags of all commands, one of each type, in one parser."""
    kinds = {}
    for command in cli.COMMANDS:
        for action in cli.build_parser(command)._actions:
            if action.option_strings and getattr(action, "_typehint", None) is not None:
                kinds[str(action._typehint)] = action._typehint
    leaf = help_text.parser("x", "")
    for number, kind in enumerate(kinds.values()):
        leaf.add_argument(f"--f{number}", type=kind, help="x")
    help_text.polish(leaf)
    assert len(kinds) > 30
    said = []
    for number in range(len(kinds)):
        for place, value in enumerate(NONSENSE):
            words = [f"--f{number}={value}"] if place % 2 else [f"--f{number}", value]
            said.append(refused(cli.understand, words, leaf, words))
    assert sum(map(bool, said)) > len(said) / 2
    assert not any(len(line) > 500 for line in said)


@pytest.mark.parametrize("command", GIVEN)
def test_every_flag_of_a_command_takes_nonsense_or_refuses_it_in_words(command):
    leaf = cli.build_parser(command)
    positionals = [action.dest for action in leaf._actions if not action.option_strings]
    for action in leaf._actions:
        for value in NONSENSE if not action.option_strings else NONSENSE[::4]:
            words = list(GIVEN[command])
            if action.option_strings:
                words = [*words, f"{action.option_strings[0]}={value}"]
            else:
                words[positionals.index(action.dest)] = value
                words = ["--", *words]
            refused(cli.parse, [*command.split(), *words])


def numbers():
    settings = AdaptSettings()
    for name, value in flatten(to_tree(settings)).items():
        if isinstance(value, (int, float, list)) and not isinstance(value, bool) and value != []:
            yield settings, name, value


def changed(settings, name, value):
    first, _, rest = name.partition(".")
    return dataclasses.replace(settings, **{first: changed(getattr(settings, first), rest, value) if rest else value})


@pytest.mark.parametrize("number", [10**30, 10**4000, -(10**30), 1e308, float("nan"), float("inf"), float("-inf")])
def test_no_setting_takes_a_number_that_nothing_can_be_built_of(number):
    names = []
    for settings, name, value in numbers():
        wrong = [number] * len(value) if isinstance(value, list) else number
        with pytest.raises(UserError, match=re.escape(name)):
            check_numbers(changed(settings, name, wrong))
        names.append(name)
    assert len(names) > 90


def test_whole_numbers_have_bounds_that_can_be_built():
    for settings, name, value in numbers():
        if isinstance(value, int):
            last = name.rpartition(".")[2]
            check_numbers(changed(settings, name, HIGHEST.get(last, MOST)))
            with pytest.raises(UserError, match="must be at most"):
                check_numbers(changed(settings, name, HIGHEST.get(last, MOST) + 1))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("adapt --training.patch 1" + "0" * 30, "--training.patch must be at most 16,384, not about 1e30"),
        (
            "adapt --seed 99999999999999999999",
            "--seed must be at most 9,223,372,036,854,775,807, not 99999999999999999999",
        ),
        ("adapt --restorer.depth 100", "--restorer.depth must be at most 64, not 100"),
        ("adapt --training.ema_decay nan", "--training.ema_decay must be a number, not 'nan'"),
        ("adapt --training.ema_decay .nan", "--training.ema_decay must be a finite number, not nan"),
        ("restore a b c --max-megapixels .inf", "--max-megapixels must be a finite number, not inf"),
        ("restore a b c --tile 1" + "0" * 30, "--tile must be at most 1,000,000,000, not about 1e30"),
        ("adapt --steps 5", "unknown flag --steps; did you mean --training.steps?"),
        ("adapt --batch 5", "unknown flag --batch; did you mean --training.batch?"),
        ("adapt --step 5", "did you mean --sure.step?"),
        ("adapt --lr 5", "did you mean --training.learning_rate?"),
        ("adapt --epochs 5", "did you mean --training.steps?"),
        ("adapt --bs 5", "did you mean --training.batch?"),
        ("adapt --learning-rate 5", "did you mean --training.learning_rate?"),
        ("adapt --gpus 5", "did you mean --training.device?"),
        ("adapt --resume x", "did you mean --out?"),
        ("adapt --output x", "did you mean --out?"),
        ("adapt --input x", "did you mean --real?"),
        ("restore a b c --gpu 0", "did you mean --device?"),
        ("restore a b c --tile-size 8", "did you mean --tile?"),
        ("restore a b c --out", "unknown flag --out"),
        ("adapt --out", "--out needs a value: a path (one that begins with a dash: --out=-x)"),
        ("adapt --out --real", "--out needs a value: a path"),
        ("adapt --training", "--training needs a value"),
        ("adapt --config -", "--config -: no such file, and no such preset"),
        ("adapt --config=", "--config must be a file of settings, or a preset, not ''"),
        ("adapt --real=", "--real must be an address or a path or null, not ''"),
    ],
)
def test_refusals(words, said):
    assert said in refused(lambda: AdaptSettings(**cli.parse(words.split())[1]).check())


def test_the_last_of_flags_that_are_given_twice_counts():
    assert cli.parse(["restore", "a", "b", "c", "--tile", "64", "--tile=128"])[1]["tile"] == 128


class Broken(io.TextIOWrapper):
    """A stream that fails when it is written to."""

    def __init__(self, number):
        super().__init__(io.BytesIO(), encoding="utf-8")
        self.error = OSError(number, os.strerror(number))
        self.waiting = False

    def write(self, text):
        self.waiting = True
        return len(text)

    def flush(self):
        if self.waiting:
            raise self.error


@pytest.mark.parametrize("words", [[], ["adapt", "--help"], ["--version"], ["nothing-of-that-name"]])
def test_a_pipe_that_nobody_reads_ends_quietly(words, monkeypatch, capfd):
    stream = "stderr" if words == ["nothing-of-that-name"] else "stdout"
    with monkeypatch.context() as patched:
        patched.setattr(sys, stream, Broken(errno.EPIPE))
        assert cli.main(words) == 141
    assert capfd.readouterr() == ("", "")


def test_a_pipe_that_nobody_reads_without_a_buffer(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(os.fdopen(write, "wb", 0), write_through=True))
    assert cli.main(["adapt", "--help"]) == 141
    assert streams.lost() is None  # from then on it is quiet


def test_output_on_a_full_disk_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Broken(errno.ENOSPC))
    assert cli.main(["--version"]) == 2
    assert capsys.readouterr().err == "noiseda: error: standard output: No space left on device\n"


def test_closed_streams_do_no_harm(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["--version"]) == 0
    assert cli.main(["x"]) == 2


def test_what_the_machine_lacks_is_reported_and_a_fault_of_ours_is_not_hidden(monkeypatch, capsys):
    def fails(error):
        def command(folder: Path):
            """Fail."""
            raise error

        monkeypatch.setitem(cli.COMMANDS, "data check", lambda: command)
        return cli.main(["data", "check", "x"])

    assert fails(PermissionError(errno.EACCES, "Permission denied", "a/b")) == 2
    assert capsys.readouterr().err == "noiseda: error: a/b: Permission denied\n"
    assert fails(MemoryError()) == 2
    assert "memory does not suffice" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a fault"):
        fails(RuntimeError("a fault"))
    with pytest.raises(BrokenPipeError):  # of another pipe than ours
        fails(BrokenPipeError())


def test_ctrl_c_while_it_is_imported(monkeypatch, capsys):
    from noiseda import __main__

    class Interrupting:
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "noiseda.cli", Interrupting())
    monkeypatch.setattr("noiseda.cli", Interrupting(), raising=False)
    assert __main__.main() == 130
    assert capsys.readouterr().err == "stopped\n"
