"""Pictures gone wrong, restored from a folder beside a sound one by a network that returns what it is given."""

from __future__ import annotations

import functools
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import tifffile
import torch
from PIL import Image, ImageFile
from safetensors.torch import save_file

from fuzz import mutations
from fuzz.cases import Case, Wrong, tried
from fuzz.oracle import digests, no_library_words, unharmed
from fuzz.pictures import MAKERS, PLAIN, picture
from noiseda import images
from noiseda.errors import ImageError, UserError
from noiseda.inference import restore_files
from noiseda.restoration import UNet

T = TypeVar("T")

BY_COMMAND = 50
"""Of so many cases one is tried by the command line too, in a process of its own."""


def run(case: Case, place: Path) -> str | None:
    """Restore a folder with a mutated picture, and hold what comes out against what went in."""
    name, data = mutated(case, place)
    suffix = Path(name).suffix
    source, out = place / "in", place / "out"
    source.mkdir()
    broken = source / f"case{suffix}"
    broken.write_bytes(data)
    (source / "sound.png").write_bytes(picture("rgb.png"))
    before = digests(source)
    report = restore_files(identity(place), str(source), out, device="cpu", backend="eager")
    unharmed(source, before)
    sound = images.read(source / "sound.png")
    if not torch.equal(images.read(out / "sound.png").pixels, sound.pixels):
        raise Wrong("the sound picture beside it was not restored as it should be")
    refusals = [reason for path, reason in report.skipped if path == broken]
    written = sorted(path.name for path in out.iterdir() if path.name != "sound.png" and not _is_record(path))
    if written != ([] if refusals else [broken.name]):
        raise Wrong(f"{'refused' if refusals else 'restored'}, but the folder of outputs holds {written}")
    if case.number % BY_COMMAND == 0:
        by_command(place, source, refused=bool(refusals))
    if refusals:
        if str(broken) not in refusals[0]:
            raise Wrong(f"a refusal that does not name the file: {refusals[0]}")
        return refusals[0]
    true_to(name, broken, out / broken.name)
    return None


def mutated(case: Case, place: Path) -> tuple[str, bytes]:
    """The picture of a case, and the bytes that it has become."""
    chance = case.chance
    name = list(MAKERS)[case.number % len(MAKERS)]
    data, done = picture(name), []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if chance.random() < 0.06:
            other = chance.choice([one for one in MAKERS if Path(one).suffix == Path(name).suffix])
            data = data[: chance.randrange(len(data) + 1)] + picture(other)[chance.randrange(len(picture(other))) :]
            done.append(f"spliced with {other}")
        elif data:
            mutation = chance.choice(mutations.OF_IMAGES)
            data = mutation(data, chance)
            done.append(mutation.__name__)
    tried(place, f"{name}: {', '.join(done)}")
    return name, data


def by_command(place: Path, source: Path, *, refused: bool) -> None:
    """The same by the command line.

    Raises:
        Wrong: another status than expected, or words that nobody should read.
    """
    command = [sys.executable, "-m", "noiseda", "restore", str(identity(place)), str(source), str(place / "again")]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    no_library_words(ended.stdout + ended.stderr, named=True)
    if ended.returncode != bool(refused):  # 1 where a picture was skipped
        raise Wrong(f"the command ends with {ended.returncode}: {ended.stderr[-300:]}")
    if refused and "case." not in ended.stderr + ended.stdout:
        raise Wrong("the command does not say which picture it skipped")


def true_to(name: str, source: Path, target: Path) -> None:
    """Hold an output, and what was read, against the picture before it was mutated and against another reader.

    Raises:
        Wrong: the output cannot be read, differs from what was read, is turned twice, or lacks pixels.
    """
    given, restored = images.read(source), images.read(target)
    whole(target, source)
    if given.pixels.shape != restored.pixels.shape:
        raise Wrong(f"read as {tuple(given.pixels.shape)}, written as {tuple(restored.pixels.shape)}")
    lossy = target.suffix == ".jpg" or given.bits != restored.bits
    away = (given.pixels - restored.pixels).abs().mean().item()
    if away > (0.03 if lossy and given.alpha is None else 1e-6 if not lossy else 1):
        raise Wrong(f"the network returns what it is given, but the output differs by {255 * away:.2f} of 255")
    theirs, upright = _seen(source)
    _not_turned_twice(target, theirs)
    pixels = (255 * given.pixels).round().permute(1, 2, 0).numpy()
    agrees = upright is not None and _alike(pixels, upright)
    jpeg = source.read_bytes()[:2] == b"\xff\xd8"
    if (jpeg or not agrees) and (side := _blank(pixels, name)):
        raise Wrong(f"came through without all its pixels: of one colour from the {side} on")
    if name in PLAIN and upright is not None and not agrees:
        raise Wrong(f"read otherwise than by Pillow ({_distance(pixels, upright)})")


def quiet(reader: Callable[[Path], T]) -> Callable[[Path], T]:
    """A reader that is not noiseda's, without its warnings."""

    @functools.wraps(reader)
    def read(path: Path) -> T:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reader(path)

    return read


