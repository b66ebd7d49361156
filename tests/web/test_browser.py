"""The page, and the report that it gives, in a real browser: Debian's chromium."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from noiseda.inference import restore_files
from noiseda.restoration import load
from tests.web.photographs import deep, photograph
from tests.web.serving import Served, served
from tests.web.test_adapting import SMALL

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium")
WIDTHS = (400, 1400)
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture
def browser():
    missing = "there is no chromium: apt-get install chromium"
    if CHROMIUM is None and os.environ.get("CI"):
        pytest.fail(missing)
    if CHROMIUM is None:
        pytest.skip(missing)
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def watched(tab: Any) -> tuple[list[str], list[str]]:
    """What a tab asks for, and what goes wrong in it, from now on."""
    asked: list[str] = []
    wrong: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    return asked, wrong


def assert_accessible(tab: Any) -> None:
    """No finding of axe-core that it calls serious or critical, and nothing that is wider than the window."""
    found = Axe().run(tab).response["violations"]
    serious = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_user_restores_a_photograph_and_leaves_nothing(browser, page: Served, tmp_path: Path) -> None:
    source = deep(tmp_path / "street.png")
    tab = browser.new_page(viewport={"width": 400, "height": 900}, accept_downloads=True)
    asked, wrong = watched(tab)
    tab.goto(page.url)
    tab.wait_for_selector("#restore", timeout=60_000)
    tab.set_input_files("#restore-photographs input[type=file]", str(source))
    tab.get_by_text("1 photograph", exact=True).wait_for(timeout=60_000)
    tab.click("#restore")
    tab.wait_for_selector("#download", timeout=120_000)
    with tab.expect_download() as download:
        tab.click("#download")
    download.value.save_as(tmp_path / "downloaded.png")
    restore_files(Path("denoise"), str(source), tmp_path / "command")
    assert (tmp_path / "downloaded.png").read_bytes() == (tmp_path / "command/street.png").read_bytes()
    images = [one.get_attribute("src") for one in tab.locator("#restored img").all()]
    assert len(images) >= 2
    assert all(src.endswith(".png") for src in images)
    tab.locator("#restored").scroll_into_view_if_needed()
    before, place = tab.locator("#restored").screenshot(), tab.locator("#restored img").first.bounding_box()
    across, down = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    tab.mouse.move(across, down)
    tab.mouse.down()
    tab.mouse.move(across - place["width"] / 4, down, steps=5)
    tab.mouse.up()
    assert tab.locator("#restored").screenshot() != before
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert [url for url in asked if not url.startswith((page.url, "data:", "blob:"))] == []
    assert wrong == []
    assert "street.png" in page.kept()
    tab.close()
    for _ in range(100):
        if not page.kept():
            break
        time.sleep(0.1)
    assert page.kept() == []


def test_a_photograph_can_be_pasted(browser, page: Served, tmp_path: Path) -> None:
    content = list(photograph(tmp_path / "a.png").read_bytes())
    tab = browser.new_page()
    tab.goto(page.url)
    tab.wait_for_selector("#restore-photographs input[type=file]", state="attached", timeout=60_000)
    tab.evaluate(
        """(content) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(content)], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }""",
        content,
    )
    tab.get_by_text("1 photograph", exact=True).wait_for(timeout=60_000)
    tab.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_everyone_can_use_the_page(browser, page: Served, width: int, scheme: str) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    _, wrong = watched(tab)
    tab.goto(page.url)
    tab.wait_for_selector("#restore", timeout=60_000)
    assert_accessible(tab)
    tab.get_by_role("tab", name="Adapt").click()
    tab.wait_for_selector("#adapt", timeout=60_000)
    assert_accessible(tab)
    assert wrong == []
    tab.close()


def test_a_user_adapts_stops_and_reads_the_report_from_disk(browser, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    sources = [photograph(tmp_path / f"in/{index}.png", 96 + index, 96) for index in range(3)]
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served", "--settings", str(tmp_path / "small.yaml")) as page:
        tab = browser.new_page(accept_downloads=True)
        asked, wrong = watched(tab)
        tab.goto(page.url)
        tab.get_by_role("tab", name="Adapt").click()
        tab.set_input_files("#adapt-photographs input[type=file]", [str(path) for path in sources])
        tab.get_by_text("3 photographs", exact=True).wait_for(timeout=60_000)
        tab.click("#adapt")
        tab.locator(".noiseda-charts svg").first.wait_for(timeout=180_000)  # ten steps and more
        tab.click("#stop")
        for name in ("weights", "report", "restored"):
            tab.wait_for_selector(f"#get-{name}", timeout=180_000)
            with tab.expect_download() as download:
                tab.click(f"#get-{name}")
            download.value.save_as(tmp_path / download.value.suggested_filename)
        assert [url for url in asked if not url.startswith((page.url, "data:", "blob:"))] == []
        assert wrong == []
        tab.close()
    assert load(tmp_path / "restorer.safetensors").channels == 3
    for width in WIDTHS:
        for scheme in SCHEMES:
            tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            asked, wrong = watched(tab)
            tab.goto((tmp_path / "report.html").as_uri())
            tab.locator("h1").first.wait_for()
            assert_accessible(tab)
            assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
            assert wrong == []
            tab.close()
