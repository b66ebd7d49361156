from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from noiseda.errors import ImageError, UserError
from noiseda.evaluation.sheet import Row, sheet, structured_place, versions_psnr
from noiseda.images import to_uint8


def noise(height: int = 60, width: int = 80, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))


def pixels(image: Tensor) -> np.ndarray:
    return to_uint8(image).expand(3, -1, -1).permute(1, 2, 0).numpy()


def holds(page: np.ndarray, part: np.ndarray) -> bool:
    """Whether a picture holds another, found by the other's first pixel."""
    height, width = part.shape[:2]
    places = zip(*np.nonzero((page[: -height + 1, : -width + 1] == part[0, 0]).all(axis=-1)), strict=True)
    return any((page[y : y + height, x : x + width] == part).all() for y, x in places)


def test_details_are_repeated_pixels_of_the_place_asked_for(tmp_path: Path) -> None:
    before, after = noise(seed=1), noise(seed=2)
    row = Row("noise", {"before": before, "after": after}, detail=(30, 50))
    sheet([row], tmp_path / "sheet.png", title="Title", width=160, zoom=8)
    page = np.asarray(Image.open(tmp_path / "sheet.png"))
    for image in (before, after):  # 160 / 8 = 20 columns and 2/3 of them rows
        assert holds(page, pixels(image)[30:43, 50:70].repeat(8, axis=0).repeat(8, axis=1))


def test_small_images_are_repeated_whole_and_large_ones_shrunk_by_area(tmp_path: Path) -> None:
    small = noise(40, 50, seed=3)
    sheet([Row("small", {"image": small}, detail=(0, 0))], tmp_path / "small.png", title="", width=160)
    page = np.asarray(Image.open(tmp_path / "small.png"))
    assert holds(page, pixels(small)[30:, 42:].repeat(3, axis=0).repeat(3, axis=1))  # below and right of the frame
    large = noise(400, 320, seed=4)
    sheet([Row("large", {"image": large}, detail=(0, 0))], tmp_path / "large.png", title="", width=160)
    quarter = pixels(large)[200:, 160:].astype(np.float64).reshape(100, 2, 80, 2, 3).mean(axis=(1, 3))
    page = np.asarray(Image.open(tmp_path / "large.png")).astype(np.float64)
    top, left = next(
        (y, x)
        for y in range(page.shape[0] - 100)
        for x in range(44, 44 + 81, 80)
        if np.abs(page[y, x : x + 80] - quarter[0]).max() <= 1
    )
    assert np.abs(page[top : top + 100, left : left + 80] - quarter).max() <= 1


def test_the_page_grows_with_rows_columns_and_text_and_is_white_outside(tmp_path: Path) -> None:
    def page(rows: int, columns: int, footer: str = "") -> np.ndarray:
        images = {f"version {i}": noise(seed=i) for i in range(columns)}
        sheet([Row("row", images)] * rows, tmp_path / "s.png", title="Title", footer=footer, width=160)
        return np.asarray(Image.open(tmp_path / "s.png"))

    one = page(1, 2)
    assert one.shape[1] == 2 * 160 + 16 + 2 * 44
    assert (one[:44] == 255).all()
    assert (one[:, :44] == 255).all()
    assert (one[-44:] == 255).all()
    assert page(2, 2).shape[0] > one.shape[0] + 120
    assert page(1, 3).shape[1] == one.shape[1] + 176
    assert page(1, 2, "word " * 60).shape[0] > page(1, 2, "word").shape[0] > one.shape[0]


def test_psnr_is_at_8_bits_over_all_channels_and_none_for_the_target() -> None:
    target = noise(seed=5)
    noisy = target + 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(6))
    row = Row("row", {"noisy": noisy, "same": target.clone(), "target": target}, target=target)
    value, same, none = versions_psnr(row)
    assert value == pytest.approx(peak_signal_noise_ratio(pixels(target), pixels(noisy)), abs=1e-5)
    assert (same, none) == (float("inf"), None)
    assert versions_psnr(Row("row", {"noisy": noisy})) == [None]


def test_scores_are_drawn_only_where_there_is_a_target(tmp_path: Path) -> None:
    image, target = noise(seed=7), noise(seed=8)
    sheet([Row("row", {"image": image})], tmp_path / "without.png", title="")
    sheet([Row("row", {"image": image}, target=target, detail=structured_place(image, 53, 80))],
          tmp_path / "with.png", title="")  # fmt: skip
    with_score, without = (np.asarray(Image.open(tmp_path / name)) for name in ("with.png", "without.png"))
    assert with_score.shape == without.shape
    rows, columns = np.nonzero((with_score != without).any(axis=-1))
    assert len(rows) > 0
    assert rows.max() < 120  # above the image
    assert columns.min() > 200  # at its right


def test_the_detail_is_where_structure_and_contrast_are() -> None:
    image = torch.full((3, 200, 300), 0.5)
    image[:, 120:160, 200:260] = noise(40, 60, seed=9).round()
    image[:, :40, :60] = 0.5 + 0.05 * noise(40, 60, seed=10)
    top, left = structured_place(image, 40, 60)
    assert abs(top - 120) <= 5
    assert abs(left - 200) <= 7


def test_a_grey_image_stands_beside_a_coloured_one(tmp_path: Path) -> None:
    row = Row("Straße.png", {"grey": noise(channels=1), "rgb": noise()}, target=noise(seed=3))
    sheet([row], tmp_path / "s.png", title="A × B — C → D", subtitle="σ", footer="µ")
    assert Image.open(tmp_path / "s.png").mode == "RGB"


def test_text_is_shortened_to_its_cell_and_never_endless(tmp_path: Path) -> None:
    row = Row("n" * 500, {"l" * 200: noise(), "m" * 200: noise()}, target=noise(seed=1))
    sheet([row], tmp_path / "s.png", title="t" * 300, width=80)
    assert Image.open(tmp_path / "s.png").width == 2 * 80 + 16 + 2 * 44


def test_rows_that_do_not_fit_together_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one row"):
        sheet([], tmp_path / "s.png", title="")
    with pytest.raises(UserError, match=r"second: has the columns \['b'\]"):
        sheet([Row("first", {"a": noise()}), Row("second", {"b": noise()})], tmp_path / "s.png", title="")
    with pytest.raises(UserError, match="one size"):
        sheet([Row("first", {"a": noise()}, target=noise(61, 80))], tmp_path / "s.png", title="")
    assert not (tmp_path / "s.png").exists()


def test_an_unwritable_place_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent/s\.png"):
        sheet([Row("row", {"a": noise()})], tmp_path / "absent/s.png", title="")
