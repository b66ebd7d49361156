"""What is read from the source is what the parsers have, and reading it imports nothing that is slow to load."""

import argparse
import re
import subprocess
import sys

import pytest

from noiseda import cli, help_text, signatures
from noiseda.as_written import is_path
from noiseda.completion import flag
from noiseda.config import AdaptSettings


def taken(command):
    return (
        signatures.parameters_of(AdaptSettings) if command == "adapt" else signatures.parameters(cli.COMMANDS[command])
    )


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_it_finds_what_the_parser_has(command):
    leaf = cli.build_parser(command)
    assert signatures.summary(cli.COMMANDS[command]) == leaf.description
    has = {action.dest: action for action in leaf._actions if action.help != argparse.SUPPRESS}
    has = {name: action for name, action in has.items() if not re.fullmatch(r"config|(.*\.)?help", name)}
    found = {one.name: one for one in taken(command)}
    assert {*found} == {*has}
    for name, action in has.items():
        hint, one = help_text._hint(action), found[name]
        assert one.path == is_path(hint), name
        assert one.positional == (not action.option_strings), name
        assert one.switch == (hint is bool and not action.default), name
        assert [*one.choices] == (["true", "false"] if hint is bool and action.default else help_text._choices(hint)), (
            name
        )
        assert one.positional or flag(name) == help_text._displayed(action.option_strings[0])


def test_a_loader_must_be_as_it_is_read():
    def load():
        return signatures.summary

    with pytest.raises(TypeError, match="must end with"):
        signatures.summary(load)


SAYS_WHETHER_TORCH_WAS_LOADED = """
import contextlib, io, sys
from noiseda import cli
for words in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as refused:
        status = cli.main(words.split())
    loaded = {"torch", "scipy", "noiseda.training"} & {*sys.modules}
    assert not loaded, (words, loaded)
    assert status == (2 if "wrong" in words else 0), refused.getvalue()
"""


def test_what_only_prints_does_not_load_torch():
    words = [
        "--version", "--help", "data", "adapt --help", "adapt --help-all", "adapt --help mean-teacher",
        *(f"{name} --help" for name in cli.COMMANDS if name != "compare"),
        "adapt --training.wrong 3", "--completion bash", "--completion zsh", "--completion fish",
    ]  # fmt: skip
    program = [sys.executable, "-c", SAYS_WHETHER_TORCH_WAS_LOADED, *words]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
