"""The page in a real browser: Debian's chromium."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from noiseda.inference import restore_files
from tests.web.photographs import deep, photograph
from tests.web.serving import Served, served

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def test_a_user_restores_a_photograph_and_leaves_nothing(browser, page: Served, tmp_path: Path) -> None:
    source = deep(tmp_path / "street.png")
    tab = browser.new_page(viewport={"width": 400, "height": 900}, accept_downloads=True)
    asked, wrong = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
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
