"""Tests of importing a catalogue. Good rows are imported, bad rows are reported, and an import can be repeated."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from catalogue_folder import CatalogueFolder, Draw
from lab_setup import stored
from sqlalchemy import func, select

from thumblab_core.database.tables import channels, thumbnail_versions, thumbnails, video_stats, videos
from thumblab_core.images import decode, digest
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(emptied_lab: Lab) -> Lab:
    return emptied_lab


def counts(lab: Lab) -> list[int]:
    with lab.engine.connect() as connection:
        tables = (channels, videos, video_stats, thumbnails, thumbnail_versions)
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def test_each_bad_row_is_named_with_its_line_and_good_rows_go_in(lab: Lab, table: CatalogueFolder, drawn: Draw) -> None:
    table.add("good1")
    expected = {
        table.add("noimage", b"none"): ("noimage", "cannot be read"),
        table.add("cut", drawn(1)[:2_000]): ("cut", "damaged"),
        table.add("empty", b""): ("empty", "the file is empty"),
        table.add("webp", drawn(2, kind="WEBP")): ("webp", "is a WEBP"),
        table.add("good1"): ("good1", "is on line 2 already"),
        table.add("negative", views="-5"): ("negative", "views -5 is negative"),
        table.add("uncounted", views=""): ("uncounted", "views is missing"),
        table.add("words", views="1.2K"): ("words", "is not a whole number"),
        table.add("niche", niche="cooking"): ("niche", "niche 'cooking' does not exist; use"),
        table.add("date", published_on="01/02/2026"): ("date", "is not an ISO date"),
        table.add("unborn", published_on="2026-03-01"): ("unborn", "is before published_on"),
        table.add("page", b"<html>404</html>"): ("page", "not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"),
        table.add("length", duration_s="99999999999"): ("length", "duration_s 99999999999 is too large"),
        table.add("nul", title="nul \0 byte"): ("nul", "title holds bytes that are not text"),
        table.add("i" * 300, name="images/long.jpg"): ("i" * 200, "video_id has 300 characters"),
        table.add("", name="images/anonymous.jpg"): ("", "video_id is missing"),
    }
    last = table.add("good2")
    table.write()
    report = table.read(lab)
    problems = {problem.line: problem for problem in report.problems}
    assert set(problems) == set(expected)
    for line, (video_id, sentence) in expected.items():
        assert problems[line].video_id == video_id
        assert sentence in problems[line].problem
    assert [problem.line for problem in report.problems] == sorted(problems)
    assert [p.video_id for p in report.problems if not p.skipped] == ["webp", "length"]
    assert (report.rows, report.good, report.new_videos) == (last - 1, 4, 4)
    assert stored(lab) == {"good1", "webp", "length", "good2"}
    assert counts(lab) == [1, 4, 4, 4, 4]


def test_importing_again_changes_nothing(lab: Lab, table: CatalogueFolder) -> None:
    for n in range(5):
        table.add(f"v{n}", channel=f"Channel {n % 2}")
    table.write()
    first = table.read(lab)
    before = counts(lab)
    again = table.read(lab)
    assert (first.new_videos, first.new_observations) == (5, 5)
    assert (again.good, again.new_videos, again.new_observations) == (5, 0, 0)
    assert counts(lab) == before == [2, 5, 5, 5, 5]


def test_a_later_observation_of_the_same_videos_is_added(lab: Lab, table: CatalogueFolder) -> None:
    table.add("v")
    table.write()
    table.read(lab)
    table.write(table.text().replace("2026-02-01", "2026-03-01").replace(",1000,", ",2000,"))
    again = table.read(lab)
    assert (again.new_videos, again.new_observations) == (0, 1)
    with lab.engine.connect() as connection:
        rows = connection.execute(select(video_stats.c.view_count).order_by(video_stats.c.observed_at)).scalars().all()
    assert rows == [1000, 2000]


def test_a_corrected_count_of_the_same_observation_replaces_the_wrong_one(lab: Lab, table: CatalogueFolder) -> None:
    table.add("v")
    table.write()
    table.read(lab)
    table.write(table.text().replace(",1000,", ",2000,"))
    assert table.read(lab).new_observations == 0
    with lab.engine.connect() as connection:
        assert list(connection.scalars(select(video_stats.c.view_count))) == [2000]


FEBRUARY, MARCH = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


def seen(lab: Lab) -> tuple[Any, list[Any]]:
    """Return the row of the lab's only thumbnail, and the rows of its versions from the earliest to the latest."""
    with lab.engine.connect() as connection:
        return (
            connection.execute(select(thumbnails)).one(),
            list(connection.execute(select(thumbnail_versions).order_by(thumbnail_versions.c.first_seen))),
        )


