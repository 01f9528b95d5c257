"""Promises of importing a catalogue: each bad row is named, and none of them costs a good one."""

import csv
import io
import os
import socket
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sqlalchemy import func, select

from thumblab_core.database.tables import channels, thumbnail_versions, thumbnails, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.images import decode, digest
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_pipelines.collection.catalogue import Imported, import_catalogue
from thumblab_pipelines.collection.catalogue_rows import REQUIRED
from thumblab_pipelines.lab import Lab

Draw = Callable[..., bytes]
COLUMNS = [*REQUIRED, "duration_s", "tags"]
GOOD = {
    "niche": "tech",
    "channel": "A channel",
    "title": "A title",
    "views": "1000",
    "published_on": "2026-01-01",
    "observed_at": "2026-02-01",
    "duration_s": "600",
    "tags": "one, two",
}


@pytest.fixture(scope="module")
def module_lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture
def lab(module_lab: Lab) -> Lab:
    with module_lab.engine.begin() as connection:
        for table in (thumbnail_versions, thumbnails, video_stats, videos, channels):
            connection.execute(table.delete())
    return module_lab


class Catalogue:
    """A folder that is filled row by row."""

    def __init__(self, folder: Path, draw: Draw) -> None:
        self.folder = folder
        self._draw = draw
        self._rows: list[dict[str, str]] = []
        (folder / "images").mkdir(parents=True)

    def add(self, video_id: str, image: bytes | None = None, name: str | None = None, **cells: str) -> int:
        """Returns the line that the row stands on, where no cell has a line break."""
        name = name or f"images/{video_id}.jpg"
        if image != b"none":
            (self.folder / name).write_bytes(self._draw(len(self._rows)) if image is None else image)
        self._rows.append({**GOOD, "video_id": video_id, "image": name, **cells})
        return len(self._rows) + 1

    def text(self, columns: list[str] = COLUMNS, **options: Any) -> str:
        out = io.StringIO()
        table = csv.DictWriter(out, columns, extrasaction="ignore", **options)
        table.writeheader()
        table.writerows(self._rows)
        return out.getvalue()

    def write(self, text: str | bytes | None = None) -> None:
        text = self.text() if text is None else text
        (self.folder / "videos.csv").write_bytes(text if isinstance(text, bytes) else text.encode())

    def read(self, lab: Lab) -> Imported:
        return import_catalogue(lab, self.folder)


@pytest.fixture
def catalogue(tmp_path: Path, drawn: Draw) -> Catalogue:
    return Catalogue(tmp_path / "catalogue", drawn)


def stored(lab: Lab) -> set[str]:
    with lab.engine.connect() as connection:
        return set(connection.scalars(select(videos.c.video_id)))


def counts(lab: Lab) -> list[int]:
    with lab.engine.connect() as connection:
        tables = (channels, videos, video_stats, thumbnails, thumbnail_versions)
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def test_each_bad_row_is_named_with_its_line_and_good_rows_go_in(lab: Lab, catalogue: Catalogue, drawn: Draw) -> None:
    catalogue.add("good1")
    expected = {
        catalogue.add("noimage", b"none"): ("noimage", "cannot be read"),
        catalogue.add("cut", drawn(1)[:2_000]): ("cut", "damaged"),
        catalogue.add("empty", b""): ("empty", "the file is empty"),
        catalogue.add("webp", drawn(2, kind="WEBP")): ("webp", "is a WEBP"),
        catalogue.add("good1"): ("good1", "stands on line 2 already"),
        catalogue.add("negative", views="-5"): ("negative", "views -5 is negative"),
        catalogue.add("uncounted", views=""): ("uncounted", "views is missing"),
        catalogue.add("words", views="1.2K"): ("words", "is not a whole number"),
        catalogue.add("niche", niche="cooking"): ("niche", "niche 'cooking' is none of"),
        catalogue.add("date", published_on="01/02/2026"): ("date", "is no ISO date"),
        catalogue.add("unborn", published_on="2026-03-01"): ("unborn", "lies before published_on"),
        catalogue.add("page", b"<html>404</html>"): ("page", "not a JPEG, PNG or WebP"),
        catalogue.add("length", duration_s="99999999999"): ("length", "duration_s 99999999999 is too large"),
        catalogue.add("nul", title="nul \0 byte"): ("nul", "title holds bytes that are no text"),
        catalogue.add("i" * 300, name="images/long.jpg"): ("i" * 200, "video_id has 300 characters"),
        catalogue.add("", name="images/anonymous.jpg"): ("", "video_id is missing"),
    }
    last = catalogue.add("good2")
    catalogue.write()
    report = catalogue.read(lab)
    found = {problem.line: problem for problem in report.problems}
    assert set(found) == set(expected)
    for line, (video_id, sentence) in expected.items():
        assert found[line].video_id == video_id
        assert sentence in found[line].problem
    assert [problem.line for problem in report.problems] == sorted(found)
    assert [p.video_id for p in report.problems if not p.skipped] == ["webp", "length"]
    assert (report.rows, report.good, report.new_videos) == (last - 1, 4, 4)
    assert stored(lab) == {"good1", "webp", "length", "good2"}
    assert counts(lab) == [1, 4, 4, 4, 4]


