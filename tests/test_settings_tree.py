"""Settings of a run from a tree of plain values."""

from pathlib import Path

import pytest

from noiseda import UserError, settings_from
from noiseda.config import AdaptSettings
from noiseda.settings_file import to_tree


def test_what_is_not_named_has_its_default():
    assert settings_from({}) == AdaptSettings()
    assert settings_from(to_tree(AdaptSettings(task="derain"))) == AdaptSettings(task="derain")


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"training": {"steeps": 3}}, r"here: unknown setting 'training.steeps'; did you mean training.steps"),
        ({"training": {"steps": "many"}}, r"here: --training.steps must be a whole number, not 'many'"),
    ],
)
def test_what_is_wrong_is_said(tree, said):
    with pytest.raises(UserError, match=said):
        settings_from(tree, "here")


@pytest.mark.parametrize("name", ["#x", "~", "null", "1e3", "- a", "{", "caf\udce9"])
def test_folders_of_odd_names_are_taken_as_they_are_written(name):
    assert settings_from({"clean": name, "real": name}).clean == Path(name)
