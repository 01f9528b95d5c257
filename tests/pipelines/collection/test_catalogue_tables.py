"""Tests of reading `videos.csv` as people, pandas and spreadsheets write it. A bad cell excludes only its row."""

import os
from datetime import UTC
from pathlib import Path

import pytest
from catalogue_folder import COLUMNS, CatalogueFolder, values
from lab_setup import stored
from sqlalchemy import select

from thumblab_core.database.tables import video_stats, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.collection.catalogue_rows import REQUIRED
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(emptied_lab: Lab) -> Lab:
    return emptied_lab


def test_a_short_row_and_a_long_row_are_named(lab: Lab, table: CatalogueFolder) -> None:
    table.add("good")
    table.write(table.text() + "short,tech,A channel\r\nlong" + ",x" * 20 + "\r\n")
    report = table.read(lab)
    assert [(p.line, p.video_id) for p in report.problems] == [(3, "short"), (4, "long")]
    assert "is missing" in report.problems[0].problem
    assert "more cells than the header" in report.problems[1].problem
    assert report.good == 1


@pytest.mark.parametrize("column", REQUIRED)
def test_without_a_required_column_nothing_is_read_and_the_column_is_named(
    lab: Lab, table: CatalogueFolder, column: str
) -> None:
    table.add("good")
    table.write(table.text([name for name in COLUMNS if name != column]))
    with pytest.raises(LabError, match=f"lacks the column {column};"):
        table.read(lab)
    assert stored(lab) == set()


def test_a_table_without_the_optional_columns_is_read_with_a_remark(lab: Lab, table: CatalogueFolder) -> None:
    table.add("good")
    table.write(table.text(list(REQUIRED)))
    report = table.read(lab)
    assert report.remarks == [
        "there is no column duration_s; the videos were imported without it",
        "there is no column tags; the videos were imported without it",
        "1 of 1 rows have no length of the video (duration_s). Such a video may be a Short, so no model is trained on it, "
        "and no adapter is fitted to it; fill in the column and import the folder again",
    ]
    with lab.engine.connect() as connection:
        row = connection.execute(select(videos)).one()
    assert (row.duration_s, row.tags) == (None, [])


def test_if_no_row_can_be_read_the_error_names_the_first_reason(lab: Lab, table: CatalogueFolder) -> None:
    table.add("a", b"none")
    table.add("b", b"none")
    table.write()
    with pytest.raises(LabError, match=r"none of the 2 rows .* line 2: image a\.jpg cannot be read"):
        table.read(lab)


@pytest.mark.parametrize("text", ["", "\n\n", ",".join(COLUMNS) + "\n"])
def test_an_empty_table_is_an_error(lab: Lab, table: CatalogueFolder, text: str) -> None:
    table.write(text)
    with pytest.raises(LabError):
        table.read(lab)


def test_a_folder_without_a_table_is_an_error(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="a catalogue is a folder with"):
        import_catalogue(lab, tmp_path / "nowhere")
    (tmp_path / "videos.csv").mkdir()
    with pytest.raises(LabError, match="cannot be read"):
        import_catalogue(lab, tmp_path)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_from_any_spreadsheet_is_read(lab: Lab, table: CatalogueFolder, ends: str, mark: str) -> None:
    titles = ['He said "no"', "two\nlines", "comma, and ünïcode 🎬", "  spaces  "]
    for number, title in enumerate(titles):
        table.add(f"v{number}", title=title)
    table.write(mark + table.text(lineterminator=ends))
    report = table.read(lab)
    assert (report.good, report.problems) == (4, [])
    with lab.engine.connect() as connection:
        read_titles = connection.execute(select(videos.c.title).order_by(videos.c.video_id)).scalars().all()
    assert read_titles == [title.strip() for title in titles]


def test_a_cell_of_a_megabyte_loses_only_its_own_row(lab: Lab, table: CatalogueFolder) -> None:
    table.add("before")
    line = table.add("huge", title="x" * 2**20)
    table.add("after")
    table.write()
    report = table.read(lab)
    assert [p.line for p in report.problems] == [line]
    assert stored(lab) == {"before", "after"}


def test_a_byte_that_is_not_utf8_loses_only_its_own_row(lab: Lab, table: CatalogueFolder) -> None:
    table.add("before")
    line = table.add("latin", title="caf@")
    table.add("after")
    table.write(table.text().encode().replace(b"caf@", b"caf\xe9"))
    report = table.read(lab)
    assert [(p.line, p.video_id) for p in report.problems] == [(line, "latin")]
    assert "UTF-8" in report.problems[0].problem
    report.problems[0].problem.encode()
    assert stored(lab) == {"before", "after"}


def test_a_table_in_another_encoding_is_an_error_that_says_so(lab: Lab, table: CatalogueFolder) -> None:
    table.add("good")
    table.write(table.text().encode("utf-16"))
    with pytest.raises(LabError, match="UTF-8"):
        table.read(lab)


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


def test_counts_are_read_as_pandas_and_spreadsheets_write_them(lab: Lab, table: CatalogueFolder) -> None:
    for number, cell in enumerate(COUNTS):
        table.add(f"v{number}", views=cell, duration_s=cell)
    lines = {table.add(f"bad{n}", views=cell): problem for n, (cell, problem) in enumerate(NO_COUNTS.items())}
    table.write()
    report = table.read(lab)
    assert list(values(lab, video_stats.c.view_count).values()) == list(COUNTS.values())
    assert list(values(lab, videos.c.duration_s).values()) == list(COUNTS.values())
    assert {p.line for p in report.problems} == set(lines)
    assert all(lines[p.line] in p.problem for p in report.problems)


