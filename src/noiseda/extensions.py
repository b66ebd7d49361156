"""Commands that other packages bring: functions that they name as entry points of ``noiseda.commands``.

Such a function is documented and typed as those of noiseda are: a parameter is a flag. Where its only parameter is
``settings``, the fields of that class are the flags, and ``--config`` reads them from a file. The class's
``presets()``, if it has any, are the files that a name stands for.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from noiseda.errors import UserError

GROUP = "noiseda.commands"

ELSEWHERE: Mapping[str, str] = {
    "compare": "noiseda compare comes with the research package, which is not installed: "
    "in a checkout of noiseda, pip install -e research (make setup does)",
}
"""Known commands of other packages -> how to get them."""


@dataclass(frozen=True)
class Extension:
    """What imports the function of another package's command."""

    point: EntryPoint

    def __call__(self) -> Callable[..., object]:
        """The function.

        Raises:
            UserError: it cannot be imported.
        """
        try:
            function: Callable[..., object] = self.point.load()
        except (ImportError, AttributeError) as error:
            package = self.point.dist.name if self.point.dist else self.point.module
            raise UserError(f"noiseda {self.point.name}, of {package}, cannot be loaded: {error}") from error
        return function


def installed() -> dict[str, Extension]:
    """The commands of other packages: name -> what imports its function."""
    return {point.name: Extension(point) for point in entry_points(group=GROUP)}


def refuse(words: Sequence[str]) -> None:
    """Say how to get the command of another package that is asked for; nothing where none is.

    Raises:
        UserError: naming the package.
    """
    if words and words[0] in ELSEWHERE:
        raise UserError(ELSEWHERE[words[0]])


def settings_of(function: Callable[..., object]) -> type[Any] | None:
    """The class whose fields are a command's flags; None where its parameters are."""
    if list(inspect.signature(function).parameters) != ["settings"]:
        return None
    found: type[Any] = typing.get_type_hints(function)["settings"]
    return found


def presets_of(settings: type[Any]) -> dict[str, Path]:
    """The settings that come with a command: name -> YAML file."""
    return dict(settings.presets()) if hasattr(settings, "presets") else {}
