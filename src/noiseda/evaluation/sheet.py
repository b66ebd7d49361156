"""Before/after sheets: versions of an image side by side, with a detail of each enlarged, for people to judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from noiseda.errors import ImageError, UserError
from noiseda.evaluation.metrics import psnr
from noiseda.evaluation.protocols import comparable
from noiseda.images import to_uint8
from noiseda.storage import atomic

_PAPER, _INK, _GREY, _MARK = "#ffffff", "#161616", "#767676", "#ff5a1f"
_MARGIN, _GAP, _ROW_GAP = 44, 16, 30
_TITLE, _LABEL, _TEXT = 30, 19, 15  # sizes of type
_LEADING = 1.35  # height of a line of type, in sizes of it
_TALLEST = 1.25  # height of an image on the sheet, in widths
_DETAIL = 2 / 3  # height of a detail, in widths
_SPELT = str.maketrans({"—": "-", "–": "-", "×": "x", "→": "->", "µ": "u"})  # what Pillow's own typeface lacks


@dataclass(frozen=True)
class Row:
    """One image in all its versions."""

    name: str
    """What is written above it."""

    images: Mapping[str, Tensor]
    """Column label -> (C, H, W) in [0, 1], C = 1 or 3, all of one height and width."""

    target: Tensor | None = None
    """(C, H, W): the truth, to which each version's PSNR is taken; it may be one of the images too."""

    detail: tuple[int, int] | None = None
    """Top and left of the enlarged detail; by default the place with the most structure."""


def sheet(
    rows: Sequence[Row],
    path: Path,
    *,
    title: str,
    subtitle: str = "",
    footer: str = "",
    width: int = 320,
    zoom: int = 4,
) -> None:
    """Draw each image's versions side by side, each above an enlarged detail of itself, and save the sheet as PNG.

    A detail is enlarged by repeating its pixels, so that noise, rain and blur look as they are; a frame in each image
    shows where it lies. Above each version stands its PSNR to the target (all channels, 8 bits), the row's highest in
    black.

    Args:
        rows: The images; every row has the same column labels, in the same order.
        path: PNG file to write.
        title: Line on top.
        subtitle: Smaller text below it, such as what the "real" images are.
        footer: Text at the bottom, such as how the sheet was made.
        width: Width of an image on the sheet in pixels: larger ones are shrunk to it, smaller ones repeat their pixels
            as often as fits.
        zoom: How many times a detail is enlarged.

    Raises:
        UserError: No rows, rows with different columns, or images of different sizes in a row.
        ImageError: The file cannot be written.
    """
    _check(rows)
    scales = [_scale(row, width) for row in rows]
    cell = max(round(scale * _size(row)[1]) for row, scale in zip(rows, scales, strict=True))
    across = len(rows[0].images) * (cell + _GAP) - _GAP
    blocks = [_paragraph(title, _TITLE, _INK, across), _paragraph(subtitle, _TEXT, _GREY, across), _space(_GAP)]
    for row, scale in zip(rows, scales, strict=True):
        blocks += [_draw_row(row, scale, cell, zoom), _space(_ROW_GAP)]
    blocks = [*blocks, _paragraph(footer, _TEXT, _GREY, across)] if footer else blocks[:-1]
    page = _stack(blocks, _MARGIN)
    try:
        with atomic(path) as file:
            page.save(file, format="PNG", optimize=True)
    except OSError as error:
        raise ImageError(f"{path}: cannot be written: {error.strerror or error}") from error


