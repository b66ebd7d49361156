"""TIFF: samples that are no picture here, in a sentence; libtiff's own says too little or too much.

Source: TIFF 6.0, sections 8 and 19 (SampleFormat).
"""

from __future__ import annotations

from noiseda.formats import ifd
from noiseda.formats.ifd import Buffer
from noiseda.formats.tiff_directory import BITS, COLOURS, SAMPLES, directory

_SAMPLE_FORMAT, _EXTRA = 339, 338
_KINDS = {1: "unsigned integers", 2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex floats"}
_ONE_CHANNEL = {0: "grey", 1: "grey", 3: "a palette"}
"""Colour models of one channel."""


def refusal(file: Buffer, place: int) -> str | None:
    """Why the samples of the page whose directory lies at a place cannot be read; None: not for what they are."""
    layout, _ = ifd.header(file)
    page = directory(file, layout, place, (BITS, SAMPLES, COLOURS, _SAMPLE_FORMAT, _EXTRA))
    if page is None:
        return None
    bits = page.values.get(BITS, (1,))
    if len(set(bits)) > 1:
        return f"its samples have different numbers of bits ({', '.join(map(str, bits[:6]))})"
    kind = _KINDS.get(page.one(_SAMPLE_FORMAT, 1), "of an unknown kind")
    if kind != _KINDS[1] or bits[:1] > (16,):
        number = f"{bits[0]}-bit " if kind in _KINDS.values() else ""
        return f"its samples are {number}{kind}; expected 8- or 16-bit unsigned integers"
    samples = page.one(SAMPLES, 1)
    model = _ONE_CHANNEL.get(page.one(COLOURS, -1))
    if model is not None and samples - len(page.values.get(_EXTRA, ())) > 1:
        return f"its header says {model}, which has one channel, but it has {samples}"
    return None