def test_pictures_as_phones_and_screens_write_them_go_in_without_a_word(lab: Lab, catalogue: Catalogue) -> None:
    phone, png = io.BytesIO(), io.BytesIO()
    image = Image.new("RGB", (640, 360), "navy")
    image.save(phone, "MPO", save_all=True, append_images=[Image.new("RGB", (320, 180))])
    notes = PngInfo()
    notes.add_text("note", "x" * 2**21, zip=True)
    image.save(png, "PNG", pnginfo=notes)
    catalogue.add("phone", phone.getvalue())
    catalogue.add("screen", png.getvalue(), name="images/screen.png")
    catalogue.write()
    report = catalogue.read(lab)
    assert report.video_ids == {"phone", "screen"}
    assert report.problems == []


def test_importing_again_changes_nothing(lab: Lab, catalogue: Catalogue) -> None:
    for n in range(5):
        catalogue.add(f"v{n}", channel=f"Channel {n % 2}")
    catalogue.write()
    first = catalogue.read(lab)
    before = counts(lab)
    again = catalogue.read(lab)
    assert (first.new_videos, first.new_observations) == (5, 5)
    assert (again.good, again.new_videos, again.new_observations) == (5, 0, 0)
    assert counts(lab) == before == [2, 5, 5, 5, 5]


