import base64
import hashlib
import io
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noiseda.errors import UserError
from noiseda.report import Chart, Comparison, Finding, Line, Pane, Report, Table, write_report
from noiseda.report.page import LIMIT, asset, page
from tests.report.page import Page, assert_self_contained

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>.png"


def picture(side: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))


def comparison(name: str = "cat.png", side: int = 24) -> Comparison:
    panes = [Pane(label, picture(side, seed)) for seed, label in enumerate(("input", "before", "adapted", "target"))]
    return Comparison(name, [replace(panes[0], note="21.30 dB"), *panes[1:]], ("input", "adapted"), "a part")


def whole(name: str = "cat.png") -> Report:
    chart = Chart(name, [Line(name, [(1, 0.5), (2, 0.25)])], y="dB", note=name)
    return Report(
        title=f"adapt {name}",
        verdict=f"Better {name}",
        tone="good",
        because=name,
        facts={name: name},
        found=Finding(name, chart, [Pane(name, picture())]),
        comparisons=[replace(comparison(name), spectrum=picture()[:1])],
        looking=name,
        charts=[chart],
        table=Table([name, "SSIM"], [(name, [28.3, "unavailable"])], [2, 4], ("mean", [28.3, 0.5]), name),
        notes=[name],
        settings=name,
        made_by={name: name},
    )


@pytest.mark.parametrize("report", [whole(), whole(HOSTILE), Report("t", "v")], ids=["usual", "hostile", "empty"])
def test_a_page_asks_for_nothing_and_runs_nothing_of_others(report: Report) -> None:
    assert_self_contained(page(report))


def test_a_hostile_name_is_shown_as_it_is() -> None:
    read = Page(page(whole(HOSTILE)))
    assert "alert(1)" not in "".join(read.said["script"])
    assert [has for has in read.all("img") if has["alt"] == f"{HOSTILE}, input, 21.30 dB"]
    assert f"adapt {HOSTILE}" in read.said["title"]
    assert HOSTILE in "".join(read.said["th"])
    assert HOSTILE in "".join(read.said["pre"])


def test_the_policy_allows_its_own_script_and_style_alone() -> None:
    read = Page(page(whole()))
    for kind in ("style", "script"):
        text = "".join(read.said[kind])
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in read.policy
        assert "</" + kind not in text
    assert "unsafe" not in read.policy


def test_pictures_are_embedded_without_loss() -> None:
    read = Page(page(whole()))
    shown = [has for has in read.all("img") if has["alt"] == "cat.png, adapted"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[0]["src"].split(",")[1]))))
    assert (pixels == (picture(seed=2).permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)).all()
    assert (shown[0]["width"], shown[0]["height"]) == ("24", "24")
    assert read.all("div", **{"class": "panes"}) == [{"class": "panes", "data-left": "0", "data-right": "2"}]


def test_equal_reports_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_report(tmp_path / name / "report.html", whole())
    assert (tmp_path / "one/report.html").read_bytes() == (tmp_path / "other/report.html").read_bytes()


def test_pictures_are_cut_then_left_out_where_there_is_no_room() -> None:
    report = Report("t", "v", comparisons=[comparison(f"{index}.png", side=300) for index in range(3)])
    text = page(report, 1_000_000)
    read = Page(text)
    assert len(text) <= 1_000_000
    assert {has["width"] for has in read.all("img")} == {"128"}
    assert len(read.all("img")) == 12
    text = page(report, 500_000)
    assert 250_000 < len(text) <= 500_000
    assert "There is no room for 2 more." in Page(text).text


def test_a_page_of_many_large_pictures_keeps_the_limit() -> None:
    grey = [comparison(f"{index}.png", side=600) for index in range(4)]
    assert LIMIT / 2 < len(page(Report("t", "v", comparisons=grey))) <= LIMIT == 15_000_000


def test_without_a_script_pictures_and_tables_are_there() -> None:
    read = Page(page(whole()))
    assert len(read.all("img")) == 4 + 1 + 1
    assert "28.30" in "".join(read.said["td"])
    assert not read.all("noscript")
    assert not [has for _, has in read.found if "hidden" in has]


def test_sections_that_are_empty_are_left_out() -> None:
    read = Page(page(Report("t", "v", notes=["n"])))
    assert [has["id"] for has in read.all("section")] == ["notes"]
    assert [has["href"] for has in read.all("a")] == ["#content", "#notes"]
    whole_one = Page(page(whole()))
    assert [has["id"] for has in whole_one.all("section")] == [
        "pictures", "found", "taken", "curves", "table", "notes", "settings",
    ]  # fmt: skip


def test_a_name_that_is_no_text_is_written_as_escapes(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", Report("caf\udce9", "v"))
    assert "caf\\xe9" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"report\.html: cannot be written: File exists"):
        write_report(tmp_path / "file/report.html", Report("t", "v"))


def test_values_that_are_not_finite_do_not_stop_a_page() -> None:
    line = Line("loss", [(0, math.nan), (1, 1.0), (2, math.inf)])
    report = Report("t", "v", charts=[Chart("c", [line])], table=Table(["x"], [("a", [math.nan])], [2]))
    assert_self_contained(page(replace(report, comparisons=[Comparison("n", [Pane("p", picture() * math.nan)])])))


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_script_is_one(tmp_path: Path) -> None:
    (tmp_path / "report.js").write_text(asset("report.js"), encoding="utf-8")
    done = subprocess.run(["node", "--check", str(tmp_path / "report.js")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