def structured_place(image: Tensor, height: int, width: int) -> tuple[int, int]:
    """Top and left of the ``height`` x ``width`` window where fine structure and contrast are greatest together.

    The product of the mean gradient (high on texture) and the spread of the colours (high where objects meet).

    Args:
        image: (C, H, W), at least as large as the window.
        height: Height of the window.
        width: Width of the window.
    """
    window, image = (height, width), image.detach().float().cpu()
    stride = (max(1, height // 8), max(1, width // 8))  # near enough, and quick on a large photograph
    grey = pad(image.mean(dim=0, keepdim=True), (0, 1, 0, 1), mode="replicate")[0]
    gradient = (grey[1:, :-1] - grey[:-1, :-1]).abs() + (grey[:-1, 1:] - grey[:-1, :-1]).abs()
    variance = avg_pool2d(image**2, window, stride) - avg_pool2d(image, window, stride) ** 2
    score = avg_pool2d(gradient[None], window, stride)[0] * variance.clamp(min=0).sum(dim=0).sqrt()
    down, right = divmod(int(score.argmax()), score.shape[1])
    return down * stride[0], right * stride[1]


def structured_part(image: Tensor, side: int) -> tuple[slice, slice]:
    """Rows and columns of the most structured part of an image (:func:`structured_place`); all of a small one.

    Args:
        image: (C, H, W).
        side: height and width of the part, at most.
    """
    height, width = (min(side, length) for length in image.shape[-2:])
    top, left = structured_place(image, height, width)
    return slice(top, top + height), slice(left, left + width)


def versions_psnr(row: Row) -> list[float | None]:
    """PSNR in dB of each of a row's images to its target (all channels, 8 bits); None for the target itself."""
    values: list[float | None] = []
    for image in row.images.values():
        if row.target is None or image is row.target:
            values.append(None)
        else:
            restored, target = comparable(image, row.target)
            values.append(psnr(restored[None], target[None]).item())
    return values


def _check(rows: Sequence[Row]) -> None:
    if not rows or not rows[0].images:
        raise UserError("a sheet needs at least one row with one image")
    for row in rows:
        if list(row.images) != list(rows[0].images):
            raise UserError(f"{row.name}: has the columns {list(row.images)}, the first row {list(rows[0].images)}")
        images = dict(row.images) if row.target is None else {**row.images, "the target": row.target}
        sizes = {label: tuple(image.shape[-2:]) for label, image in images.items()}
        if len(set(sizes.values())) > 1:
            raise UserError(f"{row.name}: the images of a row must have one size, not {sizes}")


def _size(row: Row) -> tuple[int, int]:
    height, width = next(iter(row.images.values())).shape[-2:]
    return int(height), int(width)


def _scale(row: Row, width: int) -> float:
    """How much the images of a row are shrunk (< 1), or how often their pixels are repeated (a whole number)."""
    rows, columns = _size(row)
    scale = min(width / columns, _TALLEST * width / rows)
    return float(math.floor(scale)) if scale >= 1 else scale


def _draw_row(row: Row, scale: float, cell: int, zoom: int) -> Image.Image:
    """The name of an image, its versions with their labels and PSNR, and a detail of each."""
    height, width = _size(row)
    shown = (round(scale * width), round(scale * height))
    crop = (min(max(cell // zoom, 1), width), min(max(round(cell * _DETAIL) // zoom, 1), height))
    truth = row.target if row.target is not None else list(row.images.values())[-1]
    top, left = row.detail or structured_place(truth, crop[1], crop[0])
    left, top = min(max(left, 0), width - crop[0]), min(max(top, 0), height - crop[1])
    frame = (left, top, left + crop[0], top + crop[1])
    wholes, details = [], []
    for image in row.images.values():
        picture = _picture(image)
        whole = picture.resize(shown, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)
        _mark(whole, [round(scale * edge) for edge in frame])
        wholes.append(whole)
        details.append(picture.crop(frame).resize((crop[0] * zoom, crop[1] * zoom), Image.Resampling.NEAREST))
    name = _line([row.name], _LABEL, len(wholes) * (cell + _GAP) - _GAP)
    blocks = [name, _line(list(row.images), _TEXT, cell, _scores(row)), _beside(wholes, cell)]
    if scale < zoom:  # otherwise the image itself is as large as its detail
        blocks += [_space(_GAP // 2), _beside(details, cell)]
    return _stack(blocks)


def _scores(row: Row) -> list[tuple[str, str]]:
    """What is written of each version's PSNR, and its colour."""
    values = versions_psnr(row)
    best = max((value for value in values if value is not None), default=None)
    texts = ["" if v is None else "identical" if v == math.inf else f"{v:.2f} dB" for v in values]
    return [(text, _INK if value == best else _GREY) for text, value in zip(texts, values, strict=True)]


def _picture(image: Tensor) -> Image.Image:
    samples = to_uint8(image.detach().cpu()).expand(3, -1, -1).permute(1, 2, 0)
    return Image.fromarray(samples.contiguous().numpy())


def _mark(picture: Image.Image, frame: Sequence[int]) -> None:
    """Frame a place so that it is seen on dark and on light."""
    left, top, right, bottom = frame
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - 1, top - 1, right, bottom), outline=_PAPER, width=4)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=_MARK, width=2)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)  # comes with Pillow: the same on every machine


def _line(
    texts: Sequence[str], size: int, cell: int, right: Sequence[tuple[str, str]] = (), colour: str = _INK
) -> Image.Image:
    """One line of type: a text at the left of each cell, shortened to fit; at its right perhaps (text, colour)."""
    line = _blank(len(texts) * (cell + _GAP) - _GAP, round(size * _LEADING) + 6)
    draw, font, baseline = ImageDraw.Draw(line), _font(size), line.height - 9
    for column, text in enumerate(texts):
        left, room, kept = column * (cell + _GAP), float(cell), text.translate(_SPELT)
        if right:
            score, its_colour = right[column]
            draw.text((left + cell, baseline), score, fill=its_colour, font=font, anchor="rs")
            room -= font.getlength(score) + size / 2
        while font.getlength(kept) > room and len(kept) > 1:
            kept = kept.rstrip("…")[:-1] + "…"
        draw.text((left, baseline), kept, fill=colour, font=font, anchor="ls")
    return line


def _paragraph(text: str, size: int, colour: str, width: int) -> Image.Image:
    """Text set in as many lines as it needs."""
    font, lines = _font(size), [""]
    for word in text.translate(_SPELT).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return _stack([_line([line], size, width, colour=colour) for line in lines]) if text else _space(0)


def _beside(pictures: Sequence[Image.Image], cell: int) -> Image.Image:
    block = _blank(len(pictures) * (cell + _GAP) - _GAP, pictures[0].height)
    for column, picture in enumerate(pictures):
        block.paste(picture, (column * (cell + _GAP), 0))
    return block


def _stack(blocks: Sequence[Image.Image], margin: int = 0) -> Image.Image:
    width = max(block.width for block in blocks) + 2 * margin
    stack, top = _blank(width, sum(block.height for block in blocks) + 2 * margin), margin
    for block in blocks:
        stack.paste(block, (margin, top))
        top += block.height
    return stack


def _space(height: int) -> Image.Image:
    return _blank(1, height)


def _blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), _PAPER)
