"""Words as the parser takes them: the file in the place of a preset, and settings by their own names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from noiseda import help_text
from noiseda.as_written import shortened
from noiseda.errors import UserError
from noiseda.help_text import Parser
from noiseda.old_names import flag_by_todays_name
from noiseda.settings_file import flatten, read_settings

log = logging.getLogger(__name__)

WEIGHTS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".onnx")
"""How the names of weights files end."""

_LONG = 1000  # characters of a name from which on its beginning alone is shown


def with_presets(words: Sequence[str], known: Mapping[str, Path], leaf: Parser) -> list[str]:
    """Put the file of a preset in the place of its name, after ``--config``, and check that the file can be read.

    Args:
        words: what comes after a command.
        known: the presets: name -> file.
        leaf: the command's parser.

    Raises:
        UserError: no such file or preset, or a file that cannot be read.
    """
    found, paths = list(words), help_text.path_names(leaf)
    for index, word in enumerate(found):
        flag, equals, value = word.partition("=")
        if flag != "--config" or not (equals or index + 1 < len(found)):
            continue
        value = value if equals else found[index + 1]
        if not value:
            raise UserError(f"--config must be a file of settings, or a preset, not {value!r}")
        folder = value in known and os.path.isdir(value)  # of the preset's name: runs of its own, perhaps
        path = Path(value) if os.path.exists(value) and not folder else known.get(value)  # of any length
        if path is None:
            near = help_text.nearest(value, known)
            shown = value if len(value) < _LONG else shortened(value)
            raise UserError(f"--config {shown}: no such file, and no such preset (there are {', '.join(known)}){near}")
        tree = flatten(read_settings(path))
        if wrong := [name for name, text in tree.items() if name in paths and text == ""]:
            raise UserError(f"{wrong[0]} in {path} must be a path or null, not an empty text")
        found[index if equals else index + 1] = f"--config={path.absolute()}" if equals else str(path.absolute())
    return found


def in_full(words: Sequence[str], command: str, leaf: Parser) -> list[str]:
    """Put the settings' own names in the place of those for short, such as ``--network``, and of those they had before.

    Weights bring their own network, so that they take the place of the one in a ``--config`` too.

    >>> from noiseda.cli import build_parser
    >>> in_full(["--config", "denoise-small", "--weights", "a.pth"], "adapt", build_parser("adapt"))[2:5]
    ['--restorer.weights', 'a.pth', '--restorer.network=auto']

    What to restore, and where to, is enough for the ready weights.

    >>> in_full(["--overwrite", "photos", "restored"], "restore", build_parser("restore"))
    ['denoise', '--overwrite', 'photos', 'restored']

    Args:
        words: what comes after a command.
        command: its name.
        leaf: its parser.
    """
    if command == "restore":
        return _with_weights(words, leaf)
    if command != "adapt":
        return list(words)
    full = [flag_by_todays_name(word) for word in words]
    for before, now in zip(words, full, strict=True):
        if before != now:
            log.warning("%s is now called %s", before.partition("=")[0], now.partition("=")[0])
    full = [re.sub(r"^--network\.(?=\w)", "--restorer.", word) for word in full]
    full = [re.sub(r"^--(network|weights)(?==|$)", r"--restorer.\1", word) for word in full]
    names = {word.partition("=")[0].removeprefix("--restorer.") for word in full if word.startswith("--restorer.")}
    given = [following for word, following in pairwise([*full, ""]) if word == "--restorer.weights"]
    given += [word.partition("=")[2] for word in full if word.startswith("--restorer.weights=")]
    if any(value != "null" for value in given):
        unset = {"network": "auto", "width": "null", "depth": "null", "blocks": "null"}
        full += [f"--restorer.{name}={value}" for name, value in unset.items() if name not in names]
    return full


def _with_weights(words: Sequence[str], leaf: Parser) -> list[str]:
    """The words of ``restore``, led by the ready weights where of one path or two the first is no weights."""
    from noiseda.restoration.ready import READY  # with torch, which other commands are read without

    paths = help_text.places(words, leaf)
    if len(paths) not in (1, 2):
        return list(words)
    first = Path(paths[0])
    known = (
        (str(first) in READY and not first.is_dir())
        or first.suffix in WEIGHTS
        or (first / "restorer.safetensors").exists()
    )
    return list(words) if known else ["denoise", *words]
