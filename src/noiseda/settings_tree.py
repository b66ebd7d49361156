"""Settings of a run from a tree of plain values, as a YAML file or a dictionary holds them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonargparse

from noiseda import help_text
from noiseda.config import AdaptSettings
from noiseda.errors import UserError
from noiseda.old_names import settings_by_todays_names
from noiseda.plain_yaml import as_read, unmarked
from noiseda.settings_file import flatten, to_tree
from noiseda.suggestions import nearest_setting


def settings_from(tree: Mapping[str, Any], where: str = "settings") -> AdaptSettings:
    """Settings of a run from a tree of plain values; what is not named has its default.

    >>> settings_from({"task": "derain", "training": {"steps": 3}}).training.steps
    3

    Args:
        tree: nested dictionaries, as a settings file holds them.
        where: what the tree is called in messages.

    Raises:
        UserError: naming the setting that is unknown or of another type.
    """
    tree = settings_by_todays_names(tree)
    known = flatten(to_tree(AdaptSettings()))
    groups = {name.rpartition(".")[0] for name in known}
    for name in flatten(dict(tree)):
        if name not in known and name not in groups:
            raise UserError(f"{where}: unknown setting {name!r}{nearest_setting(name, known)}")
    leaf = _parser()
    try:
        return AdaptSettings(**unmarked(leaf.instantiate(leaf.parse_object(as_read(dict(tree)))).as_dict()))
    except jsonargparse.ArgumentError as error:
        raise UserError(f"{where}: {help_text.refusal(str(error), [], leaf)}") from error


@cache
def _parser() -> help_text.Parser:
    leaf = help_text.parser("noiseda adapt", "")
    leaf.add_class_arguments(AdaptSettings, as_group=False)
    return leaf
