"""Shards: images packed into tar files in webdataset's layout, and the index beside them that says what is in which.

The files of a sample share a key, which ends before the first dot of the name: ``scene/a.png``, or for a pair
``scene/a.input.png`` and ``scene/a.target.png``.
"""

from __future__ import annotations

import itertools
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from noiseda.address import Location, Url
from noiseda.data.download import download_text
from noiseda.errors import UserError

INDEX = "index.json"
PATTERN = "shard-*.tar"
FORMAT = "noiseda shards"
VERSION = 1
HALVES = ("input", "target")

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
    """The files of one key: one image, or input and target.

    Attributes:
        names: names in the tar file.
        contents: their bytes.
    """

    names: tuple[str, ...]
    contents: tuple[bytes, ...]


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
        return parse_index(path.read_bytes(), location)
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
    try:
        tree = json.loads(content)
        if tree["format"] != FORMAT:
            raise UserError(f"{location}: its {INDEX} is of another format ({tree['format']!r}, not {FORMAT!r})")
        if tree["version"] != VERSION:
            raise UserError(f"{location}: its {INDEX} is of version {tree['version']}; expected {VERSION}")
        found = ShardSet(location, tree["kind"], tuple(Shard(**fields) for fields in tree["shards"]))
        problem = _problem(found, tree["samples"])
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise UserError(f"{location}: its {INDEX} does not hold what `noiseda data pack` writes ({problem})")
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


def read_samples(file: BinaryIO, kind: Kind) -> Iterator[Sample]:
    """The samples of a tar file, one after another.

    Raises:
        UserError: what is wrong, without the file's name: it is no whole tar file, or a key has other files than its
            kind of sample.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for key, members in itertools.groupby((m for m in tar if m.isreg()), key=lambda m: split_key(m.name)[0]):
                files: dict[str, tuple[str, bytes]] = {}
                for member in members:
                    if member.name.startswith("/") or ".." in member.name.split("/"):
                        raise UserError(f"{member.name}: leads out of the folder")
                    reader = tar.extractfile(member)
                    assert reader is not None, "regular files have a content"
                    part = split_key(member.name)[1].partition(".")[0] if kind == "pairs" else ""
                    if part in files:
                        raise UserError(f"two files of one sample: {files[part][0]} and {member.name}")
                    files[part] = member.name, reader.read()
                expected = HALVES if kind == "pairs" else ("",)
                if set(files) != set(expected):
                    raise UserError(f"{key}: expected its {' and '.join(HALVES)}, found {', '.join(sorted(files))}")
                names, contents = zip(*(files[part] for part in expected), strict=True)
                yield Sample(names, contents)
    except tarfile.TarError as error:
        raise UserError(f"not a whole tar file ({error})") from error


def split_key(name: str) -> tuple[str, str]:
    """Key and extension of a file, as webdataset tells them apart.

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
        return FORMAT.encode() in (folder / INDEX).read_bytes()
    except OSError:
        return False


def _problem(found: ShardSet, samples: Any) -> str | None:  # noqa: ANN401 (whatever JSON holds)
    if found.kind not in ("single", "pairs"):
        return f"kind {found.kind!r}"
    for shard in found.shards:
        if not re.fullmatch(r"[\w-][\w.-]*", shard.name) or not re.fullmatch(r"[0-9a-f]{64}", shard.sha256):
            return f"shard {shard.name!r} with sha256 {shard.sha256!r}"
        if not all(type(number) is int and number > 0 for number in (shard.bytes, shard.samples)):
            return f"{shard.name}: {shard.bytes} bytes, {shard.samples} samples"
    if len({shard.name for shard in found.shards}) < len(found.shards) or not found.shards:
        return f"{len(found.shards)} shards, not all of different names" if found.shards else "no shards"
    return None if samples == len(found) else f"{samples} samples, but its shards hold {len(found)}"
