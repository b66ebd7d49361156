"""``noiseda data pack``: a folder of images into shards, which can be served and streamed."""

from __future__ import annotations

import hashlib
import io
import itertools
import logging
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from noiseda.bars import bar
from noiseda.data.cache import Skipped, read_pixels
from noiseda.data.folders import find_halves, paired_folder
from noiseda.data.shards import HALVES, INDEX, PATTERN, Kind, Sample, Shard, ShardSet, index_of
from noiseda.errors import ImageError, UserError, none_usable
from noiseda.images import SUFFIXES, find_images, list_folder
from noiseda.storage import atomic

log = logging.getLogger(__name__)

Group = tuple[tuple[str, ...], tuple[Path, ...]]
"""The files of a sample: what they are called in the shard, and where they are."""


@dataclass(frozen=True)
class PackReport:
    """What was packed.

    Attributes:
        shards: the set, as its index lists it.
        left_out: images that cannot be used, and why.
        others: what the folder holds that is not taken, in a line or two.
    """

    shards: ShardSet
    left_out: list[Skipped]
    others: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """One line, one more for every image left out, and what was not taken."""
        size = sum(shard.bytes for shard in self.shards.shards) / 1e6
        what = "pairs" if self.shards.kind == "pairs" else "images"
        lines = [
            f"packed {len(self.shards)} {what} into {len(self.shards.shards)} shards ({size:.1f} MB): {self.shards}"
        ]
        left_out = [f"left out: {image.reason}" for image in self.left_out]
        return "\n".join(lines + [f"  {line}" for line in left_out + self.others])


def pack(
    source: Path,
    out: Path,
    *,
    shard_megabytes: float = 256.0,
    max_megapixels: float = 200.0,
    overwrite: bool = False,
) -> PackReport:
    """Pack a folder of images or pairs into tar files that stream, with an index.

    The same images give the same bytes. Image files are copied as they are. Keys are paths inside the folder without
    suffix, with ``_`` for each dot, control character or byte that is no UTF-8, and for underscores at the beginning;
    equal ones get ``-2``, ``-3``, ... at their end.

    Args:
        source: Folder of images, searched recursively, or a paired set (input/ and target/).
        out: Folder of the shards and their index.json. What a cut-off run left there is begun anew.
        shard_megabytes: Largest size of a shard in 1e6 bytes, unless a single sample is larger. All are about as large.
        max_megapixels: Images with more pixels than this are left out.
        overwrite: Replace the shards that out holds already.

    Returns:
        What was packed and what was left out.

    Raises:
        UserError: Images without partner, an empty folder, shards that are there already, a full disk.
    """
    if not shard_megabytes >= 0.001:
        raise UserError(f"--shard-megabytes must be at least 0.001, not {shard_megabytes:g}")
    kind, groups = _listed(source)
    left_out: list[Skipped] = []
    try:
        _claim(out, source, overwrite)
        sizes = [sum(_space(name, _size(path)) for name, path in zip(*group, strict=True)) for group in groups]
        numbers = split(sizes, int(shard_megabytes * 1e6))
        samples = _samples(groups, numbers, max_megapixels, left_out)
        together = itertools.groupby(samples, key=lambda one: one[0])
        shards = [
            _write(out / f"shard-{place:06d}.tar", (sample for _, sample in members))
            for place, (_, members) in enumerate(together)
        ]
        if not shards:
            raise UserError(f"{source}: {none_usable(len(groups), 'image', (one.reason for one in left_out))}")
        found = ShardSet(out, kind, tuple(shards))
        for path in out.glob(PATTERN):
            if path.name not in {shard.name for shard in shards}:
                path.unlink()
        with atomic(out / INDEX) as file:
            file.write(index_of(found, [_entry(image, source) for image in left_out]))
    except OSError as error:
        raise UserError(f"{error.filename or out}: cannot be written: {error.strerror or error}") from error
    return PackReport(found, left_out, list_folder(source, leave_out=out).notes(quiet=False))


def _listed(source: Path) -> tuple[Kind, list[Group]]:
    """The files of every sample, sorted."""
    halves = find_halves(source)
    if not halves:
        paths = find_images(source)
        if not paths:
            beside = "".join(f"; {note}" for note in list_folder(source).notes(quiet=False))
            raise UserError(f"{source}: holds no images (files that end in {', '.join(sorted(SUFFIXES))}){beside}")
        return "single", _keyed((path.relative_to(source), (path,)) for path in paths)
    pairs = paired_folder(source)
    if not pairs:
        raise UserError(f"{source}: its folders {halves[0][0].name}/ and {halves[0][1].name}/ hold no pairs")
    others = len(find_images(source)) - 2 * len(pairs)
    if others:
        log.warning("%s: %d images belong to no pair and are not packed", source, others)
    scene = 0 if halves[0][0].parent == source else 1  # parts of the path before the folder of the half

    def inside(path: Path) -> PurePath:
        parts = path.relative_to(source).parts
        return PurePath(*parts[:scene], *parts[scene + 1 :])

    return "pairs", _keyed((inside(pair[0]), pair) for pair in pairs)


