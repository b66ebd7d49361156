"""The page that a run ends with."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from noiseda import cli
from noiseda.config import AdaptSettings
from noiseda.report.logged import charts, measured_once
from noiseda.restoration import load
from noiseda.settings_file import write_settings
from noiseda.training import adapt
from noiseda.training.plan import Plan, resolve
from noiseda.training.report import settings_of
from tests.report.page import Page, assert_self_contained
from tests.training.photographs import REAL, pairs, save, small


def read(out: Path) -> Page:
    return assert_self_contained((out / "report.html").read_text(encoding="utf-8"))


def alts(page: Page) -> list[str]:
    return [has["alt"] for has in page.all("img")]


def test_a_run_with_pairs_shows_them_beside_their_truth(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = small(where, validation=pairs(where / "validation"), validate_every=2)
    write_settings(settings, where / "asked.yaml")
    assert cli.main(["adapt", "--config", str(where / "asked.yaml")]) == 0
    assert f"report: {where / 'out/report.html'}" in capsys.readouterr().out
    page = read(settings.out)
    labels = [has["data-label"].split(" × ")[0] for has in page.all("figure", **{"class": "pane"})]
    assert labels == ["input", "adapted", "target", "taken away"] * 2
    assert all(alt.endswith(" dB") for alt in alts(page) if ", input" in alt or ", adapted" in alt)
    assert page.said["button"] == ["image", "input dB", "adapted dB", "taken away, of 255"]
    assert page.said["th"] == ["0.png", "1.png"]
    assert page.said["figcaption"][-12:-9] == ["loss, in all", "PSNR on your pairs, dB", "restoration"]
    assert "strategy: noise-space" in "".join(page.said["pre"])
    assert "The adapted network is " in page.text
    assert load(settings.out / "restorer.safetensors").architecture in ("unet", "unet-residual")


def test_a_run_without_truth_shows_the_photographs_and_what_it_started_from(where: Path) -> None:
    save(where / 'real/<b onclick="x">.png', REAL[:200, :300, 0])
    first = adapt(small(where, steps=1, proxy_pairs=0, out=where / "first"))
    settings = small(where, steps=2, proxy_pairs=0)
    adapt(replace(settings, restorer=replace(settings.restorer, start=first.weights)))
    page = read(settings.out)
    assert [has["data-label"].split(" × ")[0] for has in page.all("figure", **{"class": "pane"})] == [
        "input", "before", "adapted", "taken away",
    ] * 4  # fmt: skip
    assert '<b onclick="x">.png, before' in alts(page)
    assert page.said["button"] == ["image", "noise, of 255", "taken away, of 255"]
    assert "What was taken away" in page.said["h2"]
    assert "There was nothing to judge this run by" in page.text


def test_a_page_that_cannot_be_written_takes_nothing_else_with_it(
    where: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = small(where, steps=1)
    adapt(settings)
    before = {name: (settings.out / name).read_bytes() for name in ("restorer.safetensors", "summary.json")}
    (settings.out / "report.html").unlink()
    (settings.out / "report.html/in-the-way").mkdir(parents=True)
    adapt(settings)
    assert "report.html could not be written; weights and summary are not affected: " in caplog.text
    assert {name: (settings.out / name).read_bytes() for name in before} == before


def test_a_finished_run_writes_the_same_page_again(where: Path) -> None:
    settings = small(where, steps=1)
    adapt(settings)
    kept = (settings.out / "report.html").read_bytes()
    adapt(settings)
    assert (settings.out / "report.html").read_bytes() == kept


def test_every_loss_has_its_curve_and_what_was_measured_once_a_sentence() -> None:
    lines = [{"step": step, "loss": 3.0 - step, "noise": 1.0, "samples_per_second": 9.0} for step in (1, 2)]
    lines += [{"step": 2, "validation_psnr": 28.0}, {"step": 2, "ramp": 0.5}]
    drawn = charts(lines, of="look-alikes")
    assert [chart.title for chart in drawn] == ["loss, in all", "noise"]
    assert [chart.lines[0].points for chart in drawn] == [[(1, 2.0), (2, 1.0)], [(1, 1.0), (2, 1.0)]]
    assert measured_once(lines, of="look-alikes") == [
        "measured once, at step 2: PSNR on look-alikes, 28 dB", "measured once, at step 2: ramp, 0.5",
    ]  # fmt: skip
    assert "less the error estimated on your photographs" in charts([{"step": 1, "score": 1.0}] * 2, of="")[0].title


def test_the_settings_are_those_of_the_run_beside_what_was_asked_for() -> None:
    shown = settings_of(resolve(AdaptSettings(task="derain")))
    assert "#   strategy: asked for auto, done mean-teacher\n" in shown
    assert "#   training.learning_rate: asked for null, done 0.0003\n" in shown
    assert yaml.safe_load(shown)["strategy"] == "mean-teacher"
    settled = resolve(AdaptSettings(task="derain")).settings
    assert "asked for" not in settings_of(Plan(settled, settled))
