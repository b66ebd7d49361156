"""What counts as wrong, whatever was tried."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Callable
from pathlib import Path

from fuzz.cases import Case, Outcome, Run, Wrong, was_tried
from noiseda.errors import UserError

UNNAMED = {
    "a traceback": r"Traceback \(most recent call last\)",
    "a library's own words": r"VIPS-WARNING|VIPS-CRITICAL|GLib-|libpng (warning|error)|\b\w*Warning: ",
}
"""What nobody should read on the terminal, as regular expressions."""

NAMELESS = r"(?m)^(WARNING|ERROR): (?!.*case)"
"""A warning without the name of the file; cases' files are called so."""


def digest(path: Path) -> str:
    """The SHA-256 of a file, of which little is in memory at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def judge(run: Run, case: Case, place: Path, said: Callable[[], str]) -> Outcome:
    """Try a case.

    Args:
        run: what tries it.
        case: which one.
        place: an empty folder for it.
        said: all that was written to the terminal meanwhile.

    Returns:
        The verdict, without time and memory.
    """
    why = ""
    try:
        refusal = run(case, place)
        no_library_words(said(), named=case.kind != "flags")
        if refusal is not None:
            plain(refusal)
    except Wrong as error:
        why = str(error)
    except BaseException as error:
        (place / "traceback.txt").write_text(traceback.format_exc(), errors="replace")
        why = f"traceback: {_in_short(error)}"
    if why:
        return Outcome(case, "wrong", was_tried(place), why)
    return Outcome(case, "accepted" if refusal is None else "refused", was_tried(place), refusal or "")


def refusal_of(action: Callable[[], object]) -> str | None:
    """The sentence with which an action is refused; None where it is done."""
    try:
        action()
    except UserError as error:
        return str(error)
    return None


def plain(sentence: str) -> None:
    """Hold a refusal against what a reader can bear.

    Raises:
        Wrong: it is empty, endless, or holds a library's escape codes.
    """
    if not sentence.strip():
        raise Wrong("an empty refusal")
    if "\x1b" in sentence:
        raise Wrong(f"escape codes in the refusal: {sentence[:200]!r}")
    if longest := max((line for line in sentence.splitlines() if len(line) > 1000), default=""):
        raise Wrong(f"a refusal with a line of {len(longest)} characters: {longest[:200]}")
    no_library_words(sentence)


def no_library_words(text: str, *, named: bool = False) -> None:
    """Look at what was printed; with ``named``, every warning must name the case's file.

    Raises:
        Wrong: a traceback, or words of a library that name no file.
    """
    for name, pattern in UNNAMED.items():
        if found := re.search(pattern, text):
            raise Wrong(f"{name} on the terminal: {_around(text, found)}")
    if named and (found := re.search(NAMELESS, text)):
        raise Wrong(f"a warning that names no file: {_around(text, found)}")


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder, and the digest of its content."""
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def unharmed(folder: Path, before: dict[str, str]) -> None:
    """Compare a folder with what it held.

    Raises:
        Wrong: a file is gone, changed or new.
    """
    after = digests(folder)
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            state = "lost" if name not in after else "changed" if name in before else "new"
            raise Wrong(f"{folder.name}/{name}: {state}")


def _around(text: str, found: re.Match[str]) -> str:
    line = text[found.start() :].strip().splitlines()
    return " / ".join(line[:1] if "Traceback" not in line[0] else [line[0], line[-1]])[:300]


def _in_short(error: BaseException) -> str:
    """Type, message and the last place in the project where it was."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "noiseda" in frame.filename]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}{where}"
