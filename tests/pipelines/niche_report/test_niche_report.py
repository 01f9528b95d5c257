"""Tests of niche reports on a lab's database.

The tests check which videos a report compares, what a report stores, and when a report has no figures.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from planted_lab import HOSTILE, NOW, plant_niche
from sqlalchemy import insert, update

from thumblab_core.database.tables import (
    channels,
    library_exclusions,
    niche_report_examples,
    thumbnail_versions,
    thumbnails,
    video_stats,
    videos,
    visual_features,
)
from thumblab_core.niche_report.store import read_report
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.niche_report.features import measure
from thumblab_pipelines.niche_report.page import html, shown_videos
from thumblab_pipelines.niche_report.preview import markdown
from thumblab_pipelines.niche_report.read import NO_BASELINE, NOT_COUNTED, NOT_MEASURED, read_videos
from thumblab_pipelines.niche_report.report import Made, check_report, make_report, store_report

LAB = Callable[..., Lab]


@pytest.fixture(scope="module")
def planted(open_lab: LAB, drawn: Callable[..., bytes]) -> Lab:
    """A lab whose winners have larger text. Tests that change a lab must use the fixture `lab`."""
    lab = open_lab()
    plant_niche(lab, drawn, title=HOSTILE)
    return lab


@pytest.fixture(scope="module")
def made(planted: Lab) -> Made:
    return make_report(planted, "tech")


@pytest.fixture
def lab(open_lab: LAB, drawn: Callable[..., bytes]) -> Lab:
    """A lab with few videos, which a test may change."""
    lab = open_lab()
    plant_niche(lab, drawn, count=2, each=12)
    return lab


def test_a_planted_difference_is_found_and_stored(planted: Lab) -> None:
    made = store_report(planted, "tech")
    found = {finding.feature: finding for finding in made.report.findings}
    assert set(found) == {"text_height", "text_area", "text_y"}
    height = found["text_height"]
    assert height.words == "The largest text is larger"
    assert height.share.low > 0.7
    assert height.winners_usual > height.others_usual + 5
    assert (height.channels, height.channels_agreeing) == (6, 6)
    assert [check.passed for check in check_report(made)] == [True, True]
    with planted.engine.connect() as connection:
        assert read_report(connection, "tech") == made.report
        assert read_report(connection, "news") is None


def test_the_same_data_gives_the_same_report(planted: Lab, made: Made) -> None:
    first, second = made.report, make_report(planted, "tech").report
    assert second.model_copy(update={"made_at": first.made_at}) == first


def test_examples_are_a_winner_and_another_video_of_its_channel(made: Made) -> None:
    videos_by_id = made.videos.set_index("video_id")
    [height] = [finding for finding in made.report.findings if finding.feature == "text_height"]
    assert len(height.examples) == 3
    values = measure(made.videos).set_index(made.videos.video_id).text_height
    least = made.report.coverage.least_multiple or 0
    for pair in height.examples:
        assert videos_by_id.channel_id[pair.winner] == videos_by_id.channel_id[pair.other]
        assert videos_by_id.outlier_multiple[pair.winner] >= least > videos_by_id.outlier_multiple[pair.other]
        assert values[pair.winner] > values[pair.other]


def test_an_example_disappears_if_a_video_of_it_is_deleted_or_taken_out(
    open_lab: LAB, drawn: Callable[..., bytes]
) -> None:
    lab = open_lab()
    plant_niche(lab, drawn)
    report = store_report(lab, "tech").report
    pairs = {feature.feature: feature.examples for feature in report.findings}
    gone, hidden = pairs["text_height"][0], pairs["text_height"][1]
    with lab.engine.begin() as connection:
        connection.execute(videos.delete().where(videos.c.video_id == gone.winner))
        connection.execute(insert(library_exclusions), {"video_id": hidden.other})
        read = read_report(connection, "tech")
        named = {video for row in connection.execute(niche_report_examples.select()) for video in row[3:]}
    assert read is not None
    left = {finding.feature: finding.examples for finding in read.findings}
    assert left["text_height"] == pairs["text_height"][2:]
    assert gone.winner not in named


def test_with_too_few_videos_there_are_no_figures(lab: Lab) -> None:
    made = store_report(lab, "tech")
    assert made.report.too_few is not None
    assert "figures need at least 30 winners on 5 channels" in made.report.too_few
    assert made.report.findings == ()
    assert made.report.coverage.features == 0
    assert [check.passed for check in check_report(made)] == [False, True]
    assert made.report.too_few in markdown(made.report)
    assert made.report.too_few in html(made.report, {})


def test_a_niche_without_videos_has_no_figures(lab: Lab) -> None:
    made = store_report(lab, "news")
    assert made.report.too_few == "The niche has no videos that can be compared"
    assert made.report.as_of is None
    assert "no videos that can be compared" in html(made.report, shown_videos(lab, made))


def test_views_count_until_the_picture_changes_and_only_the_measurement_of_that_picture_counts(lab: Lab) -> None:
    changed, new = "v0-3", "f" * 64
    with lab.engine.begin() as connection:
        moments = {"first_seen": NOW - timedelta(hours=1), "last_seen": NOW}
        connection.execute(
            update(thumbnail_versions)
            .where(thumbnail_versions.c.video_id == changed)
            .values(last_seen=NOW - timedelta(days=2))
        )
        row = {"video_id": changed, "sha256": new, "title": "new title", **moments}
        connection.execute(insert(thumbnail_versions), row)
        connection.execute(update(thumbnails).where(thumbnails.c.video_id == changed).values(sha256=new))
        connection.execute(update(visual_features).where(visual_features.c.video_id == changed).values(sha256=new))
        earlier = {"video_id": changed, "observed_at": NOW - timedelta(days=5), "view_count": 77, "era": "any"}
        connection.execute(insert(video_stats), earlier)
    rows, left_out = read_videos(lab, "tech")
    row = rows.set_index("video_id").loc[changed]
    assert (row.view_count, row.title) == (77, "Video 3")
    assert row.evidence is None
    assert left_out == {NOT_MEASURED: 1}
    with lab.engine.begin() as connection:
        connection.execute(video_stats.delete().where(video_stats.c.view_count == 77))
    rows, left_out = read_videos(lab, "tech")
    assert changed not in set(rows.video_id)
    assert left_out == {NOT_COUNTED: 1}


def test_shorts_excluded_videos_and_channels_without_a_baseline_are_left_out(lab: Lab) -> None:
    with lab.engine.begin() as connection:
        connection.execute(update(videos).where(videos.c.video_id == "v0-0").values(format="short"))
        connection.execute(insert(library_exclusions), {"video_id": "v0-1"})
        connection.execute(insert(channels), {"channel_id": "UCnew", "title": "New"})
        connection.execute(update(videos).where(videos.c.video_id == "v0-2").values(channel_id="UCnew"))
    rows, left_out = read_videos(lab, "tech")
    assert not {"v0-0", "v0-1", "v0-2"} & set(rows.video_id)
    assert left_out == {NO_BASELINE: 1}


def test_measurements_of_another_meter_are_not_mixed(lab: Lab) -> None:
    with lab.engine.begin() as connection:
        of_video = visual_features.c.video_id == "v1-1"
        connection.execute(update(visual_features).where(of_video).values(version="old", clarity=0.9))
    rows, left_out = read_videos(lab, "tech")
    row = rows.set_index("video_id").loc["v1-1"]
    assert row.evidence is None
    assert row.clarity != row.clarity
    assert left_out == {NOT_MEASURED: 1}


def test_the_page_escapes_titles_and_loads_nothing(planted: Lab, made: Made) -> None:
    page = html(made.report, shown_videos(planted, made))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Channel 0 &lt;b&gt;" in page or "Channel 1 &lt;b&gt;" in page
    assert "http:" not in page.replace("http-equiv", "")
    assert "https:" not in page
    assert "default-src &#x27;none&#x27;; img-src data:" in page
    assert page.count("data:image/jpeg;base64,") == 2 * sum(len(f.examples) for f in made.report.findings)
    assert len(page) < 1_000_000
    for caveat in made.report.caveats:
        assert caveat.split(".")[0] in page


def test_a_lost_picture_is_named_and_the_page_is_still_written(lab: Lab, made: Made) -> None:
    for sha256 in set(made.videos.sha256):
        lab.images.remove(str(sha256))
    page = html(made.report, shown_videos(lab, made))
    assert "data:image/jpeg" not in page
    assert page.count("The picture cannot be read.") == 2 * sum(len(f.examples) for f in made.report.findings)


def test_the_preview_names_no_video(made: Made) -> None:
    text = markdown(made.report)
    assert "The largest text is larger" in text
    assert not any(str(video) in text for video in made.videos.video_id)
    assert "script" not in text
    assert "It does not show that one thing causes the other" in text
