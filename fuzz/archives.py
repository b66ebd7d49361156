"""Tar files that say what is not so."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from fuzz.pictures import picture

Archive = Callable[[Path], None]
"""Writes a tar file in the place of another."""

_BLOCK = 512


def _members(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> Archive:
    def write(path: Path) -> None:
        with tarfile.open(path, "w", format=format) as tar:
            for header, content in members:
                tar.addfile(header, io.BytesIO(content))

    return write


def _file(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def _photograph(name: str = "a.png", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    return _file(name, picture("rgb.png"), **fields)


def _claiming(size: int, *, long: bool) -> Archive:
    """A member that is said to have so many bytes; with ``long``, in a file that has them, as a hole."""

    def write(path: Path) -> None:
        header = tarfile.TarInfo("a.png")
        header.size = size
        with path.open("wb") as file:
            file.write(header.tobuf(tarfile.GNU_FORMAT))
            file.write(picture("rgb.png"))
            if long:
                file.truncate(_BLOCK + -(-size // _BLOCK) * _BLOCK + 2 * _BLOCK)

    return write


def _sparse(size: int) -> Archive:
    """A member of GNU's sparse sort: a hole of this size, of which the file holds nothing."""

    def write(path: Path) -> None:
        header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
        header[156:157] = b"S"
        header[386 : 386 + 24] = b"%011o\0%011o\0" % (0, 0)  # one piece, of nothing
        header[483:495] = b"\x80" + size.to_bytes(11, "big")
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        path.write_bytes(bytes(header) + bytes(2 * _BLOCK))

    return write


def _pax(**headers: str) -> Archive:
    return _members(_photograph(pax_headers={name.replace("_", "."): value for name, value in headers.items()}))


def _long_pax(path: Path) -> None:
    """A header of names that goes on for 800 MB, as a hole."""
    header = tarfile.TarInfo("a")
    header.type, header.size = tarfile.XHDTYPE, 8 * 10**8
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(_BLOCK + 8 * 10**8)


ARCHIVES: dict[str, Archive] = {
    "a sparse member of 4 GB": _sparse(4 * 10**9),
    "a sparse member of 1e18 bytes": _sparse(10**18),
    "a member of 1.2 GB, all there": _claiming(12 * 10**8, long=True),
    "a member of 8 GB, not there": _claiming(8 * 10**9 - 1, long=False),
    "pax: a size of 1e18": _pax(size=str(10**18)),
    "pax: a size below zero": _pax(size="-1"),
    "pax: a size that is none": _pax(size="many"),
    "pax: sparse, of 1e18": _pax(GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_realsize=str(10**18)),
    "pax: a header of 800 MB": _long_pax,
    "a name without a suffix": _members(_photograph("a")),
    "no name": _members(_photograph("")),
    "a name of dots": _members(_photograph("...")),
    "a name that leads out": _members(_photograph("../a.png")),
    "a name of control characters": _members(_photograph("\x1b[31ma\n.png")),
    "a name that is not UTF-8": _members(_photograph("\udce9.png"), format=tarfile.GNU_FORMAT),
    "a name of 5000 letters": _members(_photograph("a" * 5000 + ".png")),
    "a link": _members(_file("a.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"), _photograph("b.png")),
    "a hard link": _members(_file("a.png", type=tarfile.LNKTYPE, linkname="b.png"), _photograph("b.png")),
    "a pipe": _members(_file("a.png", type=tarfile.FIFOTYPE)),
    "the same name twice": _members(_photograph(), _photograph()),
    "no members": _members(),
    "a text in place of a picture": _members(_file("a.png", b"hello")),
    "a picture of nothing": _members(_file("a.png")),
    "no tar file": lambda path: path.write_bytes(picture("rgb.png")) and None,
}
"""What a tar file holds -> what writes it."""
