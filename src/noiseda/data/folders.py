"""Folders of image pairs: which degraded image belongs to which target, decided by name and never by order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os.path import isdir  # of a locked folder it says no, where pathlib raises
from pathlib import Path
from unicodedata import normalize

from noiseda.errors import ImageError, UserError
from noiseda.images import find_images, read_size

PAIRED_NAMES: tuple[tuple[str, str], ...] = (
    ("input", "target"),  # ours; Rain13K and the test sets that are packed with it
    ("blur", "sharp"),  # GoPro, one such pair in the folder of each scene
    ("blur", "gt"),  # RealBlur, likewise
    ("rain", "norain"),  # Rain100L, Rain100H
    ("noisy", "clean"),
    ("lq", "gt"),
)
"""The names that the two halves of a paired set go by: (degraded, target)."""


def pair_by_stem(inputs: Path, targets: Path, *, grown: bool = False) -> list[tuple[Path, Path]]:
    """Pair the images of two folders by their path inside the folder, without the suffix.

    ``inputs/a/1.jpg`` belongs to ``targets/a/1.png``. Both folders are searched recursively.

    Args:
        inputs: folder of one half, such as the degraded images.
        targets: folder of the other half.
        grown: whether targets may be a whole number of times as high and wide, the same for all (:func:`growth`).

    Returns:
        (input, target) for every image, sorted by name.

    Raises:
        UserError: naming the images that have no partner, share a stem, or differ in size from their partner.
    """
    return _checked(*match(inputs, targets), grown=grown)


def paired_folder(folder: Path) -> list[tuple[Path, Path]]:
    """The pairs of a set kept in one folder, in any layout of :data:`PAIRED_NAMES`.

    The two halves lie in the folder itself (``folder/input``, ``folder/target``) or, as GoPro and RealBlur have them,
    in each scene's folder (``folder/scene1/blur``, ``folder/scene1/sharp``). A stem may begin with the name of its
    half, as in ``rain/rain-001.png`` and ``norain/norain-001.png``: that prefix does not count.

    Args:
        folder: folder that holds the set.

    Returns:
        (input, target) for every image, scene by scene, sorted by name.

    Raises:
        UserError: if there are no two such folders, or more than two; and as :func:`pair_by_stem`.
    """
    halves = find_halves(folder)
    if not halves:
        expected = ", ".join(f"{inputs}/ and {targets}/" for inputs, targets in PAIRED_NAMES)
        raise UserError(f"{folder}: expected the two folders of a paired set ({expected}), found {_contents(folder)}")
    return [pair for inputs, targets in halves for pair in _checked(*match(inputs, targets, prefixed=True))]


def find_halves(folder: Path) -> list[tuple[Path, Path]]:
    """The (degraded, target) folders of a paired set: one pair of them, one for each scene, or none.

    Raises:
        UserError: if the folder is missing, or holds an ambiguous choice of such folders.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    scenes = [folder] if _halves_of(folder) else sorted(path for path in folder.iterdir() if isdir(path))
    found = {scene: _halves_of(scene) for scene in scenes}
    for scene, halves in found.items():
        if len(halves) > 1:
            named = ", ".join(f"{inputs.name}/ with {targets.name}/" for inputs, targets in halves)
            raise UserError(f"{scene}: which pairs are meant? It holds {named}")
    return [halves[0] for halves in found.values() if halves]


def match(inputs: Path, targets: Path, *, prefixed: bool = False) -> tuple[list[tuple[Path, Path]], list[str]]:
    """The pairs of two folders, and a line for each image that has no partner.

    Args:
        inputs: folder of one half.
        targets: folder of the other half.
        prefixed: whether a stem may begin with its folder's name.

    Raises:
        UserError: if two images of a folder go by the same name.
    """
    left = _by_stem(inputs, prefix=inputs.name if prefixed else None)
    right = _by_stem(targets, prefix=targets.name if prefixed else None)
    right = {renamed: right[key] for key, renamed in _as_in(left, right).items()}
    lonely = [f"{left[key]} has no partner in {targets}" for key in sorted(left.keys() - right.keys())]
    lonely += [f"{right[key]} has no partner in {inputs}" for key in sorted(right.keys() - left.keys())]
    return [(left[key], right[key]) for key in sorted(left.keys() & right.keys())], lonely


