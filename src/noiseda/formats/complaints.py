"""What the warnings of libpng, libtiff and libvips mean for a picture, in sentences of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PNG = re.compile(r"(\w{4}): (.+)")
_COLOURS = frozenset({"iCCP", "gAMA", "cHRM", "sRGB", "cICP", "mDCV", "cLLI", "sBIT"})

_TIFF: Sequence[tuple[str, str]] = (
    (r'ASCII value for tag "(.+?)" ', "the text of its tag {} does not end as it should"),
    (r"tags are not sorted", "its tags are not in order"),
    (r"(?:Strip|Tile)ByteCounts|IFD looping", ""),
    (r'"([^"]+)".*(?:ignored|count|type)', "its tag {} is damaged and passed over"),
    (r"(?:Unknown field|tag) .*?(\d+)", "its tag {} is unknown and passed over"),
)
"""What is found in a warning -> what is said; nothing of what is said when it is put right."""


def of_png(message: str) -> str | None:
    """What a warning of libpng, which has decoded all rows, means; None where something of the picture is lost."""
    found = _PNG.match(message)
    if found is None:
        return of_any(message)
    chunk, reason = found.groups()
    if chunk == "tRNS":
        return None
    if chunk == "IDAT":
        return "more data than its rows need follows them"
    if "known incorrect sRGB profile" in reason:
        return "its sRGB profile is an old one that is known to be wrong"
    what = f"what it says of its colours ({chunk})" if chunk in _COLOURS else f"its {chunk} block"
    return f"{what} is damaged: {reason}"


def of_tiff(message: str) -> str:
    """What a warning of libtiff means, whose directory has been put right since."""
    for pattern, sentence in _TIFF:
        if found := re.search(pattern, message):
            return sentence.format(*found.groups())
    return of_any(message)


def of_any(message: str) -> str:
    """A warning about something that is no pixel."""
    return f"something beside its pixels is odd: {message}"
