"""ICC profiles: whether one can be used at all. Source: ICC.1:2022, section 7."""

from __future__ import annotations

_HEADER, _ENTRY = 128, 12


def usable(profile: bytes) -> bool:
    """Whether a profile is there to its end, with all that its table of tags names."""
    length = int.from_bytes(profile[:4], "big")
    count = int.from_bytes(profile[_HEADER : _HEADER + 4], "big")
    if profile[36:40] != b"acsp" or not _HEADER + 4 + _ENTRY * count <= length <= len(profile):
        return False
    entries = range(_HEADER + 4, _HEADER + 4 + _ENTRY * count, _ENTRY)
    return all(int.from_bytes(profile[at + 4 : at + 8], "big") + int.from_bytes(profile[at + 8 : at + 12], "big")
               <= length for at in entries)  # fmt: skip


def alone(profile: bytes) -> bytes:
    """A profile without what follows it."""
    return profile[: int.from_bytes(profile[:4], "big")]
