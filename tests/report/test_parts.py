"""Charts, tables and pictures by themselves."""

import math
import re

import pytest
import torch

from noiseda.report import Chart, Comparison, Line, Pane, Table
from noiseda.report.curves import HEIGHT, MOST, WIDTH, figure
from noiseda.report.panes import amplified, fitted, spectrum
from noiseda.report.table import markup
from tests.report.page import Page


def drawn(*points: tuple[float, float]) -> str:
    return figure(Chart("loss", [Line("loss", points)]), 1)


def places(text: str) -> list[tuple[float, float]]:
    (path,) = (has["d"] for has in Page(text).all("path") if has["class"].startswith("line"))
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_a_line_lies_within_its_chart_and_rises_where_its_values_do() -> None:
    at = places(drawn(*((step, step**0.5) for step in range(1, 50))))
    assert len(at) == 49
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in at)
    assert at == sorted(at, key=lambda place: place[0])
    assert [y for _, y in at] == sorted((y for _, y in at), reverse=True)


def test_values_far_apart_are_drawn_by_their_logarithm() -> None:
    (_, high), (_, middle), (_, low) = places(drawn((0, 1.0), (1, 0.01), (2, 0.0001)))
    assert middle - high == pytest.approx(low - middle, abs=0.2)
    near = places(drawn((0, 3.0), (1, 2.0), (2, 1.0)))
    assert near[1][1] - near[0][1] == pytest.approx(near[2][1] - near[1][1], abs=0.2)


def test_long_lines_lose_points_and_keep_their_ends() -> None:
    at = places(drawn(*((float(step), 1 + step) for step in range(5000))))
    assert MOST / 2 < len(at) <= MOST + 1
    assert (at[0][0], at[-1][0]) == pytest.approx((46, WIDTH - 22))


@pytest.mark.parametrize("points", [[(3, 0.5)], [(0, 0.0), (1, 0.0)], [(0, -1.0), (1, 1e6)], [(1, 1e-30), (2, 1e30)]])
def test_odd_lines_are_drawn(points: list[tuple[float, float]]) -> None:
    assert "nan" not in drawn(*points)
    assert Page(drawn(*points)).all("svg", role="img")


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn((1, math.nan)) == drawn() == ""


def test_a_chart_is_said_to_who_does_not_see_it() -> None:
    page = Page(drawn((1, 0.5), (300, 0.25)))
    assert page.said["desc"] == ["loss: 0.5 at step 1, 0.25 at step 300"]


def test_a_table_can_be_sorted_by_each_column() -> None:
    table = Table(["PSNR dB"], [("a", [28.123]), ("b", [math.inf]), ("c", ["unavailable"]), ("d", [math.nan])], [2])
    page = Page(markup(table))
    heads = [has for has in page.all("th") if has["scope"] == "col"]
    assert [has["aria-sort"] for has in heads] == ["none", "none"]
    assert page.said["button"] == ["image", "PSNR dB"]
    assert [has["data-value"] for has in page.all("td")] == ["28.123", "Infinity", "", ""]
    assert page.said["td"] == ["28.12", "identical", "unavailable", "–"]


def test_white_noise_has_an_even_spectrum_and_coarse_noise_a_bright_middle() -> None:
    noise = torch.randn(3, 256, 300, generator=torch.Generator().manual_seed(0)) * 0.05
    even = spectrum(noise)
    assert even.shape == (1, 128, 128)
    assert even.std() < 0.05
    assert even.mean() == pytest.approx(0.5, abs=0.02)
    coarse = spectrum(torch.nn.functional.avg_pool2d(noise[None], 5, 1, 2)[0])
    assert coarse[0, 56:72, 56:72].mean() > 0.7 > 0.3 > coarse[0, :8, :8].mean()
    assert spectrum(torch.zeros(1, 3, 5)).shape == (1, 3, 3)


def test_a_difference_is_amplified_as_far_as_it_can_be_shown() -> None:
    shown, times = amplified(torch.tensor([[[0.0, 0.01, -0.02]]]))
    assert times == 16
    assert shown.flatten().tolist() == pytest.approx([0.5, 0.66, 0.18])
    assert amplified(torch.zeros(1, 2, 2))[1] == 32
    assert amplified(torch.full((1, 2, 2), -0.9)) == (pytest.approx(torch.zeros(1, 2, 2)), 1)


def test_a_comparison_opens_with_the_versions_that_are_named() -> None:
    panes = [Pane(label, torch.zeros(1, 4, 4)) for label in ("input", "adapted", "target")]
    assert Comparison("n", panes).opened == (0, 2)
    assert Comparison("n", panes, ("adapted", "target")).opened == (1, 2)
    assert [one.width for one in fitted([Comparison("n", panes)], 10_000)[0].panes] == [4, 4, 4]