def check_sizes(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Check from the files' headers that the two images of each pair have the same height and width.

    A file that cannot be read is passed over: whoever reads it will say so.

    Raises:
        UserError: naming both files of the first pairs that differ, and their sizes.
    """
    different = [_differ(pair, *sizes) for pair, *sizes in _sizes(pairs) if sizes[0] != sizes[1]]
    if different:
        raise UserError(f"images of a pair must have the same size: {_some(different, '; ')}")


def _sizes(pairs: Iterable[tuple[Path, Path]]) -> Iterator[tuple[tuple[Path, Path], tuple[int, int], tuple[int, int]]]:
    """The pairs whose files have headers that can be read, with (height, width) of both."""
    for pair in pairs:
        try:
            yield pair, read_size(pair[0]), read_size(pair[1])
        except ImageError:
            continue


def _differ(pair: tuple[Path, Path], one: tuple[int, int], other: tuple[int, int]) -> str:
    return f"{pair[0]} is {one[1]}x{one[0]} but {pair[1]} is {other[1]}x{other[0]}"


def times(first: tuple[int, int], second: tuple[int, int]) -> int | None:
    """How many times as high and wide the second image is, given (height, width) of both; None where it is not whole.

    >>> times((20, 30), (40, 60)), times((20, 30), (40, 61))
    (2, None)
    """
    factor = second[0] // first[0]
    return factor if factor and (first[0] * factor, first[1] * factor) == second else None


def growth(pairs: Iterable[tuple[Path, Path]]) -> int:
    """How many times as high and wide as their inputs all targets are, from the files' headers: 1, or more.

    A file that cannot be read is passed over: whoever reads it will say so.

    Raises:
        UserError: naming pairs that differ in size, but not by a whole number, or not by the same one in all.
    """
    found: dict[int, tuple[Path, Path]] = {}
    different = []
    for pair, one, other in _sizes(pairs):
        factor = times(one, other)
        if factor is None:
            different.append(_differ(pair, one, other))
        else:
            found.setdefault(factor, pair)
    if different:
        raise UserError(
            "images of a pair must have the same size, or targets be a whole number of times as large: "
            f"{_some(different, '; ')}"
        )
    if len(found) > 1:
        named = [f"{second} is {factor} times as large as {first}" for factor, (first, second) in sorted(found.items())]
        raise UserError(f"targets must be larger by the same factor in all pairs: {_some(named, '; ')}")
    return next(iter(found), 1)


def _halves_of(folder: Path) -> list[tuple[Path, Path]]:
    both = [(folder / inputs, folder / targets) for inputs, targets in PAIRED_NAMES]
    return [(inputs, targets) for inputs, targets in both if isdir(inputs) and isdir(targets)]


def _by_stem(folder: Path, prefix: str | None = None) -> dict[str, Path]:
    """The images of a folder, by path inside it without suffix (and without ``prefix-`` or ``prefix_``)."""
    images: dict[str, Path] = {}
    for path in find_images(folder):
        inside = path.relative_to(folder)
        stem = inside.stem
        if prefix and stem.startswith((f"{prefix}-", f"{prefix}_")):
            stem = stem[len(prefix) + 1 :]
        key = inside.with_name(stem).as_posix()
        if key in images:
            raise UserError(f"two images go by the same name without suffix: {images[key]} and {path}")
        images[key] = path
    return images


def _as_in(left: Iterable[str], right: Iterable[str]) -> dict[str, str]:
    r"""Keys of one half as the other half spells them: names from macOS have their accents apart (NFD) from letters.

    One is taken for another only where no other could be meant; the rest stay as they are.

    >>> _as_in(["caf\u00e9"], ["cafe\u0301", "b"]) == {"cafe\u0301": "caf\u00e9", "b": "b"}
    True
    """
    left, right = set(left), set(right)
    same: dict[str, tuple[list[str], list[str]]] = {}
    for half, keys in enumerate((left - right, right - left)):
        for key in keys:
            if not key.isascii():
                same.setdefault(normalize("NFC", key), ([], []))[half].append(key)
    renamed = {theirs[0]: ours[0] for ours, theirs in same.values() if len(ours) == len(theirs) == 1}
    return {key: renamed.get(key, key) for key in right}


def _checked(pairs: list[tuple[Path, Path]], lonely: list[str], *, grown: bool = False) -> list[tuple[Path, Path]]:
    if lonely:
        raise UserError(f"images are paired by name without suffix: {_some(lonely, '; ')}")
    if grown:
        growth(pairs)
    else:
        check_sizes(pairs)
    return pairs


def _some(messages: list[str], separator: str, limit: int = 4) -> str:
    """The first few messages, and how many there are in all."""
    shown = separator.join(messages[:limit])
    return shown if len(messages) <= limit else f"{shown}{separator}… ({len(messages)} in all)"


def _contents(folder: Path) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    return _some(names, ", ") if names else "nothing"


def spread(count: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``count`` things, evenly spread.

    >>> spread(10, 3), spread(2, 5)
    ([1, 5, 8], [0, 1])
    """
    wanted = min(count, wanted)
    return [(2 * index + 1) * count // (2 * wanted) for index in range(wanted)]
