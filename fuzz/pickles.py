"""What programs save with ``torch.save``, and what somebody may hide in such a file."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

State: TypeAlias = dict[str, Tensor]

Form: TypeAlias = Callable[[State, Path, random.Random], "State | None"]
"""Writes a file; returns the weights that it must give where it is taken (None: any)."""

INFLATED = 700_000_000
"""Bytes that a small file asks for: with torch's own memory, more than a process may have."""


def _saved(content: Callable[[State], object]) -> Form:
    """Saved by torch; any weights will do."""

    def write(state: State, path: Path, _: random.Random) -> State | None:
        torch.save(content(state), path)
        return None

    return write


def _wrapped(content: Callable[[State], object]) -> Form:
    """Saved by torch; what is taken must be these weights."""

    def write(state: State, path: Path, _: random.Random) -> State | None:
        torch.save(content(state), path)
        return state

    return write


def _each(change: Callable[[Tensor], Tensor]) -> Form:
    return _saved(lambda state: {name: change(weight) for name, weight in state.items()})


def _one(change: Callable[[Tensor], object]) -> Form:
    """One weight is something else."""

    def content(state: State) -> dict[str, object]:
        name = next(name for name in state if name.endswith("weight"))
        return {**state, name: change(state[name])}

    return _saved(content)


def _named(prefix: str) -> Form:
    return _wrapped(lambda state: {prefix + name: weight for name, weight in state.items()})


def _raw(state: State) -> State:
    """The weights beside averaged ones."""
    return {name: weight + 0.125 if weight.is_floating_point() else weight for name, weight in state.items()}


def _put(tensor: Tensor, place: Callable[[Tensor], float]) -> Tensor:
    found = tensor.clone()
    found.view(-1)[-1] = place(found)
    return found


def _itself(state: State) -> dict[str, Any]:
    found: dict[str, Any] = dict(state)
    found["model"] = found
    return found


def _in_a_ring(state: State) -> dict[str, Any]:
    found: dict[str, Any] = {"state_dict": {"model": {}}}
    found["state_dict"]["model"]["state_dict"] = found
    return found


def _bytes(content: bytes) -> Form:
    def write(_: State, path: Path, __: random.Random) -> State | None:
        path.write_bytes(content)
        return None

    return write


def _old(state: State, path: Path, _: random.Random) -> State | None:
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return state


def _deflated(state: State, path: Path, _: random.Random) -> State | None:
    """A sound file, packed anew by a usual zip program."""
    _repacked(state, path, lambda name, data: data, zipfile.ZIP_DEFLATED)
    return state


def _repacked(
    state: State, path: Path, change: Callable[[str, bytes], bytes | None], method: int = zipfile.ZIP_STORED
) -> None:
    """Save, and pack the members anew; those that become None are left out."""
    file = io.BytesIO()
    torch.save(state, file)
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(path, "w", method) as target:
        for name in source.namelist():
            data = change(name, source.read(name))
            if data is not None:
                target.writestr(name, data)


def _member(change: Callable[[str, bytes], bytes | None]) -> Form:
    def write(state: State, path: Path, _: random.Random) -> State | None:
        _repacked(state, path, change)
        return None

    return write


