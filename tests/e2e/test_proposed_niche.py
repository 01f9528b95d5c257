"""Test the way of a creator from an export to a verdict that is adapted to the creator's channel.

The lab has no videos of the channel, and the creator chooses no niche.

The lab of these tests has the videos of two niches of the demo. The emulated YouTube has thumbnails of the other niches
too. Videos of these niches serve as the videos of the creator's channel.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from accessibility import focused, scheme, violations
from browser import CHROMIUM, Browser, wait_for
from browser_fixtures import browser, opened_browser
from real_processes import RunningLab, new_folder, running

from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.catalogues.titles import compose

__all__ = ["browser", "opened_browser"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1_500),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]

VIDEOS = 840
"""The number of videos in the demo's catalogue. Each niche has six channels with 20 videos."""

COLUMNS = ("Content", "Video title", "Video publish time", "Duration", "Views", "Impressions")
RATE = "Impressions click-through rate (%)"
WALLS = (
    "Building a dry stone wall on a slope",
    "How to choose limestone for a garden wall",
    "Dry stone steps that last a century",
    "Splitting limestone with plug and feathers",
    "A dry stone bridge in one weekend",
    "Repairing a limestone barn wall",
    "Why my dry stone wall fell down",
    "Limestone or sandstone for a first wall?",
)

STATE = "document.getElementById('learning').dataset.state"
ENDED = f"['done', 'failed'].includes({STATE})"


@pytest.fixture(scope="module")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(VIDEOS)


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    """A running `thumblab up --demo` with libraries of tech and gaming. It has no model before the first import."""
    with new_folder() as folder, running(folder, "--demo", THUMBLAB_DEMO_VIDEOS=str(VIDEOS)) as up:
        lab = RunningLab(up, folder / "demo")
        refreshed = httpx.post(
            f"{up.url('scoring')}/internal/refresh-library?wait=true&timeout_s=900",
            json={"niches": ["tech", "gaming"]},
            headers={"X-API-Key": lab.key},
            timeout=960,
            trust_env=False,
        )
        assert refreshed.json()["status"] == "ok", refreshed.text
        yield lab


@pytest.fixture
def export(tmp_path: Path, catalogue: SyntheticCatalogue) -> Callable[..., Path]:
    """A function that writes the export of an invented channel. The videos in it are from two channels of the demo."""

    def write(channel: str, niche: str, titles: Iterable[str]) -> Path:
        path = tmp_path / f"Content 2015-01-01_2026-11-26 {channel}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*COLUMNS, RATE])
            for video, title in zip(_videos(catalogue, niche), titles, strict=True):
                day = f"{video.published_at:%b %d, %Y}"
                writer.writerow([video.video_id, title, day, 600, video.views, 10 * video.views, "4.5"])
        return path

    return write


def _videos(catalogue: SyntheticCatalogue, niche: str) -> list[CatalogueVideo]:
    of_niche = [video for video in catalogue.videos.values() if video.niche == niche]
    two = list(dict.fromkeys(video.channel_id for video in of_niche))[:2]
    return [video for video in of_niche if video.channel_id in two]


@pytest.fixture
def ideas(tmp_path: Path, catalogue: SyntheticCatalogue) -> list[Path]:
    """The files of three thumbnails."""
    paths = []
    for n, video_id in enumerate(list(catalogue.videos)[:3]):
        paths.append(tmp_path / f"idea-{n}.jpg")
        paths[-1].write_bytes(catalogue.image(video_id))
    return paths


@dataclass
class Walk:
    """A walk through the page in one width and colour scheme. `check` examines each state on the way."""

    browser: Browser
    width: int
    downloads: Path

    def check(self, what: str) -> None:
        assert violations(self.browser) == [], what
        assert self.browser.evaluate("document.documentElement.scrollWidth") <= self.width, what
        assert self.browser.complaints() == [], what

    def follow(self, state: str) -> None:
        """Wait until the import that was sent just now has ended in `state`."""
        self.browser.wait(f"['queued', 'running'].includes({STATE})", 60)
        self.browser.wait(ENDED, 600)
        assert self.browser.evaluate(STATE) == state, self.browser.text("#learning")

    def tab_to(self, name: str) -> None:
        """Press the Tab key until the focus is on the element with the id `name`."""
        for _ in range(60):
            self.browser.press("Tab")
            if focused(self.browser) == name:
                return
        raise AssertionError(f"the keyboard does not reach {name}")

    def enter(self, name: str) -> None:
        """Go to a button with the Tab key, and press it with the Enter key."""
        self.tab_to(name)
        self.browser.press("Enter", text="\r")

    def report(self) -> str:
        """Return the text of the report that was saved. Open the report in the browser, and check it."""

        def saved() -> list[Path]:
            return [path for path in self.downloads.glob("*.html") if path.stat().st_size]

        wait_for(saved)
        self.browser.call("Page.navigate", url=saved()[0].as_uri())
        self.browser.wait("document.readyState === 'complete' && document.querySelectorAll('.cards > li').length === 3")
        self.check("the report")
        text: str = self.browser.text("main")
        return text


