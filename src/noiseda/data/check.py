"""``noiseda data check``: read every image of a folder before a long run does, and name what is wrong with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from noiseda.bars import bar
from noiseda.data.check_shards import check_shards
from noiseda.data.findings import CheckReport, Finding, read_image
from noiseda.data.folders import find_halves, match, times
from noiseda.data.shards import find_shards
from noiseda.errors import UserError
from noiseda.images import SUFFIXES, Listing, Picture, list_folder


def check_folder(folder: Path, *, patch: int = 64, max_megapixels: float = 200.0) -> CheckReport:
    """Read every image of a folder, and report the broken, duplicate, mismatched and tiny ones.

    The targets of a paired set may be 2, 3 or more times as large as the inputs, the same for all pairs; that is said.

    Args:
        folder: Folder of images, searched recursively; a paired set (input/ and target/) has its pairs checked too. Or
            a folder of shards, which are compared with their index.
        patch: Images with a shorter side than this are reported: training cuts patches of this size.
        max_megapixels: Images with more pixels than this are reported, and not decoded.

    Returns:
        What was found; ``ok`` says whether nothing is wrong.

    Raises:
        UserError: The folder is missing, or holds no images; an index of shards that cannot be read.
    """
    console = Console()
    shards = find_shards(folder)
    if shards is not None:
        report = check_shards(folder, shards, patch=patch, max_megapixels=max_megapixels, console=console)
        report.show(console)
        return report
    listing = list_folder(folder)
    paths = listing.images
    if not paths:
        beside = "".join(f"; {note}" for note in listing.notes(quiet=False))
        raise UserError(f"{folder}: holds no images (files that end in {', '.join(sorted(SUFFIXES))}){beside}")
    report = CheckReport(folder, files=len(paths), pairs=None)
    halves: list[tuple[Path, Path]] = []
    try:
        halves = find_halves(folder)
    except UserError as error:
        report.problems.append(Finding("mismatch", str(error)))
    sizes: dict[Path, tuple[int, int]] = {}
    same: dict[bytes, list[Path]] = {}
    for path in bar(paths, "reading", console=console):
        picture = read_image(path, report, patch, max_megapixels, sizes)
        if picture is not None:
            same.setdefault(_digest(picture), []).append(path)
    _compare_pairs(halves, sizes, report)
    _compare_contents([group for group in same.values() if len(group) > 1], [targets for _, targets in halves], report)
    _list_others(listing, report)
    report.show(console)
    return report


def _compare_pairs(halves: list[tuple[Path, Path]], sizes: dict[Path, tuple[int, int]], report: CheckReport) -> None:
    """Every image of a paired set needs one partner, of its size, or so many times as large as those of all pairs."""
    found: list[tuple[Path, Path]] = []
    for inputs, targets in halves:
        try:
            pairs, lonely = match(inputs, targets, prefixed=True)
        except UserError as error:
            report.problems.append(Finding("mismatch", str(error)))
            continue
        report.pairs = (report.pairs or 0) + len(pairs)
        report.problems += [Finding("mismatch", message) for message in lonely]
        found += [pair for pair in pairs if pair[0] in sizes and pair[1] in sizes]
    factors = [times(sizes[first], sizes[second]) for first, second in found]
    usual = _most(factors)
    for (first, second), factor in zip(found, factors, strict=True):
        if factor != usual:
            (h1, w1), (h2, w2) = sizes[first], sizes[second]
            unlike = f", not {usual} times as large, as most targets are" if usual > 1 else ""
            report.problems.append(Finding("mismatch", f"{first} is {w1}x{h1} but {second} is {w2}x{h2}{unlike}"))
    if usual > 1:
        message = f"targets are {usual} times as large as inputs (noiseda evaluate takes them, noiseda adapt does not)"
        report.notes.append(Finding("larger targets", message))


def _most(factors: list[int | None]) -> int:
    """The most frequent whole factor, the smallest of several that are equally so; 1 where there is none."""
    counts = Counter(factor for factor in factors if factor is not None)
    return max(sorted(counts), key=lambda factor: counts[factor], default=1)


def _compare_contents(groups: list[list[Path]], targets: list[Path], report: CheckReport) -> None:
    """Equal images are wrong, but for targets: sets of several inputs for one scene repeat its target."""
    for first, *others in groups:
        if all(any(folder in path.parents for folder in targets) for path in (first, *others)):
            report.notes.append(Finding("repeated target", f"{first} and {len(others)} more hold the same pixels"))
        else:
            report.problems += [Finding("duplicate", f"{first} and {path} hold the same pixels") for path in others]


def _list_others(listing: Listing, report: CheckReport) -> None:
    """Say which files are passed over because of their names, so that no photograph goes missing unseen."""
    report.problems += [Finding("locked", f"{folder}: cannot be listed: {why}") for folder, why in listing.locked]
    for note in replace(listing, locked=[]).notes(quiet=False):
        kind, _, named = note.partition(": ")
        report.notes.append(Finding(kind, named))


def _digest(picture: Picture) -> bytes:
    """A fingerprint of the pixels; depth does not count, since 8 and 16 bits of one image are the same numbers."""
    digest = hashlib.blake2b(repr(tuple(picture.pixels.shape)).encode(), digest_size=16)
    digest.update(picture.pixels.numpy().tobytes())
    return digest.digest()