def _inflating(which: str) -> Form:
    """A member of a few kilobytes that unpacks to hundreds of megabytes."""

    def write(_: State, path: Path, __: random.Random) -> State | None:
        one = torch.zeros(1)
        file = io.BytesIO()
        torch.save({"head.weight": one}, file)
        with (
            zipfile.ZipFile(file) as source,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
        ):
            for name in source.namelist():
                data = source.read(name)
                if not name.endswith(which):
                    target.writestr(name, data)
                    continue
                with target.open(name, "w", force_zip64=True) as member:
                    # For a pickle, a text that is dropped again comes before what it holds.
                    head = data[:2] + b"\x8e" + INFLATED.to_bytes(8, "little") if which == "data.pkl" else b""
                    member.write(head)
                    for _ in range(INFLATED // 10_000_000):
                        member.write(bytes(10_000_000))
                    member.write(b"0" + data[2:] if head else b"")
        return None

    return write


def _deep(levels: int) -> bytes:
    """Dictionaries within dictionaries, as no pickler would write them."""
    return b"\x80\x02" + b"}X\x05\x00\x00\x00model" * levels + b"}" + b"s" * levels + b"."


class _Call:
    """What runs a program when it is opened."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (print, ("this must never be run",))


def _tensor_of(size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    return torch.empty_strided((1,), (1,)).zero_().as_strided(size, stride)


PICKLES: dict[str, Form] = {
    "plain": _wrapped(lambda state: state),
    "of old": _old,
    "compiled": _named("_orig_mod."),
    "Lightning": _wrapped(lambda state: {"state_dict": {f"model.{name}": weight for name, weight in state.items()}}),
    "net.": _named("net."),
    "generator.": _named("generator."),
    "net_g.": _named("net_g."),
    "in parallel": _named("module."),
    "in parallel and compiled": _named("module._orig_mod."),
    "AveragedModel": _wrapped(
        lambda state: {"n_averaged": torch.tensor(9), **{f"module.{name}": weight for name, weight in state.items()}}
    ),
    "model and ema": _wrapped(lambda state: {"model": _raw(state), "ema": state}),
    "model and model_ema": _wrapped(lambda state: {"model": _raw(state), "model_ema": state, "step": 9}),
    "params and params_ema": _wrapped(lambda state: {"params": _raw(state), "params_ema": state}),
    "deflated": _deflated,
    "float64": _each(lambda weight: weight.double()),
    "half": _each(lambda weight: weight.half()),
    "bfloat16": _each(lambda weight: weight.bfloat16()),
    "float8": _each(lambda weight: weight.to(torch.float8_e4m3fn)),
    "complex": _each(lambda weight: weight.to(torch.complex64)),
    "whole numbers": _each(lambda weight: weight.to(torch.int64)),
    "truths": _each(lambda weight: weight > 0),
    "one complex": _one(lambda weight: weight.to(torch.complex64)),
    "quantised": _one(lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)),
    "sparse": _one(lambda weight: weight.to_sparse()),
    "sparse rows": _one(lambda weight: weight.flatten(1).to_sparse_csr()),
    "meta": _one(lambda weight: weight.to("meta")),
    "all meta": _each(lambda weight: weight.to("meta")),
    "NaN": _one(lambda weight: _put(weight, lambda _: float("nan"))),
    "all NaN": _each(lambda weight: weight * float("nan")),
    "infinite": _one(lambda weight: _put(weight, lambda _: float("inf"))),
    "1e38": _one(lambda weight: _put(weight, lambda _: 1e38)),
    "zero stride": _one(lambda weight: weight.flatten()[:1].clone().expand(weight.shape)),
    "zero stride, 4 GB": _one(lambda weight: _tensor_of((2**10, 2**10, 2**10), (0, 0, 0))),
    "zero stride, 16 EB": _one(lambda weight: _tensor_of((2**31, 2**30), (0, 0))),
    "zero size": _one(lambda weight: torch.empty(2**40, 0)),
    "all zero size": _saved(lambda state: {name: torch.empty(2**30, 0, 3, 3) for name in state}),
    "transposed": _one(lambda weight: weight.transpose(0, 1)),
    "no dimensions": _each(lambda weight: weight.sum()),
    "a million channels": _saved(
        lambda state: {**state, "down.0.0.weight": _tensor_of((2**20, 3, 3, 3), (0, 0, 0, 0))}
    ),
    "5000 stages": _saved(
        lambda state: {**state, **{f"down.{stage}.0.weight": torch.zeros(4, 3, 3, 3) for stage in range(5000)}}
    ),
    "50000 names": _saved(lambda state: {**state, **dict.fromkeys(map(str, range(50000)), torch.zeros(1))}),
    "a long name": _saved(lambda state: {**state, "w" * 1_000_000: torch.zeros(1)}),
    "escape codes": _saved(lambda state: {**state, "\x1b[31mred\n": torch.zeros(1)}),
    "names that are none": _saved(lambda state: {index: weight for index, weight in enumerate(state.values())}),
    "one missing": _saved(lambda state: dict(list(state.items())[1:])),
    "itself": _saved(_itself),
    "a ring": _saved(_in_a_ring),
    "empty": _saved(lambda state: {}),
    "a list": _saved(lambda state: list(state.values())),
    "a tensor": _saved(lambda state: next(iter(state.values()))),
    "a number": _saved(lambda state: 7),
    "None": _saved(lambda state: None),
    "model of nothing": _saved(lambda state: {"model": None, "params": 3, "state_dict": []}),
    "a program": _saved(lambda state: {"state_dict": _Call()}),
    "deep": _bytes(_deep(100)),
    "very deep": _bytes(_deep(200_000)),
    "a pickle of Python": _bytes(pickle.dumps({"a": [1, 2, 3]}, protocol=2)),
    "a text that never comes": _bytes(b"\x80\x02\x8e" + (2**40).to_bytes(8, "little") + b"a"),
    "a memo of billions": _bytes(b"\x80\x02}r\xff\xff\xff\x7f."),
    "a storage that inflates": _inflating("data/0"),
    "a pickle that inflates": _inflating("data.pkl"),
    "no pickle inside": _member(lambda name, data: None if name.endswith("data.pkl") else data),
    "a storage missing": _member(lambda name, data: None if name.endswith("data/0") else data),
    "storages cut": _member(lambda name, data: data[: len(data) // 2] if "/data/" in name else data),
    "of another byte order": _member(lambda name, data: b"big" if name.endswith("byteorder") else data),
    "of a version to come": _member(lambda name, data: b"99\n" if name.endswith("version") else data),
}
"""What a file is -> what writes it."""
