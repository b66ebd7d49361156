"""Which addresses outside of itself a site would ask for: `python -m website.requests_outside site`.

Links that a reader may follow are no requests; scripts, styles, fonts, images and frames are.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

OUTSIDE = r"(?:https?:)?//[^\s\"')>]+"

LOADED = re.compile(
    rf"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\b(?:src|srcset|data)=\"?({OUTSIDE})"
    rf"|<link\b(?![^>]*rel=\"?(?:canonical|next|prev|alternate)\b)[^>]*?href=\"?({OUTSIDE})"
    rf"|@import\s+[\"']?({OUTSIDE})|url\([\"']?({OUTSIDE})"
)


def requests(text: str) -> Iterator[str]:
    """The addresses that a page or a style sheet loads from outside.

    >>> list(requests('<a href="https://a">, <script src="https://b/c.js"></script>, url(//d/e.woff)'))
    ['https://b/c.js', '//d/e.woff']
    """
    for found in LOADED.finditer(text):
        yield next(group for group in found.groups() if group)


def main(folder: str) -> int:
    """Name each of them; the exit status is 1 if there are any.

    Args:
        folder: the built site.
    """
    wrong = 0
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix in (".html", ".css"):
            for address in requests(path.read_text(encoding="utf-8")):
                print(f"{path}: {address}", file=sys.stderr)
                wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
