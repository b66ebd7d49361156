"""Settings as a file: a tree of plain values in YAML, kept beside every result, and compared when a run goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from noiseda import plain_yaml
from noiseda.config import AdaptSettings
from noiseda.errors import UserError
from noiseda.old_names import settings_by_todays_names
from noiseda.storage import atomic

__all__ = ["computed", "flatten", "presets", "read_settings", "write_settings"]

LARGEST = 256 * 1024
"""Bytes of a settings file that is read: a hundred times as many as any needs."""

# Settings that change how a run is observed or carried out, not what it computes: they may differ when it is resumed.
# Of batch and gradient_accumulation, the product with the number of processes is kept (training/run_directory.py).
_RESUME_FREELY = (
    "out",
    "cache",
    "cache_gigabytes",
    "dry_run",
    "training.batch",
    "training.gradient_accumulation",
    "baseline",
    "ship_worse",
    "training.checkpoint_every",
    "training.log_every",
    "training.picture_every",
    "training.snapshot_every",
    "training.workers",
    "training.recompute",
    "training.shard",
)


def presets() -> dict[str, Path]:
    """The presets that come with noiseda: name -> YAML file."""
    package = Path(__file__).parent
    folder = next(path for path in (package / "configs", package.parents[1] / "configs") if path.is_dir())
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def to_tree(settings: object) -> dict[str, Any]:
    """Settings as nested dictionaries of plain values, fit for YAML: paths are texts, tuples are lists."""

    def plain(value: object) -> object:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {name: plain(getattr(value, name)) for name in _in_order(type(value))}
        if isinstance(value, Mapping):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, (Path, str)) else value  # an address and a text read from YAML too

    tree = plain(settings)
    assert isinstance(tree, dict)
    return tree


def _in_order(kind: type[Any]) -> list[str]:
    """The names of a dataclass's fields: its own before those that it inherits."""
    names = [field.name for field in dataclasses.fields(kind)]
    return sorted(names, key=lambda name: name not in kind.__annotations__)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of settings as one dictionary of dotted names.

    >>> flatten({"seed": 0, "training": {"batch": 8}})
    {'seed': 0, 'training.batch': 8}
    """
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat.update(flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value})
    return flat


def computed(settings: AdaptSettings | Mapping[str, Any]) -> dict[str, Any]:
    """All settings that decide what a run computes, by dotted name."""
    freely = set(_RESUME_FREELY) - {"training.batch", "training.gradient_accumulation"}
    tree = settings if isinstance(settings, Mapping) else to_tree(settings)
    return {name: value for name, value in flatten(tree).items() if name not in freely}


def from_tree(tree: Mapping[str, Any], kind: type[Any] = AdaptSettings) -> Any:  # noqa: ANN401
    """Settings from nested dictionaries: the inverse of :func:`to_tree`.

    Args:
        tree: name -> value; what is not named has its default.
        kind: the dataclass.

    Raises:
        TypeError: a name is none of its settings.

    >>> from_tree({"seed": 3, "training": {"batch": 8}}).training.batch
    8
    """
    hints = get_type_hints(kind)

    def value_of(name: str, value: object) -> object:
        if isinstance(value, Mapping) and dataclasses.is_dataclass(hints.get(name)):
            return from_tree(value, hints[name])
        kinds = (hints.get(name), *get_args(hints.get(name)))
        is_range = isinstance(value, list) and any(get_origin(kind) is tuple for kind in kinds)
        return tuple(value) if is_range else value  # type: ignore[arg-type]

    return kind(**{name: value_of(name, value) for name, value in tree.items()})


def differences(before: AdaptSettings, settings: AdaptSettings) -> list[str]:
    """Settings in which a run would compute something else than an earlier one.

    Args:
        before: those of the earlier run.
        settings: those of the run to come; both with nothing left open.

    Returns:
        One line each: ``--training.steps was 4000, now is 8000``.
    """
    old, new = flatten(to_tree(before)), flatten(to_tree(settings))
    changed = [key for key in new if old[key] != new[key] and key not in _RESUME_FREELY]
    return [f"--{key} was {old[key]}, now is {new[key]}" for key in changed]


def write_settings(settings: AdaptSettings, path: Path) -> None:
    """Write settings as YAML that ``--config`` reads, whole or not at all.

    Raises:
        OSError: no room, no right.
    """
    write_tree(to_tree(settings), path)


def write_tree(tree: Mapping[str, Any], path: Path) -> None:
    """Write a tree of plain values as YAML, whole or not at all.

    Raises:
        OSError: no room, no right.
    """
    with atomic(path) as file:
        file.write(plain_yaml.dump(dict(tree)).encode())


def read_settings(path: Path) -> dict[str, Any]:
    """The tree of settings in a YAML file, by today's names.

    Raises:
        UserError: when it cannot be read or is no tree of settings: no file, too large, not UTF-8, no YAML, a name
            that stands twice, aliases that make it huge.
    """
    try:
        tree = plain_yaml.load(_text(path))
    except OSError as error:
        raise UserError(f"the settings file {path} cannot be read: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"the settings file {path} cannot be read: {plain_yaml.reason(error)}") from error
    if not isinstance(tree, dict):
        raise UserError(f"the settings file {path} holds no settings (name: value lines)")
    return settings_by_todays_names(tree)


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise UserError(f"the settings file {path} is no file" + (", but a folder" if path.is_dir() else ""))
    if (size := path.stat().st_size) > LARGEST:
        raise UserError(f"the settings file {path} is {size:,} bytes long; settings have at most {LARGEST:,}")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        found = "is UTF-16" if utf16 else f"is no UTF-8 text (byte {error.start} is {content[error.start]:#04x})"
        raise UserError(f"the settings file {path} {found}: save it as UTF-8") from error
