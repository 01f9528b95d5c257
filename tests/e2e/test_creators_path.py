"""Test how a creator uses the page of a running lab: from uploading an export of YouTube Studio to reporting an
outcome.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser, drag, wait_for
from real_processes import VIDEOS, RunningLab

from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.releases.release_store import ReleaseStore

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]

COLUMNS = ("Inhalt", "Titel?", "Wann?", "Dauer", "Aufrufe", "Wie oft gezeigt?", "Wie oft geklickt?")
"""Names of the columns of the test's export. The names with a question mark occur in no real export of YouTube."""


@pytest.fixture(scope="module")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(VIDEOS)


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def export(tmp_path: Path, catalogue: SyntheticCatalogue) -> Path:
    """An export with the videos of an emulated channel. On the emulator, the last video has no thumbnail."""
    path = tmp_path / "Inhalt 2015-01-01_2026-11-26 Whatever.csv"
    channel = next(channel for channel in catalogue.channels.values() if channel.videos[0].niche == "tech")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for video in channel.videos:
            day = f"{video.published_at:%d.%m.%Y}"
            writer.writerow([video.video_id, video.title, day, 600, video.views, 10 * video.views, "4,5"])
        writer.writerow(["no_such_vid", "Not on YouTube", "01.02.2026", 600, 10, 100, "4,5"])
    return path


def test_a_creator_gets_from_an_export_to_an_adapted_verdict_and_to_a_report(
    lab: RunningLab, trained: str, catalogue: SyntheticCatalogue, browser: Any, export: Path, tmp_path: Path
) -> None:
    pictures = []
    for n, video in enumerate(list(catalogue.videos.values())[:3]):
        pictures.append(tmp_path / f"idea-{n}.jpg")
        pictures[-1].write_bytes(catalogue.image(video.video_id))
    browser.size(390)
    browser.open(f"{lab.up.url('scoring')}/#key={lab.key}")
    drag(browser, 5, 5, {"items": [], "files": [str(export)]})
    browser.wait("!document.getElementById('view-channel').hidden")
    browser.evaluate("document.getElementById('channel-niche').value = 'tech'")
    browser.click("#learn")
    state = "document.getElementById('learning').dataset.state"
    ended = f"['done', 'failed'].includes({state})"
    # The lab does not recognise two columns of the export: no language of YouTube Studio has these names, and the names
    # have no % sign. The lab therefore asks a person about these columns.
    browser.wait(ended, 120)
    browser.wait("!document.getElementById('columns').hidden")
    for name, at in (("impressions", 5), ("rate", 6)):
        browser.evaluate(f"document.getElementById('column-{name}').value = '{COLUMNS[at]}'")
    browser.click("#learn")
    browser.wait(f"{state} === 'queued' || !document.getElementById('channel-problem').hidden")
    browser.wait(ended, 120)
    assert browser.evaluate(state) == "done", browser.text("#learning")
    facts = dict(zip(browser.texts("#learnt-facts dt"), browser.texts("#learnt-facts dd"), strict=True))
    assert facts["Videos"].startswith("36, 1 of them new")
    assert "Not on YouTube (no_such_vid): YouTube has no picture of it" in facts["Without a thumbnail"]
    assert facts["True click-through rate"].startswith("known for 36 videos. Of all impressions, 4.5% are clicked")
    browser.click("#compare-for-channel")
    title = next(channel.title for channel in catalogue.channels.values() if channel.videos[0].niche == "tech")
    browser.wait(f"document.getElementById('channel').value === {json.dumps(title)}")
    assert ChannelAdapters(ReleaseStore(lab.data_dir / "releases")).find(title) is not None
    browser.call("Input.insertText", text="I tested every phone under $200")
    browser.choose(*pictures)
    browser.click("#go")
    browser.wait("!document.getElementById('result').hidden || !document.getElementById('problem').hidden", 60)
    assert browser.text("#adapted").startswith(f"Adapted to the channel {title} with 35 of its videos")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
    browser.click("#export-page")
    wait_for(lambda: list(downloads.glob("*.html")))
    report = next(downloads.glob("*.html")).read_text()
    assert title in report
    assert browser.text("#verdict") in report
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    assert browser.complaints() == []
    imports = list((lab.data_dir / "channel-imports").iterdir())
    assert len(imports) == 2
    assert not any((folder / "exports").exists() for folder in imports), (
        "the private figures of the export must be deleted"
    )
