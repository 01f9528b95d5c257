"""Test what the page of a video shows in a browser: versions, sub-scores with evidence, and the click-through rate."""

from datetime import UTC, datetime, timedelta

import pytest
from browser import KEY, paste
from library_page import found, open_library, settle
from sqlalchemy import insert

from thumblab_core.database.tables import thumbnail_versions, video_reach, visual_features
from thumblab_core.image_store import ImageFolder
from thumblab_core.images import decode, digest
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.sub_scores import Meter

NOW = datetime(2026, 11, 1, tzinfo=UTC)
FIRST = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def told(library, draw):
    """The library, with every kind of data that a lab can store about a video. The data belong to the video v12."""
    data, store = library.data, ImageFolder(library.lab.settings.images)
    earlier, present = store.put(draw(77, (640, 360))), digest(data.pictures[12])
    measurement = Meter(None).measure(decode(data.pictures[12]).pixels)
    values = {name: score.value for name, score in measurement.scores.items()}
    row = {"video_id": "v12", "sha256": present, "version": "1", "evidence": measurement.evidence.as_json()}
    reach = {"video_id": "v12", "source": "studio", "day": NOW.date(), "impressions": 12_345, "imported_at": NOW}
    with library.engine.begin() as connection:
        connection.execute(insert(visual_features), row | values)
        connection.execute(insert(video_reach), reach | {"click_through_rate": 0.054})
        for sha256, title, day in ((earlier, "Earlier", 0), ("2" * 64, "Lost", 1), (present, data.items[12].title, 2)):
            seen = FIRST + timedelta(days=day)
            version = {"video_id": "v12", "sha256": sha256, "title": title, "first_seen": seen, "last_seen": seen}
            connection.execute(insert(thumbnail_versions), version)
    return library


def show(page):
    page.evaluate("location.hash = 'video=v12'")
    page.wait("document.querySelectorAll('#video-parts section').length > 4")


def test_each_version_has_its_picture_or_says_that_it_is_gone(page, told):
    show(page)
    page.wait("document.querySelectorAll('.version img').length === 2")
    page.wait("[...document.querySelectorAll('.version img')].every((picture) => picture.naturalWidth === 480)")
    rows = "[aria-labelledby=versions-title] tbody tr"
    titles = page.texts(f"{rows} td:nth-child(2)")
    assert titles == [told.data.items[12].title, "Lost", "Earlier"]
    # Each picture arrives on its own, so the missing one may be told last.
    page.wait("[...document.querySelectorAll('.version')].some((frame) => frame.textContent === 'no picture')")
    assert page.texts(f"{rows} td:first-child") == ["", "no picture", ""]
    page.size(390)
    broken = page.evaluate(f"""[...document.querySelectorAll('{rows} td')].filter((cell) => {{
        const range = document.createRange();
        range.selectNodeContents(cell);
        return range.getBoundingClientRect().width > cell.getBoundingClientRect().width + 1;
    }}).length""")
    assert broken == 0


def test_sub_scores_have_their_reasons_and_what_was_seen(page, told):
    show(page)
    scores = page.texts("[aria-labelledby=scores-title] .scores .row span:first-child")
    assert {"Clarity", "Contrast", "Emotion"} <= set(scores)
    reasons = page.texts("[aria-labelledby=scores-title] .scores p")
    assert all(reasons)
    assert "faces were not looked for" in page.text("[aria-labelledby=scores-title]")


def test_the_owner_sees_the_click_through_rate_and_a_stranger_does_not(page, told):
    show(page)
    shown = page.text("[aria-labelledby=clicks-title]")
    assert "5.4% of 12,345 impressions, until 2026-11-01." in shown
    stranger = NamedKeys(told.lab.settings).add("stranger", ["score"], None)
    page.leave()
    page.open(f"{told.service.url}/library?niche=tech#key={stranger}", ready="look")
    page.wait("document.getElementById('count').textContent !== ''")
    show_as_stranger = "document.querySelector('[aria-labelledby=scores-title]') !== null"
    page.evaluate("location.hash = 'video=v12'")
    page.wait(show_as_stranger)
    assert page.count("[aria-labelledby=clicks-title]") == 0
    page.open(f"{told.service.url}/library?niche=tech#key={KEY}", ready="look")


def test_a_pasted_picture_is_placed_like_a_dropped_one_and_more_than_six_are_told(page, library, tmp_path):
    open_library(page, library.service)
    paths = [tmp_path / f"{n}.jpg" for n in range(8)]
    for path, picture in zip(paths, library.data.pictures[20:], strict=False):
        path.write_bytes(picture)
    paste(page, paths[0])
    page.wait("document.getElementById('place').textContent.includes('lies nearest to')")
    assert found(page)[0] == library.data.items[20].title
    paste(page, *paths)
    page.wait("document.getElementById('search-note').textContent.endsWith('2 pictures were left out.')")
    assert page.count("#marks li") == 6
    settle(page)
