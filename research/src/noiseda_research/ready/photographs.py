r"""The photographs that the ready weights learn from: freely licensed ones out of Debian's packages, shrunk.

What lies beside this file as ``photographs.tsv`` names each with its package, author, licence and sha256. Fetch the
packages and unpack each into a folder of its name; nothing is installed::

    for package in endless-sky-high-dpi gnome-backgrounds liblemonldap-ng-portal-perl libjxl-testdata \
                   lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 mate-backgrounds palapeli-data \
                   plasma-workspace-wallpapers tuxpaint-data; do
        apt-get download "$package" && dpkg-deb -x "$package"_*.deb "unpacked/$package"
    done
    python -m noiseda_research.ready.photographs make unpacked photographs
    python -m noiseda_research.ready.photographs overlap photographs FOLDER...
    python -m noiseda_research.ready.photographs include photographs/train src/noiseda/ready/clean

Each package is of the Debian release that still had the photograph: bullseye, bookworm or trixie.

``make`` writes ``photographs/train`` and ``photographs/held-out``. ``overlap`` looks for the same pictures in other
folders, such as those of benchmarks. ``include`` writes those that come with noiseda, and who made them.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from noiseda import UserError, find_images

TABLE = Path(__file__).with_name("photographs.tsv")
SIDES = (1200, 840, 560)
"""Longest sides of what one photograph becomes, in pixels: fine structure of several sizes."""

SOFT = (800, 1200)
"""Each is also shrunk to the first of these and enlarged to the second: as soft as cameras' full resolution is, where a
lens and the demosaicing have smoothed the finest structure away, and as clean as the others."""

HELD_OUT_SIDE = 900
INCLUDED_SIDE = 840
INCLUDED = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "public domain")
"""Licences of those that come with noiseda: no more than the author's name is asked for, and the same licence again."""

THUMBNAIL = 32
"""Side in pixels of what pictures are compared by."""

SAME = 0.9
"""Correlation of two thumbnails above which they are taken for the same picture."""


@dataclass(frozen=True)
class Photograph:
    """A row of the table.

    Attributes:
        name: of the files made of it.
        package: Debian's.
        file: where it lies in the package.
        author: as the package names them.
        licence: as the package names it.
        sha256: of the file.
        part: ``train``; ``more``, gathered later, which do not come with noiseda; or ``held-out`` for choosing networks
            and recipes.
        least: by which it is shrunk at least. That takes away its noise and the traces of JPEG and demosaicing.
    """

    name: str
    package: str
    file: str
    author: str
    licence: str
    sha256: str
    part: str
    least: str = "2"


def table() -> list[Photograph]:
    """All photographs, as the table names them."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [Photograph(**row) for row in csv.DictReader(file, delimiter="\t")]


def make(unpacked: Path, out: Path) -> int:
    """Shrink all photographs into a folder; returns how many files were written.

    Raises:
        UserError: a photograph is missing, or is not the one of the table.
    """
    written = 0
    for photograph in table():
        path = unpacked / photograph.package / photograph.file
        if not path.is_file():
            raise UserError(f"{path} is missing: unpack the package {photograph.package} into {unpacked}")
        if hashlib.sha256(path.read_bytes()).hexdigest() != photograph.sha256:
            raise UserError(f"{path} is not the photograph of the table: its sha256 differs")
        learnt = photograph.part != "held-out"
        folder = out / ("train" if learnt else photograph.part)
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        sides = SIDES if learnt else (HELD_OUT_SIDE,)
        for size in sizes(picture.size, sides, float(photograph.least)):
            picture.resize(size, Image.Resampling.LANCZOS).save(folder / f"{photograph.name}-{max(size)}.png")
            written += 1
        if learnt:
            soft(picture).save(folder / f"{photograph.name}-soft.png")
            written += 1
    return written


def include(made: Path, out: Path) -> int:
    """Write the photographs that come with noiseda as JPEG, and a table of their authors; returns how many.

    Args:
        made: the ``train`` folder of :func:`make`.
        out: the folder to write.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        "# Included photographs",
        "",
        "Clean photographs that come with noiseda: `--clean noiseda:clean`, the default.",
    ]
    rows += ["Each was shrunk, and is under the licence of its own that is given here.", ""]
    rows += ["| file | author | licence | from the Debian package |", "|---|---|---|---|"]
    chosen = [one for one in table() if one.part == "train" and one.licence in INCLUDED]
    for one in chosen:
        files = {int(path.stem.rpartition("-")[2]): path for path in made.glob(f"{one.name}-[0-9]*.png")}
        side = max(side for side in files if side <= INCLUDED_SIDE)
        with Image.open(files[side]) as picture:
            picture.save(out / f"{one.name}.jpg", quality=95, subsampling=0, optimize=True)
        rows.append(f"| {one.name}.jpg | {one.author} | {one.licence} | {one.package}, {Path(one.file).name} |")
    out.with_suffix(".md").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return len(chosen)


