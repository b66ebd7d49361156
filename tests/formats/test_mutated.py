"""Files whose blocks are damaged: what can be understood is kept, and nothing else happens."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseda import formats
from noiseda.formats import ifd
from tests.formats.files import tiff
from tests.formats.test_carried import full

WHOLE = {
    name: full(suffix) for name, suffix in (("jpeg", ".jpg"), ("png", ".png"), ("webp", ".webp"), ("tiff", ".tif"))
}
WHOLE["big"] = tiff(bigtiff=True, byteorder=">", tags=[(65002, 4, 3, (1, 2, 3))])


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_of_bytes_is_survived(name, data):
    content = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=4) | st.sampled_from([b"\xff" * 4, bytes(4), b"\0\0\0\1"]))
        content[at : at + len(piece)] = piece
    content = bytes(content[: data.draw(st.integers(0, len(content)))])
    kind = {"big": "tiff"}.get(name, name)
    assert 1 <= formats.orientation(content, kind) <= 8
    for orientation in (1, 6):
        extras = replace(formats.read(content, kind), orientation=orientation).upright()
        for target in formats.NAMES:
            formats.fitted(extras, kind, target)


def test_many_entries_that_share_a_large_value_take_no_more_memory_than_the_file():
    size, number = 100_000, 2000
    place = 8 + 2 + 12 * number + 4
    entries = b"".join(struct.pack("<HHII", 40_000 + i, 1, size, place) for i in range(number))
    content = b"II*\0\x08\0\0\0" + struct.pack("<H", number) + entries + bytes(4) + bytes(size)
    found = ifd.read(content, 8, ifd.Layout("<"))
    assert sum(len(value[2]) for value in found.values()) <= len(content) + 2**16
