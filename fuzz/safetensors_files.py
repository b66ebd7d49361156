"""Headers of safetensors files that say what is not so."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from safetensors.torch import save
from torch import Tensor

Header: TypeAlias = Callable[[Mapping[str, Tensor], random.Random], bytes]

_ODD: tuple[Any, ...] = (0, -1, 2**31, 2**63, 2**64 - 1, 10**30, 1e30, None, True, "1", "", [], {}, [0], [2**62, 4])


def of_ours(state: Mapping[str, Tensor], **metadata: str) -> bytes:
    """A file as noiseda writes it; metadata as given, and otherwise right."""
    usual = {
        "format": "noiseda/1",
        "architecture": "unet",
        "arguments": '{"channels": 3, "depth": 2, "width": 4}',
        "value_range": "0..1",
        "task": "denoise",
    }
    return bytes(save(dict(state), metadata={**usual, **metadata}))


def rewritten(data: bytes, chance: random.Random) -> bytes | None:
    """One value in the header becomes another; None where there is no header any more."""
    try:
        tree, rest = taken_apart(data)
        name = chance.choice([key for key in tree if key != "__metadata__"])
        entry = tree[name]
        match chance.choice(("dtype", "shape", "offsets", "value", "drop", "name")):
            case "dtype":
                entry["dtype"] = chance.choice(("F64", "F16", "BF16", "I8", "BOOL", "F8_E4M3", "C64", "F4", "", 3))
            case "shape":
                at = chance.randrange(len(entry["shape"]))
                entry["shape"][at] = chance.choice(_ODD)
            case "offsets":
                entry["data_offsets"][chance.randrange(2)] = chance.choice(_ODD)
            case "value":
                entry[chance.choice(tuple(entry))] = chance.choice(_ODD)
            case "drop":
                del entry[chance.choice(tuple(entry))]
            case _:
                tree[chance.choice(("", "\x1b[31m", "../a", "a" * 5000, "down.99999999.0.weight"))] = tree.pop(name)
        return put_together(tree, rest)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error):
        return None


def taken_apart(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header, and what follows."""
    size = struct.unpack_from("<Q", data)[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def put_together(tree: object, rest: bytes) -> bytes:
    """A file of a header and what follows."""
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return struct.pack("<Q", len(text)) + text + rest


def _ours(**metadata: str) -> Header:
    return lambda state, _: of_ours(state, **metadata)


def _arguments(**changes: object) -> Header:
    return _ours(arguments=json.dumps({"channels": 3, "depth": 2, "width": 4, **changes}))


def _header(text: bytes) -> Header:
    return lambda state, _: put_together(text, b"\0" * 64)


def _entry(**changes: object) -> Header:
    def make(state: Mapping[str, Tensor], _: random.Random) -> bytes:
        tree, rest = taken_apart(of_ours(state))
        name = next(key for key in tree if key != "__metadata__")
        tree[name].update(changes)
        return put_together(tree, rest)

    return make


HEADERS: dict[str, Header] = {
    "sound": _ours(),
    "depth of a million": _arguments(depth=1_000_000),
    "width of 1e30": _arguments(width=10**30),
    "width below zero": _arguments(width=-4),
    "no channels": _arguments(channels=0),
    "arguments unknown": _arguments(heads=3),
    "arguments of a list": _ours(arguments="[1, 2]"),
    "deep arguments": _ours(arguments="[" * 100_000),
    "an unknown network": _ours(architecture="\x1b[31mnet"),
    "of a format to come": _ours(format="noiseda/99"),
    "a header without an end": lambda state, _: struct.pack("<Q", 2**63) + b"{",
    "a header of nothing": _header(b""),
    "a header of a list": _header(b"[]"),
    "a deep header": _header(b'{"a":' * 50_000),
    "a shape beyond all bounds": _entry(shape=[2**40, 2**40]),
    "a shape of zeros": _entry(shape=[2**62, 0], data_offsets=[0, 0]),
    "offsets backwards": _entry(data_offsets=[64, 0]),
    "offsets beyond the end": _entry(data_offsets=[0, 2**40]),
}
"""What a header says -> what makes the file."""
