"""Test the page of a niche report in a real browser, on small and large screens, and in light and dark colours."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from planted_lab import HOSTILE, plant_niche

from thumblab_pipelines.lab import Lab
from thumblab_pipelines.niche_report.page import html, shown_videos
from thumblab_pipelines.niche_report.report import make_report

AXE = Path(__file__).resolve().parents[2] / "serving" / "page" / "axe" / "axe.min.js"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium")


@pytest.fixture(scope="module")
def page(open_lab: Callable[..., Lab], drawn: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HTML file of a report. The titles of its videos are long and contain HTML tags."""
    lab = open_lab()
    plant_niche(lab, drawn, title=f"{HOSTILE} {'a' * 60}")
    made = make_report(lab, "tech")
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(html(made.report, shown_videos(lab, made)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    browser = Browser(page.parent / "profile")
    browser.call("Page.navigate", url=page.as_uri())
    browser.wait("document.readyState === 'complete' && !!document.querySelector('article')")
    yield browser
    browser.close()


def test_all_pictures_are_shown_and_nothing_else_is_loaded(browser: Browser, page: Path) -> None:
    assert browser.complaints() == []
    assert browser.evaluate("document.images.length") == browser.evaluate(
        "[...document.images].filter(image => image.naturalWidth === 240).length"
    )
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert browser.evaluate("getComputedStyle(document.querySelector('main')).display") == "grid"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, False), (1280, True)])
def test_the_page_is_readable_on_a_phone_and_on_a_desktop(browser: Browser, page: Path, width: int, dark: bool) -> None:
    shot = page.parent / f"{width}-{'dark' if dark else 'light'}.png"
    browser.screenshot(shot, width, 800, dark)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(18, 24, 27)" if dark else "rgb(246, 248, 247)"
    )
    browser.evaluate(AXE.read_text())
    violations = browser.evaluate("axe.run().then(found => found.violations.map(v => [v.id, v.nodes[0].html]))")
    assert violations == []
