"""What other packages bring: commands, and strategies by name.

A command is a function that a package names as an entry point of ``noiseda.commands``. It is documented and typed as
those of noiseda are: a parameter is a flag. Where its only parameter is ``settings``, the fields of that class are the
flags, and ``--config`` reads them from a file. ``PRESETS: ClassVar[str]``, if the class has it, is a folder in the
package, whose YAML files are what a name stands for.

Strategies come as a section of the settings: a frozen dataclass that a package names as an entry point of
``noiseda.strategies``, by the section's name. Its module must not import torch, since the help reads it. It says:

- ``STRATEGIES``: the names of the strategies that it belongs to.
- ``BUILDERS``: "module:name" of a table, name of a strategy -> what builds its objective (``adaptation.Builder``).
- ``READS``, if it has any: other sections that they look at, such as "predictor".
- ``SHARDS = False``, if they cannot be trained with ``--training.shard``.
- ``LOWERS_RISK = True``, if they lower the estimated risk, which then says nothing about their result.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from noiseda.errors import UserError

GROUP = "noiseda.commands"

STRATEGIES = "noiseda.strategies"

_RESEARCH = (
    "comes with the research package, which is not installed: "
    "in a checkout of noiseda, pip install -e research (make setup does)"
)

ELSEWHERE: Mapping[str, str] = {"compare": f"noiseda compare {_RESEARCH}"}
"""Known commands of other packages -> how to get them."""

SECTIONS_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "alignment": ("mmd", "coral"),
    "blind_spot": ("blind-spot",),
    "critic": ("critic",),
    "cycada": ("cycada",),
    "dann": ("dann",),
    "dsn": ("dsn",),
    "flat_noise": ("flat-noise",),
    "pixelda": ("pixelda",),
    "score": ("score",),
    "sure": ("sure",),
    "transplant": ("transplant",),
}
"""Known sections of other packages -> the strategies that they belong to."""


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
    folder = getattr(settings, "PRESETS", None)
    package = import_module(settings.__module__.partition(".")[0])
    return {} if folder is None else presets_in(Path(str(package.__file__)).parent / folder)


def presets_in(folder: Path) -> dict[str, Path]:
    """The YAML files of a folder by name."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


@cache
def _loaded() -> tuple[dict[str, type[Any]], dict[str, str]]:
    """The sections that other packages bring, and of those that cannot be had: why, by their name."""
    found: dict[str, type[Any]] = {}
    broken: dict[str, str] = {}
    for point in sorted(entry_points(group=STRATEGIES), key=lambda point: point.name):
        package = point.dist.name if point.dist else point.module
        try:
            kind = point.load()
            _check_section(point.name, kind, found)
        except Exception as error:  # whatever another package does: the rest must work without it
            broken[point.name] = f"strategy {point.name}, of {package}, cannot be used: {error}"
        else:
            found[point.name] = kind
    return found, broken


def _check_section(name: str, kind: object, others: Mapping[str, type[Any]]) -> None:
    """Check what a package brings as a section of the settings.

    Raises:
        TypeError: it is none, or another package brought one of its names.
    """
    if not (
        isinstance(kind, type)
        and dataclasses.is_dataclass(kind)
        and hasattr(kind, "STRATEGIES")
        and hasattr(kind, "BUILDERS")
    ):
        raise TypeError("it is no dataclass with STRATEGIES and BUILDERS")
    if not name.isidentifier() or not isinstance(kind.STRATEGIES, tuple):
        raise TypeError("its name must be an identifier, and its STRATEGIES a tuple of names")
    if name in others or {*kind.STRATEGIES} & {taken for other in others.values() for taken in other.STRATEGIES}:
        raise TypeError("another package brings that name too")
    kind()  # every setting has a default


def check_free(taken: Collection[str]) -> None:
    """Check that no package names a strategy or its section as noiseda names something of its own.

    Raises:
        TypeError: one does, without which no name would be certain.
    """
    if clash := sorted({*sections(), *strategies()} & {*taken}):
        raise TypeError(f"another package brings a strategy {clash[0]}, which is a name of noiseda's own: remove it")


def sections() -> dict[str, type[Any]]:
    """The sections of settings that other packages bring: name -> class. What cannot be loaded is left out."""
    return dict(_loaded()[0])


def strategies() -> dict[str, type[Any]]:
    """The strategies that other packages bring: name -> class of the section that they belong to."""
    return {name: kind for kind in sections().values() for name in kind.STRATEGIES}


def builder_of(strategy: str) -> Callable[..., Any]:
    """What builds the objective of a strategy of another package.

    Raises:
        UserError: its package cannot be imported.
        KeyError: no package brings such a strategy.
    """
    module, _, table = str(strategies()[strategy].BUILDERS).partition(":")
    try:
        builder: Callable[..., Any] = getattr(import_module(module), table)[strategy]
    except (ImportError, AttributeError, KeyError) as error:
        raise UserError(f"--strategy {strategy}: {module}, which brings it, cannot be used: {error}") from error
    return builder


def why_no_strategy(name: str) -> str:
    """A sentence on a strategy of another package that cannot be had, after a space; nothing where none is known."""
    section = next((one for one, names in SECTIONS_ELSEWHERE.items() if name in names), name.replace("-", "_"))
    found, broken = _loaded()
    if fault := broken.get(section) or broken.get(name):
        return f" ({fault})"
    return f" ({name} {_RESEARCH})" if section in SECTIONS_ELSEWHERE and section not in found else ""


def why_refused(message: str) -> str:
    """What :func:`why_no_strategy` says of the strategy that a message on a value or a flag refuses.

    >>> why_refused("--strategy must be one of auto, synthetic, not 'mean'")
    ''
    """
    named = re.search(r"--strategy .* not '?([\w-]+)'?(?:;|$)|--(\w+)\.", message)
    return why_no_strategy(named[1] or named[2]) if named else ""


def without_missing(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of settings without the known sections of packages that are not installed, which old runs wrote down."""
    return {name: value for name, value in tree.items() if name not in SECTIONS_ELSEWHERE or name in _loaded()[0]}
