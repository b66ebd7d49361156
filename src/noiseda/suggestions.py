"""What was probably meant: the nearest of the names that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

__all__ = ["nearest"]

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "batch_size": ("training.batch",),
    "bs": ("training.batch",),
    "checkpoint": ("restorer.weights", "weights"),
    "ckpt": ("restorer.weights", "weights"),
    "crop_size": ("training.patch",),
    "dest": ("out",),
    "epochs": ("training.steps", "steps"),
    "force": ("overwrite",),
    "gpu": ("training.device", "device"),
    "gpus": ("training.device", "device"),
    "gt": ("target", "clean"),
    "input": ("real", "source"),
    "iterations": ("training.steps", "steps"),
    "iters": ("training.steps", "steps"),
    "lr": ("training.learning_rate",),
    "max_steps": ("training.steps", "steps"),
    "metric": ("protocol",),
    "model": ("restorer.weights", "weights", "restorer.network"),
    "name": ("out",),
    "num_workers": ("training.workers",),
    "output": ("out",),
    "output_dir": ("out",),
    "patch_size": ("training.patch",),
    "pretrained": ("restorer.weights", "weights"),
    "resume": ("out",),
    "save_dir": ("out",),
    "tile_size": ("tile",),
    "tile_overlap": ("overlap",),
    "tile_pad": ("overlap",),
}
"""What settings are called elsewhere -> what they are called here, the likeliest first."""

_FIRST = ("", "training", "restorer", "degradation", "predictor")
"""Groups, those first that are meant most often."""


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """``; did you mean <the nearest known name>?``, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def nearest_setting(name: str, known: Iterable[str], prefix: str = "") -> str:
    """The same for flags and settings: what they are called elsewhere, then equal last parts, then letters.

    >>> known = ["sure.step", "training.steps", "training.learning_rate", "out"]
    >>> nearest_setting("steps", known, "--"), nearest_setting("lr", known), nearest_setting("training.stepz", known)
    ('; did you mean --training.steps?', '; did you mean training.learning_rate?', '; did you mean training.steps?')
    >>> nearest_setting("training.step", known), nearest_setting("step", known)  # its own group comes first
    ('; did you mean training.steps?', '; did you mean sure.step?')
    """
    names = list(known)
    spelt = name.replace("-", "_")
    group, _, last = spelt.rpartition(".")
    if inside := _in_group(group, last, names):
        return f"; did you mean {prefix}{inside}?"
    same = [one for one in names if one.rpartition(".")[2].replace("-", "_") == last]
    if same:
        found = min(same, key=_rank)
    else:
        meant = [one for one in SYNONYMS.get(last, ()) if one in names]
        if not meant:
            return nearest(spelt, names, prefix) or _by_last_part(last, names, prefix)
        found = meant[0]
    return f"; did you mean {prefix}{found}?"


def _in_group(group: str, last: str, names: list[str]) -> str:
    """The setting of a group that is meant by a wrong last part; empty where the group has none that is near."""
    own = {one.rpartition(".")[2]: one for one in names if group and one.rpartition(".")[0] == group}
    meant = [one for one in SYNONYMS.get(last, ()) if one in own.values()]
    near = difflib.get_close_matches(last, list(own), n=1, cutoff=0.7)
    return next(iter([*meant, *(own[one] for one in near)]), "")


def _by_last_part(last: str, names: list[str], prefix: str) -> str:
    parts = {one.rpartition(".")[2]: one for one in sorted(names, key=_rank, reverse=True)}
    near = difflib.get_close_matches(last, list(parts), n=1, cutoff=0.7)
    return f"; did you mean {prefix}{parts[near[0]]}?" if near else ""


def _rank(name: str) -> int:
    group = name.rpartition(".")[0]
    return _FIRST.index(group) if group in _FIRST else len(_FIRST)