def soft(picture: Image.Image) -> Image.Image:
    """A photograph as soft as those of full resolution."""
    (small,) = sizes(picture.size, SOFT[:1])
    growth = SOFT[1] / SOFT[0]
    large = (round(small[0] * growth), round(small[1] * growth))
    return picture.resize(small, Image.Resampling.LANCZOS).resize(large, Image.Resampling.BICUBIC)


def sizes(whole: tuple[int, int], sides: Sequence[int], least: float = 2.0) -> list[tuple[int, int]]:
    """The sizes that a photograph is shrunk to, by ``least`` at least, and each once.

    >>> sizes((2560, 1600), SIDES), sizes((1280, 1024), SIDES)
    ([(1200, 750), (840, 525), (560, 350)], [(640, 512), (560, 448)])
    """
    factors = dict.fromkeys(max(least, max(whole) / side) for side in sides)
    return [(round(whole[0] / factor), round(whole[1] / factor)) for factor in factors]


def fingerprint(picture: Image.Image) -> NDArray[np.float64]:
    """What a picture keeps when it is scaled, compressed or made noisy; of length 1.

    A grey thumbnail without its smooth part (the best polynomial of degree 2), which all pictures of a sky share.
    """
    small = picture.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float64).ravel()
    down, right = (axis.ravel() / THUMBNAIL for axis in np.mgrid[:THUMBNAIL, :THUMBNAIL])
    smooth = np.stack([np.ones_like(down), down, right, down * right, down**2, right**2], axis=1)
    rest: NDArray[np.float64] = values - smooth @ np.linalg.lstsq(smooth, values, rcond=None)[0]
    rest /= max(float(np.linalg.norm(rest)), 1e-9)
    return rest


def overlap(folder: Path, others: Sequence[Path]) -> Iterator[tuple[Path, Path, float]]:
    """The most similar picture of other folders to each of a folder, and the correlation of their thumbnails.

    Mirrored and turned pictures count as the same.
    """
    known = [path for other in others for path in find_images(other)]
    prints = np.stack([_views(path)[0] for path in known])
    for path in find_images(folder):
        similar = np.stack([prints @ view for view in _views(path)])
        nearest = int(similar.max(axis=0).argmax())
        yield path, known[nearest], float(similar[:, nearest].max())


def _views(path: Path) -> list[NDArray[np.float64]]:
    """The fingerprints of a picture in its eight orientations, its own first."""
    with Image.open(path) as opened:
        small = opened.convert("L").resize((8 * THUMBNAIL, 8 * THUMBNAIL), Image.Resampling.BOX)
    mirrored = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return [fingerprint(view.rotate(90 * turns)) for view in (small, mirrored) for turns in range(4)]


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    if len(arguments) == 3 and arguments[0] == "make":
        print(f"{make(Path(arguments[1]), Path(arguments[2]))} files")
        return 0
    if len(arguments) == 3 and arguments[0] == "include":
        print(f"{include(Path(arguments[1]), Path(arguments[2]))} photographs")
        return 0
    if len(arguments) >= 3 and arguments[0] == "overlap":
        found = sorted(overlap(Path(arguments[1]), [Path(other) for other in arguments[2:]]), key=lambda row: -row[2])
        for path, other, similar in found[:5]:
            print(f"{path.name}: most similar is {other}, correlation {similar:.2f}")
        same = sum(similar > SAME for *_, similar in found)
        print(f"{same} of {len(found)} pictures have one that is the same (above {SAME})")
        return int(same > 0)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