def _keyed(files: Iterable[tuple[PurePath, tuple[Path, ...]]]) -> list[Group]:
    """Give each sample a key of its own."""
    groups: dict[str, Group] = {}
    for inside, paths in files:
        # A key ends at the first dot, and webdataset passes over what begins with two underscores.
        wanted = re.sub(r"[.\x00-\x1f\x7f\ud800-\udfff]", "_", inside.with_name(inside.stem).as_posix())
        wanted = re.sub(r"^_+", "_", wanted)
        numbers = itertools.count(2)
        key = wanted
        while key in groups:
            key = f"{wanted}-{next(numbers)}"
        halves = [f".{half}" for half in HALVES] if len(paths) == 2 else [""]
        groups[key] = tuple(f"{key}{half}{path.suffix}" for half, path in zip(halves, paths, strict=True)), paths
    return list(groups.values())


def _claim(out: Path, source: Path, overwrite: bool) -> None:
    """Make the folder ours; without an index, no one takes it for whole before it is."""
    if out.resolve() == source.resolve():
        raise UserError(f"{out}: the shards need a folder of their own")
    if (out / INDEX).exists() and not overwrite:
        raise UserError(f"{out}: holds shards already; --overwrite replaces them")
    out.mkdir(parents=True, exist_ok=True)
    (out / INDEX).unlink(missing_ok=True)
    for partial in out.glob(".*.part"):
        partial.unlink()


def _samples(
    groups: list[Group], numbers: list[int], max_megapixels: float, left_out: list[Skipped]
) -> Iterator[tuple[int, Sample]]:
    """Every sample with the number of its shard, read whole before, so that nothing broken is packed."""
    numbered = list(zip(numbers, groups, strict=True))
    for number, (names, paths) in bar(numbered, "packing"):
        try:
            for path in paths:
                read_pixels(path, max_megapixels)
            yield number, Sample(names, tuple(path.read_bytes() for path in paths))
        except (ImageError, OSError) as error:
            log.warning("left out: %s", error)
            left_out.append(Skipped(path, str(error)))


def split(sizes: list[int], limit: int) -> list[int]:
    """Give each sample the number of its shard, so that all shards are about as large and none counts for more.

    Args:
        sizes: of the samples in order, in bytes.
        limit: largest size of a shard, unless it holds a single sample.

    Returns:
        Numbers that never fall; some may be left out.

    >>> split([10, 10, 10, 10], 35)
    [0, 0, 1, 1]
    """
    total = sum(sizes)
    count = -(-total // limit)
    while True:
        middles = (end - size / 2 for end, size in zip(itertools.accumulate(sizes), sizes, strict=True))
        numbers = [int(middle * count / total) for middle in middles]
        held: dict[int, list[int]] = {}
        for number, size in zip(numbers, sizes, strict=True):
            held.setdefault(number, []).append(size)
        if all(sum(shard) <= limit or len(shard) == 1 for shard in held.values()):
            return numbers
        count += max(1, count // 20)


def _write(path: Path, samples: Iterable[Sample]) -> Shard:
    count = 0
    with atomic(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for count, sample in enumerate(samples, 1):  # noqa: B007 (used below)
            for name, content in zip(sample.names, sample.contents, strict=True):
                tar.addfile(_header(name, len(content)), io.BytesIO(content))
    with path.open("rb") as written:
        return Shard(path.name, path.stat().st_size, hashlib.file_digest(written, "sha256").hexdigest(), count)


def _header(name: str, size: int) -> tarfile.TarInfo:
    """A file of nobody and of no time: what is packed twice has the same bytes."""
    header = tarfile.TarInfo(name)
    header.size = size
    return header


def _space(name: str, size: int) -> int:
    """Bytes that a file takes in a shard: its header, and its content in blocks."""
    return len(_header(name, size).tobuf(tarfile.PAX_FORMAT)) + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _size(path: Path) -> int:
    """The size of a file; 0 where it is a link that leads nowhere, which reading it will say."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _entry(image: Skipped, source: Path) -> dict[str, str]:
    path = image.path.relative_to(source).as_posix()
    return {"path": path, "reason": image.reason.replace(str(image.path), path)}