def test_an_optional_cell_without_a_value_loses_no_row(lab: Lab, table: CatalogueFolder) -> None:
    nothing = ["", "nan", "NaN", "None", "<NA>", "NaT", "null", "N/A"]
    for number, cell in enumerate(nothing):
        table.add(f"v{number}", duration_s=cell, tags=cell, title=cell or "a title")
    table.add("length", duration_s="299.6")
    table.write()
    assert table.read(lab).problems == []
    empty = {f"v{n}" for n in range(len(nothing))}
    assert values(lab, videos.c.duration_s) == dict.fromkeys(empty) | {"length": 300}
    assert all(values(lab, videos.c.tags)[name] == [] for name in empty)
    assert values(lab, videos.c.title)["v1"] == "nan"  # The word "nan" is a valid title.


DATES = {
    "2026-01-05": (5, 0),
    "2026-01-05 14:00:00": (5, 14),
    "2026-01-05 14:00:00+00:00": (5, 14),
    "2026-01-05T14:00:00.000000000Z": (5, 14),
    "2026-01-05 16:00:00.123456789+02:00": (5, 14),
    "2026-01-05 14:00:00 UTC": (5, 14),
    "20260105": (5, 0),
}


def test_dates_are_read_as_pandas_writes_them_and_others_are_named(lab: Lab, table: CatalogueFolder) -> None:
    for number, cell in enumerate(DATES):
        table.add(f"v{number}", published_on=cell)
    odd = ["10/05/2026", "NaT", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1767621600", "2026-02-30"]
    lines = [table.add(f"odd{n}", published_on=cell) for n, cell in enumerate(odd)]
    table.write()
    report = table.read(lab)
    assert [p.line for p in report.problems] == lines
    dates = [moment.astimezone(UTC) for moment in values(lab, videos.c.published_at).values()]
    assert [(moment.day, moment.hour) for moment in dates] == list(DATES.values())


def test_a_table_that_is_a_pipe_is_an_error_at_once(lab: Lab, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "videos.csv")
    with pytest.raises(LabError, match="it is not a file"):
        import_catalogue(lab, tmp_path)


def test_a_future_date_skips_its_row_and_an_unreadable_length_does_not(lab: Lab, table: CatalogueFolder) -> None:
    table.add("ahead", observed_at="2199-01-01")
    lengths = {
        "clock": ("5:03", 303),
        "hours": ("1:02:03", 3723),
        "pandas": ("0 days 00:05:03", 303),
        "bad": ("x", None),
    }
    lengths |= {"iso": ("PT5M3S", 303), "minus": ("-1", None)}
    for video_id, (cell, _) in lengths.items():
        table.add(video_id, duration_s=cell)
    table.write()
    report = table.read(lab)
    assert values(lab, videos.c.duration_s) == {video_id: length for video_id, (_, length) in lengths.items()}
    assert {p.video_id: p.skipped for p in report.problems} == {"ahead": True, "bad": False, "minus": False}
    assert "is in the future" in next(p.problem for p in report.problems if p.video_id == "ahead")


def test_a_quote_that_is_never_closed_loses_only_its_own_row(lab: Lab, table: CatalogueFolder) -> None:
    table.add("v1", title="two\nlines")
    table.add("v2", title="STRAY", tags="one")
    table.add("v3", views="3")
    table.add("v4", title='said "no", then', views="4")
    table.add("v5", views="5", title="STRAY", tags="one")
    table.add("v6", views="6")
    table.write(table.text().replace("STRAY", '"Unclosed title'))
    report = table.read(lab)
    problem = "a quote is opened and not closed on this line"
    assert [(p.line, p.problem) for p in report.problems] == [(4, problem), (7, problem)]
    assert report.rows == 6
    assert values(lab, video_stats.c.view_count) == {"v1": 1000, "v3": 3, "v4": 4, "v6": 6}
    assert values(lab, videos.c.title)["v1"] == "two\nlines"


@pytest.mark.parametrize("before", ["", "sep=;\r\n", "\r\n", "\ufeffsep=;\r\n\r\n"])
@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_a_table_with_other_separators_and_names_in_other_case_is_read(
    lab: Lab, table: CatalogueFolder, before: str, mark: str
) -> None:
    table.add("v1", title="one; two, three")
    table.add("v2", niche="cooking")
    header, rest = table.text(delimiter=mark).split("\r\n", 1)
    names = mark.join(f" {name.title()} " for name in header.split(mark))
    table.write(before.replace(";", mark) + names + "\r\n" + rest)
    report = table.read(lab)
    assert values(lab, videos.c.title) == {"v1": "one; two, three"}
    assert [(p.line, p.video_id) for p in report.problems] == [(3 + before.count("\n"), "v2")]


def test_a_table_that_cannot_be_read_is_reported_in_one_short_sentence(lab: Lab, table: CatalogueFolder) -> None:
    table.add("good")
    for text, message in {
        table.text(delimiter="|"): "save it with commas between the cells",
        table.text().encode("utf-16-le"): "is not in UTF-8",
        b"\0" * 1000: "is not in UTF-8",
        table.text().replace("tags", "Views"): "has the column views 2 times",
    }.items():
        table.write(text)
        with pytest.raises(LabError, match=message) as raised:
            table.read(lab)
        assert "\0" not in str(raised.value)


def test_a_long_value_is_cut_in_the_message(lab: Lab, table: CatalogueFolder) -> None:
    table.add("good")
    table.add("niche", niche="n" * 1000)
    table.add("outside", b"none", name="../" + "o" * 1000)
    table.add("name", b"none", name="a" * 1000 + ".jpg")
    table.write()
    assert [len(p.problem) < 200 for p in table.read(lab).problems] == [True] * 3