def test_a_picture_is_dated_by_when_the_catalogue_was_observed(lab: Lab, table: CatalogueFolder, drawn: Draw) -> None:
    table.add("v", drawn(1))
    table.write()
    table.read(lab)
    now, (version,) = seen(lab)
    assert (now.fetched_at, now.checked_at, now.sha256, now.url) == (FEBRUARY, FEBRUARY, digest(drawn(1)), None)
    assert now.phash == version.phash == perceptual_hash(decode(drawn(1)).pixels)
    assert (version.first_seen, version.last_seen, version.title) == (FEBRUARY, FEBRUARY, "A title")


def test_the_same_picture_observed_later_prolongs_its_version(lab: Lab, table: CatalogueFolder) -> None:
    table.add("v")
    table.write()
    table.read(lab)
    table.write(table.text().replace("2026-02-01", "2026-03-01"))
    table.read(lab)
    now, (version,) = seen(lab)
    assert (now.fetched_at, now.checked_at) == (version.first_seen, version.last_seen) == (FEBRUARY, MARCH)
    table.write(table.text())  # The older table is imported again.
    table.read(lab)
    assert seen(lab) == (now, [version])


def test_another_picture_is_a_new_version_and_an_older_table_does_not_restore_the_old_one(
    lab: Lab, table: CatalogueFolder, drawn: Draw
) -> None:
    table.add("v", drawn(1))
    table.write()
    table.read(lab)
    image = table.folder / "images" / "v.jpg"
    image.write_bytes(drawn(2))
    table.write(table.text().replace("2026-02-01", "2026-03-01"))
    table.read(lab)
    now, versions = seen(lab)
    assert (now.sha256, now.fetched_at) == (digest(drawn(2)), MARCH)
    assert [(v.sha256, v.first_seen) for v in versions] == [(digest(drawn(1)), FEBRUARY), (digest(drawn(2)), MARCH)]
    image.write_bytes(drawn(1))
    table.write(table.text())
    table.read(lab)
    assert seen(lab) == (now, versions)


def test_an_older_table_restores_no_old_facts_and_adds_what_is_unknown(lab: Lab, table: CatalogueFolder) -> None:
    table.add("v", duration_s="")
    old = table.text()
    table.write(old.replace("2026-02-01", "2026-03-01").replace("A title", "New title").replace("one, two", "new"))
    table.read(lab)
    table.write(old.replace(",,", ",600,"))
    assert table.read(lab).new_observations == 1
    with lab.engine.connect() as connection:
        row = connection.execute(select(videos)).one()
    assert (row.title, row.tags, row.refreshed_at, row.duration_s) == ("New title", ["new"], MARCH, 600)
    table.write(old.replace("2026-02-01", "2026-03-01").replace(",,", ",700,"))  # The newest table is corrected.
    table.read(lab)
    with lab.engine.connect() as connection:
        row = connection.execute(select(videos)).one()
    assert (row.title, row.tags, row.duration_s) == ("A title", ["one", "two"], 700)


def test_another_picture_of_the_same_observation_replaces_the_first(
    lab: Lab, table: CatalogueFolder, drawn: Draw
) -> None:
    table.add("v", drawn(1))
    table.write()
    table.read(lab)
    (table.folder / "images" / "v.jpg").write_bytes(drawn(2))
    table.read(lab)
    now, (version,) = seen(lab)
    assert now.sha256 == version.sha256 == digest(drawn(2))


def test_rows_of_one_channel_name_share_a_channel(lab: Lab, table: CatalogueFolder) -> None:
    for number, name in enumerate(["One", "Two", "One", " One "]):
        table.add(f"v{number}", channel=name)
    table.write()
    table.read(lab)
    with lab.engine.connect() as connection:
        rows = connection.execute(select(channels.c.channel_id, channels.c.title)).all()
    assert sorted(row.title for row in rows) == ["One", "Two"]
    assert all(len(row.channel_id) == 24 and row.channel_id.startswith("UC") for row in rows)


@pytest.mark.slow
def test_real_thumbnails_are_imported(lab: Lab, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "thumbnails"
    with (source / "videos.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = [line for _, line in zip(range(301), file, strict=False)]
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "videos.csv").write_text("".join(lines))
    names = list(csv.DictReader(lines))
    (folder / "images").mkdir()
    for row in names:
        (folder / row["image"]).write_bytes((source / row["image"]).read_bytes())
    report = import_catalogue(lab, folder)
    assert report.rows == report.good == len(names)
    assert report.problems == []
