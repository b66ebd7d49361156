import re
from pathlib import Path

import pytest

from noiseda import cli
from website import flags
from website.docstrings import plain

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "flags.md").read_text(encoding="utf-8")
OWN = [name for name in cli.COMMANDS if name not in ("networks", "compare")]
"""Commands that have flags; compare is of another package."""


def without_marks(text):
    return re.sub(r"\\(.)", r"\1", re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)).replace("`", "")


@pytest.mark.parametrize("command", OWN)
def test_every_flag_is_listed_with_its_default_and_its_docstring(command):
    text = without_marks(flags.listed(command))
    actions = [one for one in cli.build_parser(command)._actions if one.dest != "help"]
    for action in actions:
        if action.help == "==SUPPRESS==":
            continue
        (entry,) = re.findall(rf"^(.*) {{ #{flags.anchor(command, action)} .flag }}\n\n:   (.*)\n", text, re.MULTILINE)
        names = [flag.replace("_", "-") for flag in action.option_strings if not flag.endswith("+")]
        assert not names or entry[0].replace("_", "-").startswith(names[0])
        assert " — default " in entry[0] or action.dest == "config" or not names
        said = " ".join(plain(action.help).replace("`", "").split())
        assert entry[1] == re.sub(r"docs/(?:[\w-]+/)*([\w-]+)\.md", lambda page: page[1].replace("-", " "), said)


def test_the_page_asks_for_each_command_and_every_anchor_is_there_once():
    assert flags.MARK.findall(PAGE) == sorted(OWN, key=flags.MARK.findall(PAGE).index)
    made = flags.on_page_markdown(PAGE, None, None, None)
    anchors = re.findall(r"\{ #(\S+) \.flag \}", made)
    assert len(anchors) == len(set(anchors)) > 150
    linked = set(re.findall(r"\]\(#([\w-]+)\)", made))
    assert linked - {"other-commands"} <= set(anchors)
    assert "`--training.steps N` — default `5000` { #flag-training-steps .flag }" in made


def test_a_section_says_which_strategies_it_belongs_to():
    text = flags.listed("adapt")
    assert "### mean_teacher\n\nFor [`--strategy`](#flag-strategy) `mean-teacher`, `source-free` alone." in text
    assert "alone." not in text.partition("### training\n")[2].partition("`--training.steps")[0]