@pytest.fixture
def walk(browser: Browser, lab: RunningLab, tmp_path: Path) -> Iterator[Callable[[int, bool], Walk]]:
    """A function that opens the service's page with the key of the lab, and returns a walk through this page."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()

    def begin(width: int, dark: bool) -> Walk:
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        scheme(browser, dark)
        browser.size(width)
        browser.open(f"{lab.up.url('scoring')}/#key={lab.key}")
        browser.click("nav a[href='#channel']")
        return Walk(browser, width, downloads)

    yield begin
    browser.call("Emulation.setEmulatedMedia", features=[])
    browser.size(1280)


def rank(walk: Walk, channel: str, ideas: Sequence[Path]) -> str:
    """Use the keyboard to compare three thumbnails for the channel that was learnt. Return the verdict."""
    browser = walk.browser
    walk.enter("compare-for-channel")
    browser.wait(f"document.getElementById('channel').value === {json.dumps(channel)}")
    assert focused(browser) == "title"
    browser.choose(*ideas)
    browser.wait("document.querySelectorAll('#chosen li').length === 3")
    # Until the service has loaded a new model, the page says that nothing can be ranked yet.
    browser.wait("document.getElementById('setup').hidden", 120)
    browser.call("Input.insertText", text="What I learnt in one weekend")
    browser.press("Enter", text="\r")
    browser.wait("!document.getElementById('result').hidden || !document.getElementById('problem').hidden", 120)
    assert browser.text("#adapted") == f"Adapted to the channel {channel} with 40 of its videos."
    walk.check("the verdict")
    verdict: str = browser.text("#verdict")
    walk.enter("export-page")
    return verdict


def test_a_creator_confirms_the_proposed_niche_and_gets_an_adapted_report_on_a_phone(
    walk: Callable[..., Walk], export: Callable[..., Path], ideas: list[Path]
) -> None:
    rng = np.random.default_rng(1)
    file = export("Fern and Friends", "beauty", (compose("tech", rng) for _ in range(40)))
    phone = walk(390, dark=True)
    page: Any = phone.browser
    page.choose(file, field="#exports")
    page.click("#learn")
    phone.follow("failed")
    assert page.evaluate("document.getElementById('channel-niche').value") == "tech"
    reason = "Of the 5 channels of the lab with the most similar titles, 5 are in tech."
    assert page.text("#channel-niche-why") == f"Proposed: {reason}"
    phone.check("the proposal")
    page.click("#learn")
    phone.follow("done")
    assert page.text("#learning-title") == "The lab has learnt Fern and Friends"
    phone.check("the channel")
    verdict = rank(phone, "Fern and Friends", ideas)
    report = phone.report()
    assert verdict in report
    assert "Adapted to the channel Fern and Friends" in report


def test_a_creator_for_whom_no_niche_fits_makes_one_with_the_keyboard_alone_and_gets_an_adapted_report(
    walk: Callable[..., Walk], export: Callable[..., Path], ideas: list[Path]
) -> None:
    file = export("Wall by Wall", "news", (WALLS[n % len(WALLS)] for n in range(40)))
    desktop = walk(1280, dark=False)
    page: Any = desktop.browser
    page.choose(file, field="#exports")
    desktop.enter("learn")
    desktop.follow("failed")
    assert focused(page) == "channel-niche"
    assert page.text("#channel-niche-why") == "No niche is proposed. Choose one, or make a new one below."
    desktop.check("no proposal")
    desktop.enter("niche-from-export")
    searches = page.evaluate("document.getElementById('niche-searches').value").split("\n")
    assert {"limestone", "wall"} & set(searches), searches
    assert focused(page) == "niche-name"
    page.call("Input.insertText", text="stonework")
    desktop.enter("niche-send")
    page.wait("document.getElementById('niche-send').textContent === 'Add Stonework'")
    desktop.check("the costs of the niche")
    assert focused(page) == "niche-send"
    page.press("Enter", text="\r")
    page.wait("!document.getElementById('niche-dialog').open")
    assert focused(page) == "channel-niche"
    desktop.check("the new niche")
    desktop.enter("learn")
    desktop.follow("done")
    facts = dict(zip(page.texts("#learnt-facts dt"), page.texts("#learnt-facts dd"), strict=True))
    assert facts["Niche"] == "Stonework"
    desktop.check("the channel")
    verdict = rank(desktop, "Wall by Wall", ideas)
    report = desktop.report()
    assert verdict in report
    assert "Niche" in report
    assert "Stonework" in report