def test_a_later_observation_of_the_same_videos_is_added(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("v")
    catalogue.write()
    catalogue.read(lab)
    catalogue.write(catalogue.text().replace("2026-02-01", "2026-03-01").replace(",1000,", ",2000,"))
    again = catalogue.read(lab)
    assert (again.new_videos, again.new_observations) == (0, 1)
    with lab.engine.connect() as connection:
        rows = connection.execute(select(video_stats.c.view_count).order_by(video_stats.c.observed_at)).scalars().all()
    assert rows == [1000, 2000]


FEBRUARY, MARCH = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


def seen(lab: Lab) -> tuple[Any, list[Any]]:
    """The only thumbnail, and its versions."""
    with lab.engine.connect() as connection:
        return (
            connection.execute(select(thumbnails)).one(),
            list(connection.execute(select(thumbnail_versions).order_by(thumbnail_versions.c.first_seen))),
        )


def test_a_picture_is_dated_by_when_the_catalogue_was_observed(lab: Lab, catalogue: Catalogue, drawn: Draw) -> None:
    catalogue.add("v", drawn(1))
    catalogue.write()
    catalogue.read(lab)
    now, (version,) = seen(lab)
    assert (now.fetched_at, now.checked_at, now.sha256, now.url) == (FEBRUARY, FEBRUARY, digest(drawn(1)), None)
    assert now.phash == version.phash == perceptual_hash(decode(drawn(1)).pixels)
    assert (version.first_seen, version.last_seen, version.title) == (FEBRUARY, FEBRUARY, "A title")


def test_the_same_picture_observed_later_is_one_version_that_lasted(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("v")
    catalogue.write()
    catalogue.read(lab)
    catalogue.write(catalogue.text().replace("2026-02-01", "2026-03-01"))
    catalogue.read(lab)
    now, (version,) = seen(lab)
    assert (now.fetched_at, now.checked_at) == (version.first_seen, version.last_seen) == (FEBRUARY, MARCH)
    catalogue.write(catalogue.text())  # the older table once more
    catalogue.read(lab)
    assert seen(lab) == (now, [version])


def test_another_picture_observed_later_is_a_new_version_and_an_older_table_does_not_bring_the_old_one_back(
    lab: Lab, catalogue: Catalogue, drawn: Draw
) -> None:
    catalogue.add("v", drawn(1))
    catalogue.write()
    catalogue.read(lab)
    image = catalogue.folder / "images" / "v.jpg"
    image.write_bytes(drawn(2))
    catalogue.write(catalogue.text().replace("2026-02-01", "2026-03-01"))
    catalogue.read(lab)
    now, versions = seen(lab)
    assert (now.sha256, now.fetched_at) == (digest(drawn(2)), MARCH)
    assert [(v.sha256, v.first_seen) for v in versions] == [(digest(drawn(1)), FEBRUARY), (digest(drawn(2)), MARCH)]
    image.write_bytes(drawn(1))
    catalogue.write(catalogue.text())
    catalogue.read(lab)
    assert seen(lab) == (now, versions)


def test_a_picture_that_was_corrected_without_a_new_observation_replaces_the_wrong_one(
    lab: Lab, catalogue: Catalogue, drawn: Draw
) -> None:
    catalogue.add("v", drawn(1))
    catalogue.write()
    catalogue.read(lab)
    (catalogue.folder / "images" / "v.jpg").write_bytes(drawn(2))
    catalogue.read(lab)
    now, (version,) = seen(lab)
    assert now.sha256 == version.sha256 == digest(drawn(2))


def test_a_short_row_and_a_long_row_are_named(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("good")
    catalogue.write(catalogue.text() + "short,tech,A channel\r\nlong" + ",x" * 20 + "\r\n")
    report = catalogue.read(lab)
    assert [(p.line, p.video_id) for p in report.problems] == [(3, "short"), (4, "long")]
    assert "is missing" in report.problems[0].problem
    assert "more cells than the header" in report.problems[1].problem
    assert report.good == 1


@pytest.mark.parametrize("column", REQUIRED)
def test_without_a_required_column_nothing_is_read_and_the_column_is_named(
    lab: Lab, catalogue: Catalogue, column: str
) -> None:
    catalogue.add("good")
    catalogue.write(catalogue.text([name for name in COLUMNS if name != column]))
    with pytest.raises(LabError, match=f"lacks the column {column};"):
        catalogue.read(lab)
    assert stored(lab) == set()


def test_without_the_optional_columns_it_is_read_with_a_remark(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("good")
    catalogue.write(catalogue.text(list(REQUIRED)))
    report = catalogue.read(lab)
    assert report.remarks == ["no column duration_s: imported without", "no column tags: imported without"]
    with lab.engine.connect() as connection:
        row = connection.execute(select(videos)).one()
    assert (row.duration_s, row.tags) == (None, [])


def test_when_no_row_can_be_read_it_is_an_error_with_the_first_reason(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("a", b"none")
    catalogue.add("b", b"none")
    catalogue.write()
    with pytest.raises(LabError, match=r"not one of the 2 rows .* line 2: image a\.jpg cannot be read"):
        catalogue.read(lab)


@pytest.mark.parametrize("text", ["", "\n\n", ",".join(COLUMNS) + "\n"])
def test_an_empty_table_is_an_error(lab: Lab, catalogue: Catalogue, text: str) -> None:
    catalogue.write(text)
    with pytest.raises(LabError):
        catalogue.read(lab)


def test_a_folder_without_a_table_is_an_error(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="a catalogue is a folder with"):
        import_catalogue(lab, tmp_path / "nowhere")
    (tmp_path / "videos.csv").mkdir()
    with pytest.raises(LabError, match="cannot be read"):
        import_catalogue(lab, tmp_path)


def test_no_image_outside_the_catalogue_is_read(lab: Lab, catalogue: Catalogue, tmp_path: Path, drawn: Draw) -> None:
    (tmp_path / "secret.jpg").write_bytes(drawn(9))
    (catalogue.folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (catalogue.folder / "loop.jpg").symlink_to("loop.jpg")
    catalogue.add("good")
    outside = ["../../etc/passwd", "/etc/passwd", "../secret.jpg", "link.jpg", "images/../../secret.jpg"]
    for number, name in enumerate(outside):
        catalogue.add(f"out{number}", b"none", name)
    catalogue.add("loop", b"none", "loop.jpg")
    catalogue.add("folder", b"none", "images")
    catalogue.write()
    report = catalogue.read(lab)
    assert stored(lab) == {"good"}
    assert [p.video_id for p in report.problems] == [*(f"out{n}" for n in range(len(outside))), "loop", "folder"]
    assert all("lies outside the catalogue" in p.problem for p in report.problems[: len(outside)])


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_from_any_spreadsheet_is_read(lab: Lab, catalogue: Catalogue, ends: str, mark: str) -> None:
    titles = ['He said "no"', "two\nlines", "comma, and ünïcode 🎬", "  spaces  "]
    for number, title in enumerate(titles):
        catalogue.add(f"v{number}", title=title)
    catalogue.write(mark + catalogue.text(lineterminator=ends))
    report = catalogue.read(lab)
    assert (report.good, report.problems) == (4, [])
    with lab.engine.connect() as connection:
        found = connection.execute(select(videos.c.title).order_by(videos.c.video_id)).scalars().all()
    assert found == [title.strip() for title in titles]


def test_a_cell_of_a_megabyte_costs_its_own_row_only(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("before")
    line = catalogue.add("huge", title="x" * 2**20)
    catalogue.add("after")
    catalogue.write()
    report = catalogue.read(lab)
    assert [p.line for p in report.problems] == [line]
    assert stored(lab) == {"before", "after"}


def test_a_byte_that_is_no_utf8_costs_its_own_row_only(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("before")
    line = catalogue.add("latin", title="caf@")
    catalogue.add("after")
    catalogue.write(catalogue.text().encode().replace(b"caf@", b"caf\xe9"))
    report = catalogue.read(lab)
    assert [(p.line, p.video_id) for p in report.problems] == [(line, "latin")]
    assert "UTF-8" in report.problems[0].problem
    report.problems[0].problem.encode()
    assert stored(lab) == {"before", "after"}


def test_a_table_in_another_encoding_is_an_error_that_says_so(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("good")
    catalogue.write(catalogue.text().encode("utf-16"))
    with pytest.raises(LabError, match="UTF-8"):
        catalogue.read(lab)


def test_a_channel_is_one_channel_whatever_the_row(lab: Lab, catalogue: Catalogue) -> None:
    for number, name in enumerate(["One", "Two", "One", " One "]):
        catalogue.add(f"v{number}", channel=name)
    catalogue.write()
    catalogue.read(lab)
    with lab.engine.connect() as connection:
        rows = connection.execute(select(channels.c.channel_id, channels.c.title)).all()
    assert sorted(row.title for row in rows) == ["One", "Two"]
    assert all(len(row.channel_id) == 24 and row.channel_id.startswith("UC") for row in rows)


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


def values(lab: Lab, column: Any) -> dict[str, Any]:
    with lab.engine.connect() as connection:
        statement = select(videos.c.video_id, column).select_from(videos.join(video_stats))
        return dict(connection.execute(statement.order_by(videos.c.video_id)).all())


COUNTS = {"12345.0": 12345, "1e3": 1000, "1.5E+03": 1500, "12,345": 12345, "1,00,95,064": 10095064, "7.": 7, "0.0": 0}
NO_COUNTS = {
    "nan": "views is missing",
    "<NA>": "views is missing",
    "None": "views is missing",
    "-": "views is missing",
    "1.5": "is not a whole number",
    "12,34": "is not a whole number",
    "1e400": "is too large",
    "-3.0": "is negative",
}


def test_counts_are_read_as_pandas_and_spreadsheets_write_them(lab: Lab, catalogue: Catalogue) -> None:
    for number, cell in enumerate(COUNTS):
        catalogue.add(f"v{number}", views=cell, duration_s=cell)
    lines = {catalogue.add(f"bad{n}", views=cell): said for n, (cell, said) in enumerate(NO_COUNTS.items())}
    catalogue.write()
    report = catalogue.read(lab)
    assert list(values(lab, video_stats.c.view_count).values()) == list(COUNTS.values())
    assert list(values(lab, videos.c.duration_s).values()) == list(COUNTS.values())
    assert {p.line for p in report.problems} == set(lines)
    assert all(lines[p.line] in p.problem for p in report.problems)


def test_an_optional_cell_without_a_value_costs_no_row(lab: Lab, catalogue: Catalogue) -> None:
    nothing = ["", "nan", "NaN", "None", "<NA>", "NaT", "null", "N/A"]
    for number, cell in enumerate(nothing):
        catalogue.add(f"v{number}", duration_s=cell, tags=cell, title=cell or "a title")
    catalogue.add("length", duration_s="299.6")
    catalogue.write()
    assert catalogue.read(lab).problems == []
    empty = {f"v{n}" for n in range(len(nothing))}
    assert values(lab, videos.c.duration_s) == dict.fromkeys(empty) | {"length": 300}
    assert all(values(lab, videos.c.tags)[name] == [] for name in empty)
    assert values(lab, videos.c.title)["v1"] == "nan"  # which a title may be


DATES = {
    "2026-01-05": (5, 0),
    "2026-01-05 14:00:00": (5, 14),
    "2026-01-05 14:00:00+00:00": (5, 14),
    "2026-01-05T14:00:00.000000000Z": (5, 14),
    "2026-01-05 16:00:00.123456789+02:00": (5, 14),
    "2026-01-05 14:00:00 UTC": (5, 14),
    "20260105": (5, 0),
}


def test_dates_are_read_as_pandas_writes_them_and_no_other_stops_the_rest(lab: Lab, catalogue: Catalogue) -> None:
    for number, cell in enumerate(DATES):
        catalogue.add(f"v{number}", published_on=cell)
    odd = ["10/05/2026", "NaT", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1767621600", "2026-02-30"]
    lines = [catalogue.add(f"odd{n}", published_on=cell) for n, cell in enumerate(odd)]
    catalogue.write()
    report = catalogue.read(lab)
    assert [p.line for p in report.problems] == lines
    found = [moment.astimezone(UTC) for moment in values(lab, videos.c.published_at).values()]
    assert [(moment.day, moment.hour) for moment in found] == list(DATES.values())


def test_a_picture_is_found_by_the_path_that_windows_writes_and_stays_inside(
    lab: Lab, catalogue: Catalogue, drawn: Draw, tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(drawn(9))
    (catalogue.folder / "images" / "w.jpg").write_bytes(drawn(1))
    catalogue.add("windows", b"none", "images\\w.jpg")
    catalogue.add("outside", b"none", "..\\secret.jpg")
    catalogue.write()
    report = catalogue.read(lab)
    assert stored(lab) == {"windows"}
    assert "lies outside the catalogue" in report.problems[0].problem


@pytest.mark.parametrize("raised", [KeyError("MPO"), MemoryError(), RecursionError("deep"), SystemError("codec")])
def test_whatever_a_decoder_raises_on_one_picture_the_others_go_in(
    lab: Lab, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, drawn: Draw, raised: Exception
) -> None:
    from thumblab_pipelines.collection import catalogue as module

    def read(data: bytes) -> Any:
        if data == drawn(1):
            raise raised
        return decode(data)

    monkeypatch.setattr(module, "decode", read)
    for number in range(3):
        catalogue.add(f"v{number}", drawn(number))
    catalogue.write()
    report = catalogue.read(lab)
    assert stored(lab) == {"v0", "v2"}
    assert [(p.line, p.video_id) for p in report.problems] == [(3, "v1")]
    assert type(raised).__name__ in report.problems[0].problem


def test_a_phones_picture_with_a_second_one_in_it_stops_nothing(lab: Lab, catalogue: Catalogue) -> None:
    first, second = (Image.new("RGB", (320, 180), color) for color in ("red", "blue"))
    out = io.BytesIO()
    first.save(out, "MPO", save_all=True, append_images=[second])
    catalogue.add("phone", out.getvalue())
    catalogue.add("plain")
    catalogue.write()
    assert catalogue.read(lab).good == 2


def test_what_is_no_picture_file_is_named_before_it_is_read(
    lab: Lab, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = catalogue.folder
    with (folder / "huge.jpg").open("wb") as file:
        file.truncate(2**40)  # more than this machine has memory
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    monkeypatch.chdir(folder)  # a socket's name may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        for name in ("huge", "pipe", "zero", "socket"):
            catalogue.add(name, b"none", f"{name}.jpg")
        catalogue.add("good")
        catalogue.write()
        report = catalogue.read(lab)
    (folder / "huge.jpg").unlink()
    assert stored(lab) == {"good"}
    said = {p.video_id: p.problem for p in report.problems}
    assert "1,048,576.0 MiB; at most" in said["huge"]
    assert "no file but a pipe or a device" in said["pipe"]
    assert "lies outside" in said["zero"]
    assert "cannot be read" in said["socket"]


def test_memory_does_not_grow_with_the_number_of_large_pictures(lab: Lab, catalogue: Catalogue) -> None:
    for number in range(4):
        out = io.BytesIO()
        Image.new("RGB", (3840, 2160), (number, 0, 0)).save(out, "JPEG")
        catalogue.add(f"v{number}", out.getvalue())
    catalogue.write()
    tracemalloc.start()
    try:
        assert catalogue.read(lab).good == 4
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 * 2**20, f"{peak / 2**20:.0f} MiB, where one picture has 24"


def test_a_table_that_is_a_pipe_is_an_error_at_once(lab: Lab, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "videos.csv")
    with pytest.raises(LabError, match="it is no file"):
        import_catalogue(lab, tmp_path)


def test_a_date_in_the_future_is_a_problem_of_its_row_and_a_length_that_cannot_be_read_none(
    lab: Lab, catalogue: Catalogue
) -> None:
    catalogue.add("ahead", observed_at="2199-01-01")
    lengths = {
        "clock": ("5:03", 303),
        "hours": ("1:02:03", 3723),
        "pandas": ("0 days 00:05:03", 303),
        "bad": ("x", None),
    }
    lengths |= {"iso": ("PT5M3S", 303), "minus": ("-1", None)}
    for video_id, (cell, _) in lengths.items():
        catalogue.add(video_id, duration_s=cell)
    catalogue.write()
    report = catalogue.read(lab)
    assert values(lab, videos.c.duration_s) == {video_id: length for video_id, (_, length) in lengths.items()}
    assert {p.video_id: p.skipped for p in report.problems} == {"ahead": True, "bad": False, "minus": False}
    assert "lies in the future" in next(p.problem for p in report.problems if p.video_id == "ahead")


def test_a_quote_that_is_never_closed_costs_its_own_row_only(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("v1", title="two\nlines")
    catalogue.add("v2", title="STRAY", tags="one")
    catalogue.add("v3", views="3")
    catalogue.add("v4", title='said "no", then', views="4")
    catalogue.add("v5", views="5", title="STRAY", tags="one")
    catalogue.add("v6", views="6")
    catalogue.write(catalogue.text().replace("STRAY", '"Unclosed title'))
    report = catalogue.read(lab)
    said = "a quote is opened and not closed on this line"
    assert [(p.line, p.problem) for p in report.problems] == [(4, said), (7, said)]
    assert report.rows == 6
    assert values(lab, video_stats.c.view_count) == {"v1": 1000, "v3": 3, "v4": 4, "v6": 6}
    assert values(lab, videos.c.title)["v1"] == "two\nlines"


@pytest.mark.parametrize("before", ["", "sep=;\r\n", "\r\n", "\ufeffsep=;\r\n\r\n"])
@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_a_table_with_other_separators_and_names_in_other_case_is_read(
    lab: Lab, catalogue: Catalogue, before: str, mark: str
) -> None:
    catalogue.add("v1", title="one; two, three")
    catalogue.add("v2", niche="cooking")
    header, rest = catalogue.text(delimiter=mark).split("\r\n", 1)
    names = mark.join(f" {name.title()} " for name in header.split(mark))
    catalogue.write(before.replace(";", mark) + names + "\r\n" + rest)
    report = catalogue.read(lab)
    assert values(lab, videos.c.title) == {"v1": "one; two, three"}
    assert [(p.line, p.video_id) for p in report.problems] == [(3 + before.count("\n"), "v2")]


def test_a_table_that_cannot_be_read_is_told_of_in_one_short_sentence(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("good")
    for text, said in {
        catalogue.text(delimiter="|"): "save it with commas between the cells",
        catalogue.text().encode("utf-16-le"): "is not in UTF-8",
        b"\0" * 1000: "is not in UTF-8",
        catalogue.text().replace("tags", "Views"): "has the column views 2 times",
    }.items():
        catalogue.write(text)
        with pytest.raises(LabError, match=said) as raised:
            catalogue.read(lab)
        assert "\0" not in str(raised.value)


def test_a_long_value_is_cut_in_the_message(lab: Lab, catalogue: Catalogue) -> None:
    catalogue.add("good")
    catalogue.add("niche", niche="n" * 1000)
    catalogue.add("outside", b"none", name="../" + "o" * 1000)
    catalogue.add("name", b"none", name="a" * 1000 + ".jpg")
    catalogue.write()
    assert [len(p.problem) < 200 for p in catalogue.read(lab).problems] == [True] * 3
