"""Shards: images packed into tar files in webdataset's layout, and the index beside them that says what is in which.

The files of a sample share a key, which ends before the first dot of the name: ``scene/a.png``, or for a pair
``scene/a.input.png`` and ``scene/a.target.png``.
"""

from __future__ import annotations

import errno
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from noiseda.address import Location, Url
from noiseda.data.download import LARGEST_INDEX, download_text
from noiseda.data.tar_members import Member, members, shown
from noiseda.errors import UserError

INDEX = "index.json"
PATTERN = "shard-*.tar"
FORMAT = "noiseda shards"
VERSION = 1
HALVES = ("input", "target")
LARGEST_SHARD = 10**12
"""Bytes of the largest shard that an index may list."""

_BLOCK = 512  # bytes that a file takes at least in a tar file
_PARTS = 8  # files of a sample beyond which no more are listed

Kind = Literal["single", "pairs"]


@dataclass(frozen=True)
class Shard:
    """One tar file.

    Attributes:
        name: its file name.
        bytes: its size.
        sha256: digest of its content.
        samples: images (or pairs) in it.
    """

    name: str
    bytes: int
    sha256: str
    samples: int


@dataclass(frozen=True)
class ShardSet:
    """The shards of a folder; its length is the number of samples.

    Attributes:
        location: the folder that holds them, or its address.
        kind: whether a sample is a single image or an (input, target) pair.
        shards: the tar files.
    """

    location: Location
    kind: Kind
    shards: tuple[Shard, ...]

    def __len__(self) -> int:
        return sum(shard.samples for shard in self.shards)

    def __str__(self) -> str:
        return str(self.location)


@dataclass(frozen=True)
class Sample:
    """The files of one key, to be packed: one image, or input and target.

    Attributes:
        names: names in the tar file.
        contents: their bytes.
    """

    names: tuple[str, ...]
    contents: tuple[bytes, ...]


@dataclass(frozen=True)
class Packed:
    """The files of one key in a tar file: one image, or input and target.

    Attributes:
        members: where they are.
    """

    members: tuple[Member, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the tar file, for messages and logs."""
        return tuple(member.label for member in self.members)


def find_shards(location: Location) -> ShardSet | None:
    """The shards at a location, as its index lists them; no shard is read.

    Returns:
        The set; None for a folder of this machine that holds no shards.

    Raises:
        UserError: an index that is missing, cannot be read or is not of this format; an address that does not answer.
    """
    if isinstance(location, Url):
        if location.folder is None:
            return parse_index(download_text(location.file(INDEX), of=location), location)
        location = location.folder
    path = location / INDEX
    if not _holds_shards(location):
        return None
    try:
        return parse_index(_start_of(path), location)
    except FileNotFoundError as error:
        raise UserError(
            f"{location}: holds shards but no {INDEX}; was packing them cut off? Pack them again"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def parse_index(content: bytes, location: Location) -> ShardSet:
    """Understand an index.

    Args:
        content: of the file.
        location: the folder it lies in.

    Raises:
        UserError: naming the location and what is wrong.
    """
    if len(content) > LARGEST_INDEX:
        raise UserError(f"{location}: its {INDEX} has more than {LARGEST_INDEX / 1e6:.0f} MB")
    try:
        tree = json.loads(content)
        if tree["format"] != FORMAT:
            given = shown(repr(tree["format"]))
            raise UserError(f"{location}: its {INDEX} is of another format ({given}, not {FORMAT!r})")
        if tree["version"] != VERSION:
            raise UserError(f"{location}: its {INDEX} is of version {shown(str(tree['version']))}; expected {VERSION}")
        found = ShardSet(location, tree["kind"], tuple(Shard(**fields) for fields in tree["shards"]))
        problem = _problem(found, tree["samples"])
    except RecursionError:
        problem = "too deeply nested"
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise UserError(f"{location}: its {INDEX} does not hold what `noiseda data pack` writes ({shown(problem)})")
    return found


def index_of(shards: ShardSet, left_out: list[dict[str, str]]) -> bytes:
    """The content of an index; ``left_out`` lists the images that could not be packed: path and reason."""
    tree = {
        "format": FORMAT,
        "version": VERSION,
        "kind": shards.kind,
        "samples": len(shards),
        "shards": [asdict(shard) for shard in shards.shards],
        "left_out": left_out,
    }
    return (json.dumps(tree, indent=1) + "\n").encode()


def read_samples(file: BinaryIO, kind: Kind, *, most: int | None = None) -> Iterator[Packed]:
    """The samples of a tar file, one after another.

    Args:
        file: the tar file; its position may be moved meanwhile.
        kind: what a sample is.
        most: how many samples it is to hold.

    Raises:
        UserError: what is wrong, without the file's name: it is no whole tar file, a key has other files than its kind
            of sample, or there are too many.
    """
    for number, (key, found) in enumerate(itertools.groupby(members(file), key=lambda one: split_key(one.name)[0])):
        if number == most:
            raise UserError(f"holds more samples than {INDEX} says ({most})")
        files: dict[str, Member] = {}
        for member in found:
            part = split_key(member.name)[1].partition(".")[0] if kind == "pairs" else ""
            if part in files:
                raise UserError(f"two files of one sample: {files[part].label} and {member.label}")
            files[part] = member
            if len(files) > _PARTS:
                break
        expected = HALVES if kind == "pairs" else ("",)
        if set(files) != set(expected):
            listed = shown(", ".join(sorted(files)))
            raise UserError(f"{shown(key)}: expected its {' and '.join(HALVES)}, found {listed}")
        yield Packed(tuple(files[part] for part in expected))


def split_key(name: str) -> tuple[str, str]:
    """Key and extension of a file, as webdataset separates them.

    >>> split_key("a.b/c.input.png")
    ('a.b/c', 'input.png')
    """
    folder, slash, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return folder + slash + stem, extension


def _holds_shards(folder: Path) -> bool:
    """Whether a folder is meant to hold shards; an ``index.json`` of something else beside images does not count."""
    if any(folder.glob(PATTERN)):
        return True
    try:
        return FORMAT.encode() in _start_of(folder / INDEX)
    except OSError:
        return False


def _start_of(path: Path) -> bytes:
    """The content of an index, or enough of it to see that it is too large."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is no file", str(path))  # a pipe would be waited for
    with path.open("rb") as file:
        return file.read(LARGEST_INDEX + 1)


def _problem(found: ShardSet, samples: Any) -> str | None:  # noqa: ANN401 (whatever JSON holds)
    if found.kind not in ("single", "pairs"):
        return f"kind {found.kind!r}"
    for shard in found.shards:
        if not re.fullmatch(r"[\w-][\w.-]{0,200}", shard.name) or not re.fullmatch(r"[0-9a-f]{64}", shard.sha256):
            return f"shard {shard.name!r} with sha256 {shard.sha256!r}"
        if not all(type(number) is int and number > 0 for number in (shard.bytes, shard.samples)):
            return f"{shard.name}: {shard.bytes} bytes, {shard.samples} samples"
        if shard.bytes > LARGEST_SHARD or shard.samples * _BLOCK > shard.bytes:
            return f"{shard.name}: {shard.bytes:.3g} bytes cannot hold {shard.samples:.3g} samples"
    if len({shard.name for shard in found.shards}) < len(found.shards) or not found.shards:
        return f"{len(found.shards)} shards, not all of different names" if found.shards else "no shards"
    return None if samples == len(found) else f"{samples} samples, but its shards hold {len(found)}"
