"""Where images lie: a folder of this machine, or an address on another."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

SCHEMES = ("http://", "https://", "file://")


class Url(str):
    """The address of a folder, kept as it was given: a ``Path`` would make one slash of two.

    >>> Url("https://example.org/photos/?key=1").file("index.json")
    'https://example.org/photos/index.json?key=1'
    >>> Url("file:///photos/my%20own").folder
    PosixPath('/photos/my own')

    Raises:
        ValueError: where the text begins with none of :data:`SCHEMES`, or is none that can be taken apart.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Url:
        """Take a text for an address."""
        if not text.lower().startswith(SCHEMES):
            raise ValueError(f"{text!r} is no address: expected {' or '.join(SCHEMES)}")
        try:
            _ = urlsplit(text).port  # what looks at parts of it later would raise the same
        except ValueError as error:
            raise ValueError(f"{text!r} is no address that can be read ({error})") from error
        return super().__new__(cls, text)

    @property
    def folder(self) -> Path | None:
        """The folder of this machine that a ``file://`` address names."""
        parts = urlsplit(self)
        return Path(url2pathname(parts.path)) if parts.scheme.lower() == "file" else None

    def file(self, name: str) -> str:
        """The address of a file in this folder."""
        parts = urlsplit(self)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


Location = Url | Path
"""Where a set of images lies."""


def location(text: str | Path) -> Location:
    """Take a text for an address where it is one, else for a path.

    >>> location("photos/a"), location("http://example.org")
    (PosixPath('photos/a'), 'http://example.org')
    """
    return Url(text) if isinstance(text, str) and text.lower().startswith(SCHEMES) else Path(text)