def whole(path: Path, source: Path | None = None) -> None:
    """Read a finished file with another reader.

    Args:
        path: the file.
        source: what it was made of, where that is known. Blocks of it are carried byte for byte, damaged ones too: what
            the other reader stumbles over there, it may stumble over here.

    Raises:
        Wrong: it cannot be read, and what it was made of can.
    """
    error = _refused(path)
    if error is not None and (source is None or _refused(source) is None):
        raise Wrong(f"{path.name}: the output cannot be read by another program: {error}") from error


@quiet
def _refused(path: Path) -> Exception | None:
    """Why another reader cannot read a file; None where it can."""
    try:
        if path.suffix == ".tif":
            tifffile.imread(path)
        else:
            with Image.open(path) as image:
                image.load()
    except Exception as error:
        return error
    return None


def identity(place: Path) -> Path:
    """The weights of a network that returns what it is given, in a file beside a case's folder."""
    path = place.parent / f"identity-{os.getpid()}.safetensors"
    if not path.exists():
        save_file({name: weight.contiguous() for name, weight in UNet(width=4, depth=2).state_dict().items()}, path)
    return path


def _is_record(path: Path) -> bool:
    """What a run may leave beside its outputs to know later what is done."""
    return path.suffix in (".json", ".jsonl")


@quiet
def _seen(path: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The pixels that Pillow reads (H, W, C), as the file has them and upright; None where it refuses."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            if image.mode not in ("RGB", "L", "P", "1", "RGBA", "LA"):
                return None, None
            mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
            image.load()
            turned = Image.Transpose
            way = {2: turned.FLIP_LEFT_RIGHT, 3: turned.ROTATE_180, 4: turned.FLIP_TOP_BOTTOM, 5: turned.TRANSPOSE}
            way |= {6: turned.ROTATE_270, 7: turned.TRANSVERSE, 8: turned.ROTATE_90}
            orientation = image.getexif().get(0x0112)
            stored = image.convert(mode)
            upright = stored.transpose(way[orientation]) if orientation in way else stored
            return _bands(stored), _bands(upright)
    except Exception:
        return None, None


def _bands(image: Image.Image) -> np.ndarray:
    found = np.asarray(image).astype(np.float32)
    return found[..., None] if found.ndim == 2 else found


def _not_turned_twice(target: Path, theirs: np.ndarray | None) -> None:
    """Viewers turn what has a tag of orientation; then the pixels must be as the input has them."""
    if theirs is None or target.suffix == ".tif":  # of which Pillow turns the pixels itself
        return
    orientation = _orientation(target)
    stored, _ = _seen(target)
    if orientation != 1 and 1 <= orientation <= 8 and stored is not None and not _alike(stored, theirs, turned=False):
        raise Wrong(f"turned twice: the pixels are turned, and the tag of orientation stays ({orientation})")


@quiet
def _orientation(path: Path) -> int:
    with Image.open(path) as image:
        return int(image.getexif().get(0x0112, 1))


def _alike(one: np.ndarray, other: np.ndarray, *, turned: bool = True) -> bool:
    """Whether two readers saw the same picture, in whatever way turned; lossy decoders differ a little."""
    if sorted(one.shape[:2]) != sorted(other.shape[:2]):
        return False
    one, other = (array.mean(axis=2) if one.shape[2] != other.shape[2] else array for array in (one, other))
    flips = [np.flip(other, axes) for axes in ((), (0,), (1,), (0, 1))]
    ways = [way for flipped in flips for way in (flipped, flipped.swapaxes(0, 1))] if turned else [other]
    return any(np.mean(np.abs(one - way) > 24) < 0.02 for way in ways if way.shape == one.shape)


def _distance(one: np.ndarray, other: np.ndarray) -> str:
    if one.shape != other.shape:
        return f"{one.shape[:2]} and {other.shape[:2]}"
    return f"mean difference {np.abs(one - other).mean():.1f} of 255"


def _blank(pixels: np.ndarray, name: str) -> str | None:
    """The side from which on a fifth more of the lines are of one colour than in the picture before it was mutated."""
    for side, turns in (("bottom", 0), ("right", 3), ("top", 2), ("left", 1)):
        turned = np.rot90(pixels, turns)
        if _constant(turned) > 0.2 + max(_constant(np.rot90(_before(name), turn)) for turn in range(4)):
            return side
    return None


def _constant(pixels: np.ndarray) -> float:
    """Share of the rows, from the bottom up, that are all of one colour."""
    away = np.abs(pixels[::-1] - pixels[-1:, :1]).reshape(len(pixels), -1).max(axis=1) <= 2
    return float(len(pixels) if away.all() else np.argmin(away)) / len(pixels)


@functools.cache
def _before(name: str) -> np.ndarray:
    """The picture before it was mutated (H, W, C); noise, which has no blank rows, where it cannot be read at all."""
    try:
        with Image.open(io.BytesIO(picture(name))) as image:
            return _bands(image.convert("RGB"))
    except (OSError, UserError, ImageError):
        return np.random.default_rng(0).random((8, 8, 3)).astype(np.float32) * 255
