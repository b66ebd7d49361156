"""Settings files, trees and command lines with the names of before are read as they were meant."""

import pytest

from noiseda import cli, settings_from
from noiseda.config import AdaptSettings
from noiseda.errors import UserError
from noiseda.old_names import SETTINGS
from noiseda.settings_file import flatten, read_settings, to_tree

OLD = {
    "look_alikes": 3,
    "predictor": {"multipliers": [1, 3], "stem": 2},
    "training": {"accumulate": 2, "clip": 0.5, "decay": "constant", "ema": 0.9, "forgetting": 0.3},
}
TODAY = {
    "proxy_pairs": 3, "predictor.channel_mults": [1, 3], "predictor.patch_size": 2, "training.gradient_accumulation": 2,
    "training.max_grad_norm": 0.5, "training.lr_schedule": "constant", "training.ema_decay": 0.9,
    "training.max_regression_db": 0.3,
}  # fmt: skip


def test_every_old_name_has_a_setting_today():
    known = flatten(to_tree(AdaptSettings()))
    assert set(SETTINGS.values()) == set(TODAY) <= set(known)
    assert not set(SETTINGS) & set(known)


def test_a_tree_and_a_file(tmp_path):
    (tmp_path / "old.yaml").write_text(str(OLD))
    assert flatten(read_settings(tmp_path / "old.yaml")) == TODAY
    expected = settings_from(read_settings(tmp_path / "old.yaml"))
    assert settings_from(OLD) == expected
    _, given = cli.parse(["adapt", "--config", str(tmp_path / "old.yaml")])
    assert AdaptSettings(**given) == expected
    assert {name: value for name, value in flatten(to_tree(expected)).items() if name in TODAY} == TODAY


def test_flags_in_both_spellings():
    words = [word for name, value in flatten(OLD).items() for word in (f"--{name.replace('_', '-')}", str(value))]
    _, given = cli.parse(["adapt", *words, "--training.ema=0.8"])
    found = flatten(to_tree(AdaptSettings(**given)))
    assert {name: found[name] for name in TODAY} == TODAY | {"training.ema_decay": 0.8}


def test_an_old_flag_is_taken_and_its_name_today_said(caplog):
    words = ["adapt", "--training.ema=0.99", "--look-alikes", "3"]
    assert cli.parse(words)[1]["training"].ema_decay == 0.99
    assert caplog.messages == [
        "--training.ema is now called --training.ema_decay",
        "--look-alikes is now called --proxy_pairs",
    ]


def test_both_names_at_once_are_refused():
    with pytest.raises(UserError, match=r"training\.ema and training\.ema_decay are one setting"):
        settings_from({"training": {"ema": 0.9, "ema_decay": 0.99}})
