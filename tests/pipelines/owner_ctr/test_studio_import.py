"""Promises of importing YouTube Studio exports: the file's own figures, each bad row named, one row per video."""

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from thumblab_core.database.tables import channels, video_reach, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr import studio_file, studio_table
from thumblab_pipelines.owner_ctr.studio import StudioImport, import_studio

COLUMNS = ("Content", "Video title", "Video publish time", "Impressions", "Impressions click-through rate (%)")
SHORTS = (*COLUMNS[:3], "Shown in feed", "Viewed (vs. swiped away) (%)", *COLUMNS[3:])
GERMAN = (
    "Inhalte",
    "Videotitel",
    "Veröffentlichungszeitpunkt des Videos",
    "Impressionen",
    "Klickrate der Impressionen (%)",
)
FRENCH = (
    "Contenu",
    "Titre de la vidéo",
    "Heure de publication de la vidéo",
    "Impressions",
    "Taux de clics par impression (%)",
)
DAY = date(2026, 3, 1)


@pytest.fixture(scope="module")
def module_lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture
def lab(module_lab: Lab) -> Lab:
    with module_lab.engine.begin() as connection:
        for table in (video_reach, videos, channels):
            connection.execute(table.delete())
    return module_lab


def ids(count: int) -> list[str]:
    return [f"video_{n:05d}" for n in range(count)]


def row(video_id: str, impressions: str = "1000", rate: str = "5.25", title: str = "A title") -> list[str]:
    return [video_id, title, "2026-01-01", impressions, rate]


def csv_text(rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerow(["Total", *[""] * (len(columns) - 3), "999", "4.2"])
    writer.writerows(rows)
    return out.getvalue()


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file: of rows, or of the text or bytes that are given."""

    def write(content: Any, columns: Sequence[str] = COLUMNS, name: str = "Table data.csv") -> Path:
        if isinstance(content, list):
            content = csv_text(content, columns)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def stored(lab: Lab) -> dict[str, Any]:
    with lab.engine.connect() as connection:
        rows = connection.execute(select(video_reach).where(video_reach.c.source == "studio")).all()
    assert len({row.video_id for row in rows}) == len(rows), "a video has two rows of exports"
    return {row.video_id: row for row in rows}


def outcome(report: StudioImport) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.older


REAL = {"channel_a_videos.csv": (223, 0), "channel_b_videos.csv": (220, 2), "channel_c_shorts.csv": (102, 100)}


@pytest.mark.parametrize("name", REAL)
def test_every_video_of_a_real_export_gets_the_rate_and_impressions_of_the_file(
    lab: Lab, shared_data: Path, name: str
) -> None:
    path = shared_data / "studio_ctr" / name
    report = import_studio(lab, path)
    assert (report.rows, report.with_ctr, report.shorts) == (REAL[name][0], *REAL[name])
    assert (report.new, report.problems) == (REAL[name][0], [])
    found = stored(lab)
    lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    impressions, rate = len(lines[0]) - 2, len(lines[0]) - 1
    if name == "channel_a_videos.csv":
        impressions, rate = 17, 18
    assert lines[1][0] == "Total"
    assert len(lines[2:]) == len(found)
    for line in lines[2:]:
        row = found[line[0].strip()]
        assert abs(row.click_through_rate * 100 - float(line[rate])) < 1e-9
        assert row.impressions == int(line[impressions])
    assert all((row.is_short is None) == (name == "channel_a_videos.csv") for row in found.values())
    assert sum(row.is_short is True for row in found.values()) == REAL[name][1]


def test_the_view_of_true_ctr_tells_what_the_exports_told(lab: Lab, shared_data: Path) -> None:
    for name in REAL:
        import_studio(lab, shared_data / "studio_ctr" / name)
    with lab.engine.connect() as connection:
        rows = connection.execute(text("SELECT video_id, click_through_rate FROM true_ctr")).all()
    assert len(rows) == 545
    assert {row.video_id: row.click_through_rate for row in rows}["4OZip0cgOho"] == pytest.approx(0.0314, abs=1e-11)


def test_importing_again_changes_nothing(lab: Lab, export: Callable[..., Path]) -> None:
    path = export([row(name) for name in ids(4)])
    first = import_studio(lab, path, DAY)
    before = stored(lab)
    again = import_studio(lab, path, DAY)
    assert (outcome(first), outcome(again)) == ((4, 0, 0, 0), (0, 0, 4, 0))
    assert stored(lab) == before


def test_a_newer_export_replaces_an_older_one_and_never_the_other_way(lab: Lab, export: Callable[..., Path]) -> None:
    a, b, c = ids(3)
    import_studio(lab, export([row(a, "100", "1"), row(b, "100", "1")]), DAY)
    newer = import_studio(lab, export([row(a, "200", "2"), row(c, "7", "3")]), DAY + timedelta(days=1))
    assert outcome(newer) == (1, 1, 0, 0)
    older = import_studio(lab, export([row(a, "50", "9"), row(b, "50", "9")]), DAY - timedelta(days=1))
    assert outcome(older) == (0, 0, 0, 2)
    assert {name: (r.day, r.impressions) for name, r in stored(lab).items()} == {
        a: (DAY + timedelta(days=1), 200),
        b: (DAY, 100),
        c: (DAY + timedelta(days=1), 7),
    }


def test_the_day_is_that_of_the_file_where_none_is_given(lab: Lab, export: Callable[..., Path]) -> None:
    import os

    path = export([row(ids(1)[0])])
    os.utime(path, (0, datetime(2026, 2, 3, 23, 30, tzinfo=UTC).timestamp()))
    assert import_studio(lab, path).as_of == date(2026, 2, 3)
    ahead = datetime.now(UTC) + timedelta(days=900)
    os.utime(path, (0, ahead.timestamp()))
    assert import_studio(lab, path).as_of == datetime.now(UTC).date()
    with pytest.raises(LabError, match="cannot have been made yet"):
        import_studio(lab, path, ahead.date())


def test_each_bad_row_is_named_with_its_line_and_the_others_go_in(lab: Lab, export: Callable[..., Path]) -> None:
    good = ids(20)
    cases = [
        (row(good[0]), ""),
        (row(good[1], "", "5"), "has no impressions"),
        (row(good[2], "0", "0"), "has no impressions"),
        (row(good[3], "100", ""), "has no click-through rate"),
        (row(good[4], "100", "-"), "has no click-through rate"),
        (row(good[5], "-5"), "impressions -5 is negative"),
        (row(good[6], "100", "-1.5"), "click-through rate -1.5 is negative"),
        (row(good[7], "100", "100.01"), "outside 0 to 100 %"),
        (row(good[8], "many"), "impressions 'many' is not a number"),
        (row(good[9], "1.5"), "impressions 1.5 is no count"),
        (row(good[10], "100", "nan"), "has no click-through rate"),
        (row(good[11], "100", "3,5"), "click-through rate '3,5' is not a number"),
        (row(good[0]), "stands on line 3 already"),
        (row("short"), "'short' is no id of a video"),
        (row("https://youtu.be/x"), "is no id of a video"),
        (row(""), "'' is no id of a video"),
        (row(good[12], "9" * 20), "is no count"),
        ([good[13], "two cells"], "fewer cells than the header"),
        ([*row(good[14]), "x"], "more cells than the header"),
        (row("nul\0nulnul", "1"), "bytes that are no text"),
        (row(good[15], "1,234", "0"), ""),
        (row(good[16], "1,234,567", "100%"), ""),
    ]
    report = import_studio(lab, export([cells for cells, _ in cases]), DAY)
    found = {problem.line: problem for problem in report.problems}
    expected = {line: sentence for line, (_, sentence) in enumerate(cases, 3) if sentence}
    assert set(found) == set(expected)
    for line, sentence in expected.items():
        assert sentence in found[line].problem
    assert (report.rows, report.with_ctr) == (len(cases), 3)
    assert report.rows == report.with_ctr + len(report.problems)
    kept = stored(lab)
    assert {name: (r.impressions, r.click_through_rate) for name, r in kept.items()} == {
        good[0]: (1000, 0.0525),
        good[15]: (1234, 0.0),
        good[16]: (1_234_567, 1.0),
    }


def test_an_id_that_begins_with_a_hyphen_is_read_as_studio_writes_it(lab: Lab, export: Callable[..., Path]) -> None:
    import_studio(lab, export([row(" -pdXWmj9xxU"), row("'-CfzXp8-eCU")]), DAY)
    assert set(stored(lab)) == {"-pdXWmj9xxU", "-CfzXp8-eCU"}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_headers_are_found_in_any_case_with_soft_hyphens_and_marks(
    lab: Lab, export: Callable[..., Path], mark: str, end: str
) -> None:
    columns = (
        "VIDEO",
        "Video title",
        "Video pub\u00adlish time",
        "Im\u00adpres\u00adsions",
        "im\u00adpressions  click-through rate (%)",
    )
    table = csv_text([row(name) for name in ids(2)], columns).replace("\n", end)
    assert import_studio(lab, export(mark + table), DAY).with_ctr == 2


def test_a_video_is_a_short_where_the_feed_of_shorts_has_shown_it(lab: Lab, export: Callable[..., Path]) -> None:
    feeds = {"11304": "42.68", "": "", "0": "", "-": "-", "5": ""}
    rows = [[name, "T", "", *feed, "10", "1"] for name, feed in zip(ids(5), feeds.items(), strict=True)]
    report = import_studio(lab, export(rows, SHORTS), DAY)
    assert [stored(lab)[name].is_short for name in ids(5)] == [True, False, False, False, True]
    assert report.shorts == 2
    import_studio(lab, export([row(ids(6)[5])]), DAY)
    assert stored(lab)[ids(6)[5]].is_short is None


@pytest.mark.parametrize("columns", [GERMAN, FRENCH])
def test_an_export_in_another_language_is_an_error_that_says_which_to_choose(
    lab: Lab, export: Callable[..., Path], columns: tuple[str, ...]
) -> None:
    with pytest.raises(LabError, match="in another language than English") as caught:
        import_studio(lab, export([row(name) for name in ids(2)], columns))
    assert all(column in str(caught.value) for column in columns)
    assert "switch YouTube Studio's language to English" in str(caught.value)
    assert stored(lab) == {}


@pytest.mark.parametrize("absent", ["Content", "Impressions", "Impressions click-through rate (%)"])
def test_a_missing_column_is_named_with_how_to_add_it(lab: Lab, export: Callable[..., Path], absent: str) -> None:
    columns = ["Something" if name == absent else name for name in COLUMNS]
    with pytest.raises(LabError, match="lacks the column") as caught:
        import_studio(lab, export([row(ids(1)[0])], columns))
    assert f"lacks the column {absent};" in str(caught.value)
    assert "Advanced mode" in str(caught.value)


def test_a_broken_quote_costs_its_own_line_and_no_other(lab: Lab, export: Callable[..., Path]) -> None:
    names = ids(6)
    lines = csv_text([row(name, title="One, two") for name in names]).splitlines(keepends=True)
    for broken in (3, 6, 7):
        whole = list(lines)
        whole[broken] = whole[broken].replace('"One, two"', '"One two')
        with lab.engine.begin() as connection:
            connection.execute(video_reach.delete())
        report = import_studio(lab, export("".join(whole)), DAY)
        assert [problem.line for problem in report.problems] == [broken + 1]
        assert set(stored(lab)) == set(names) - {names[broken - 2]}


def test_line_breaks_inside_a_quoted_cell_are_read(lab: Lab, export: Callable[..., Path]) -> None:
    report = import_studio(lab, export([row(name, title="two\nlines, and\n\nmore") for name in ids(3)]), DAY)
    assert (report.with_ctr, report.problems) == (3, [])


def test_a_cell_of_a_megabyte_costs_its_own_row_only(lab: Lab, export: Callable[..., Path]) -> None:
    a, b, c = ids(3)
    report = import_studio(lab, export([row(a), row(b, title="x" * 2**20), row(c)]), DAY)
    assert [problem.line for problem in report.problems] == [4]
    assert set(stored(lab)) == {a, c}


def test_a_title_that_is_no_utf8_costs_nothing(lab: Lab, export: Callable[..., Path]) -> None:
    table = csv_text([row(name, title="caf@") for name in ids(2)]).encode().replace(b"@", b"\xe9")
    assert import_studio(lab, export(table), DAY).with_ctr == 2


EMPTY_ROWS = csv_text([])
UNREADABLE = {
    "empty": (b"", "is empty"),
    "one line": (csv_text([]).splitlines()[0].encode(), "not one of the 0 videos"),
    "total only": (EMPTY_ROWS.encode(), "not one of the 0 videos"),
    "no impressions at all": (csv_text([row(ids(1)[0], "", "")]).encode(), "line 3: has no impressions"),
    "nul": (b"\0" * 300, "is not in UTF-8"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "is not in UTF-8"),
    "another table": (b"name,age\nAda,36\n", "is no export of YouTube Studio"),
    "huge header": (b'"' + b"x" * 200_000 + b'"\n', "is no CSV file"),
    "page": (b"<!doctype html>\n<html><body>Sign in</body></html>", "is no export of YouTube Studio"),
    "twice": (
        csv_text([row(ids(1)[0])], ("Content", "Video title", "Impressions", *COLUMNS[3:])).encode(),
        "2 times",
    ),
    "no zip": (b"PK\x03\x04 and nothing more", "is a damaged .zip file"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_export_is_one_sentence(lab: Lab, export: Callable[..., Path], case: str) -> None:
    content, sentence = UNREADABLE[case]
    with pytest.raises(LabError) as caught:
        import_studio(lab, export(content), DAY)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
    assert stored(lab) == {}


def test_a_file_that_is_not_there_or_a_folder_is_one_sentence(lab: Lab, tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        for day in (None, DAY):
            with pytest.raises(LabError, match="cannot be read"):
                import_studio(lab, path, day)


def test_the_zip_of_studio_is_read_and_nothing_is_unpacked(lab: Lab, tmp_path: Path) -> None:
    table = csv_text([row(name) for name in ids(3)]).encode()
    files = {"Chart data.csv": b"Date,Content\n", "Table data.csv": b"\xef\xbb\xbf" + table, "Totals.csv": b"Date\n"}
    path = zipped(tmp_path / "Content 2026-01-01_2026-03-01 Channel.zip", **files)
    assert import_studio(lab, path, DAY).with_ctr == 3
    assert list(tmp_path.iterdir()) == [path]
    assert import_studio(lab, path.rename(tmp_path / "renamed.csv"), DAY).unchanged == 3


def test_a_zip_without_the_table_names_what_it_holds(lab: Lab, tmp_path: Path) -> None:
    german = zipped(tmp_path / "a.zip", **{"Tabellendaten.csv": b"x", "Diagrammdaten.csv": b"y"})
    with pytest.raises(LabError, match=r"holds no Table data\.csv but Tabellendaten\.csv, Diagrammdaten\.csv.*English"):
        import_studio(lab, german)
    with pytest.raises(LabError, match="is an Excel workbook"):
        import_studio(lab, zipped(tmp_path / "b.xlsx", **{"xl/workbook.xml": b""}))
    with pytest.raises(LabError, match="but nothing"):
        import_studio(lab, zipped(tmp_path / "c.zip"))


def test_a_zip_that_unpacks_to_too_much_is_not_read(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "bomb.zip", **{"Table data.csv": b"0" * (studio_file.LARGEST_TABLE + 1)})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(LabError, match="holds more than 16 MiB unpacked"):
        import_studio(lab, bomb)
    lying = bytearray(bomb.read_bytes())
    size = (studio_file.LARGEST_TABLE + 1).to_bytes(4, "little")
    assert lying.count(size) == 2
    bomb.write_bytes(lying.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(LabError):
        import_studio(lab, bomb)
    monkeypatch.setattr(studio_file, "LARGEST_TABLE", 100)
    plain = tmp_path / "large.csv"
    plain.write_text(csv_text([row(name) for name in ids(9)]))
    with pytest.raises(LabError, match="holds more than"):
        import_studio(lab, plain)


def test_videos_that_the_lab_has_are_counted_and_the_others_are_kept(lab: Lab, export: Callable[..., Path]) -> None:
    names = ids(3)
    now = datetime.now(UTC)
    with lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id="c", title="c"))
        facts = {"niche": "tech", "channel_id": "c", "title": "t", "published_at": now, "tags": [], "source": "youtube"}
        connection.execute(insert(videos).values(video_id=names[1], refreshed_at=now, **facts))
    report = import_studio(lab, export([row(name) for name in names]), DAY)
    assert (report.with_ctr, report.in_library) == (3, 1)
    assert set(stored(lab)) == set(names)


TIMED = (*COLUMNS[:3], "Duration", *COLUMNS[3:])
LENGTHS = {"9": True, "180": True, "181": False, "4197": False, "0:02:59": True, "3:01": False, "": None, "x": None}


def test_a_video_of_up_to_three_minutes_may_be_a_short_where_only_its_length_is_told(
    lab: Lab, export: Callable[..., Path]
) -> None:
    rows = [[name, "T", "", length, "10", "1"] for name, length in zip(ids(8), LENGTHS, strict=True)]
    report = import_studio(lab, export(rows, TIMED), DAY)
    assert [stored(lab)[name].is_short for name in ids(8)] == list(LENGTHS.values())
    assert (report.shorts, report.problems) == (3, [])


def test_the_feed_of_shorts_says_more_than_the_length(lab: Lab, export: Callable[..., Path]) -> None:
    columns = (*SHORTS[:5], "Duration", *SHORTS[5:])
    rows = [[name, "T", "", *feed, "60", "10", "1"] for name, feed in zip(ids(2), [("", ""), ("5", "1")], strict=True)]
    import_studio(lab, export(rows, columns), DAY)
    assert [stored(lab)[name].is_short for name in ids(2)] == [False, True]


def test_the_shape_that_the_lab_knows_decides_what_its_length_leaves_open(
    lab: Lab, export: Callable[..., Path]
) -> None:
    wide, narrow, unknown = ids(3)
    import_studio(lab, export([[name, "T", "", "100", "10", "1"] for name in ids(3)], TIMED), DAY)
    with lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id="c", title="c"))
        now = datetime.now(UTC)
        facts = {"niche": "tech", "channel_id": "c", "title": "t", "published_at": now, "tags": [], "source": "youtube"}
        for name, kind, shape in ((wide, "video", 1.78), (narrow, "short", 0.56), (unknown, "video", None)):
            shown = {"format": kind, "aspect_ratio": shape, "refreshed_at": now}
            connection.execute(insert(videos).values(video_id=name, **shown, **facts))
        found = dict(connection.execute(text("SELECT video_id, is_short FROM true_ctr")).all())
    assert found == {wide: False, narrow: True, unknown: True}


REAL_LENGTHS = {"english_2026_mostly_shorts_by_duration.csv": (80, 80), "english_2025_with_duration.csv": (80, 44)}


@pytest.mark.parametrize("name", REAL_LENGTHS)
def test_the_shorts_of_a_real_export_are_told_by_their_length(lab: Lab, shared_data: Path, name: str) -> None:
    report = import_studio(lab, shared_data / "studio_ctr" / name)
    assert (report.with_ctr, report.shorts) == REAL_LENGTHS[name]


def test_every_table_of_a_zip_is_read_and_of_a_video_in_two_the_row_with_the_most_impressions(
    lab: Lab, tmp_path: Path
) -> None:
    a, b, c, d = ids(4)
    first = csv_text([row(a, "100", "1"), row(b, "200", "2"), row(d, "0", "0")]).encode()
    second = csv_text([row(b, "150", "9"), row(c, "300", "3")]).encode()
    files = {"Content 1/Table data.csv": first, "Content 1/Totals.csv": b"Date\n", "Content 2/Table data.csv": second}
    path = zipped(tmp_path / "two.zip", **files, **{"__MACOSX/Content 1/._Table data.csv": b"\0\5"})
    report = import_studio(lab, path, DAY)
    assert (report.tables, report.rows, report.with_ctr) == (2, 5, 3)
    assert {name: (r.impressions, r.click_through_rate) for name, r in stored(lab).items()} == {
        a: (100, 0.01),
        b: (200, 0.02),
        c: (300, 0.03),
    }
    assert report.remarks == [
        "1 videos stand in more than one of its 2 tables; of each the row with the most impressions is taken"
    ]
    assert [p.problem for p in report.problems] == [
        "has no impressions, and so no click-through rate (in Content 1/Table data.csv)"
    ]


def test_a_zip_in_a_zip_is_read_and_deeper_ones_are_one_sentence(lab: Lab, tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", **{"Table data.csv": csv_text([row(ids(1)[0])]).encode()})
    outer = zipped(tmp_path / "outer.zip", **{"Content.zip": inner.read_bytes()})
    assert import_studio(lab, outer, DAY).with_ctr == 1
    deeper = zipped(tmp_path / "deeper.zip", **{"Content.zip": outer.read_bytes()})
    with pytest.raises(LabError, match=r"holds no Table data\.csv but Content\.zip"):
        import_studio(lab, deeper, DAY)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize(("separator", "note"), [(";", ""), ("\t", ""), (";", "sep=;\r\n")])
def test_a_table_that_a_spreadsheet_saved_anew_is_read(
    lab: Lab, export: Callable[..., Path], encoding: str, separator: str, note: str
) -> None:
    rows = [
        row(a, impressions, rate) for a, impressions, rate in zip(ids(2), ("12.345", "7"), ("4,25", "0"), strict=True)
    ]
    lines = [separator.join(cells) for cells in (COLUMNS, ("Total", "", "", "99.999", "3,1"), *rows)]
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    report = import_studio(lab, export((mark + note + "\r\n".join(lines)).encode(encoding)), DAY)
    assert report.problems == []
    found = {name: (r.impressions, r.click_through_rate) for name, r in stored(lab).items()}
    assert found == {ids(2)[0]: (12345, pytest.approx(0.0425)), ids(2)[1]: (7, 0.0)}


WRITTEN = {"1,00,95,064": 10_095_064, "12345.0": 12_345, "12 345": 12_345, "12\u202f345": 12_345, "12'345": 12_345}


def test_impressions_are_read_with_any_countrys_marks_and_not_where_a_spreadsheet_rounded_them(
    lab: Lab, export: Callable[..., Path]
) -> None:
    report = import_studio(
        lab, export([row(a, n, "4.2%") for a, n in zip(ids(6), [*WRITTEN, "1.00954E+08"], strict=True)])
    )
    assert [stored(lab)[name].impressions for name in ids(5)] == list(WRITTEN.values())
    [problem] = report.problems
    assert "impressions 1.00954E+08 was rounded by a spreadsheet" in problem.problem


def test_an_id_that_a_spreadsheet_took_for_a_formula_is_read_or_named(lab: Lab, export: Callable[..., Path]) -> None:
    report = import_studio(lab, export([row("=-pdXWmj9xxU"), row('="-CfzXp8-eCU"'), row("#NAME?")]), DAY)
    assert set(stored(lab)) == {"-pdXWmj9xxU", "-CfzXp8-eCU"}
    assert [p.video_id for p in report.problems] == ["#NAME?"]


def test_what_studio_writes_below_the_table_is_a_remark_and_no_bad_row(lab: Lab, export: Callable[..., Path]) -> None:
    table = csv_text([row(name) for name in ids(2)]) + "Showing top 500 results\n"
    for below in ("", ",,,,\n"):
        report = import_studio(lab, export(table + below), DAY)
        assert (report.rows, report.problems) == (2, [])
        assert report.remarks == ["line 5 says 'Showing top 500 results'"]


NEW_NAMES = [("Thumbnail impressions", "Thumbnail click-through rate (%)"), ("Impressions", COLUMNS[4])]


@pytest.mark.parametrize("names", NEW_NAMES)
def test_the_columns_are_found_by_their_old_and_new_names(
    lab: Lab, export: Callable[..., Path], names: tuple[str, str]
) -> None:
    assert import_studio(lab, export([row(ids(1)[0])], (*COLUMNS[:3], *names)), DAY).with_ctr == 1


def test_two_columns_of_impressions_are_one_sentence_that_names_both(lab: Lab, export: Callable[..., Path]) -> None:
    columns = ("Content", "Video title", "Thumbnail impressions", *COLUMNS[3:])
    with pytest.raises(LabError) as caught:
        import_studio(lab, export([row(ids(1)[0])], columns), DAY)
    assert "several columns for one figure (Thumbnail impressions, Impressions); remove all but one" in str(
        caught.value
    )


def test_a_pipe_is_one_sentence_at_once(lab: Lab, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(LabError, match="is no file"):
        import_studio(lab, tmp_path / "pipe.csv", DAY)


CASES = {
    "english-excel-semicolon.csv": 3,
    "english-utf16-tab.csv": 3,
    "german-semicolon.csv": "in another language than English",
    "german.csv": "in another language than English",
    "mac.zip": 3,
    "newnames.csv": 3,
    "numbers.csv": 4,
    "two-exports.zip": 7,
    "zip-in-zip.zip": 3,
}


@pytest.mark.parametrize("name", CASES)
def test_files_as_people_have_them_give_the_right_rows_or_one_clear_sentence(
    lab: Lab, shared_data: Path, name: str
) -> None:
    path, right = shared_data.parent / "cases" / "19-studio" / name, CASES[name]
    if not path.is_file():
        pytest.skip(f"the files that failed are not here ({path})")
    if isinstance(right, str):
        with pytest.raises(LabError, match=right):
            import_studio(lab, path)
    else:
        assert import_studio(lab, path).with_ctr == right


def test_more_videos_than_a_statement_has_parameters_are_imported_and_counted(
    lab: Lab, export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio_table, "MOST_LINES", 100_000)
    assert import_studio(lab, export([row(name) for name in ids(65_600)]), DAY).new == 65_600


def test_a_table_of_too_many_lines_is_one_sentence_that_says_how_many_are_read(
    lab: Lab, export: Callable[..., Path]
) -> None:
    with pytest.raises(LabError, match=r"has more than 20,000 lines"):
        import_studio(lab, export("a,b\n" * 20_001), DAY)
    assert stored(lab) == {}


def test_a_zip_of_many_large_zips_is_refused_before_all_are_unpacked(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = zipped(tmp_path / "inner.zip", **{"Table data.csv": b" " * (15 * 2**20)}).read_bytes()
    many = zipped(tmp_path / "many.zip", **{f"{n}.zip": inner for n in range(90)})
    read: list[int] = []
    whole = studio_file._decoded
    monkeypatch.setattr(studio_file, "_decoded", lambda data: (read.append(len(data)), whole(data))[1])
    with pytest.raises(LabError, match=r"more than 50 tables or \.zip files, or more than 64 MiB unpacked"):
        import_studio(lab, many, DAY)
    assert sum(read) <= 64 * 2**20
    small = zipped(tmp_path / "small.zip", **{f"{n}/Table data.csv": b" " for n in range(51)})
    with pytest.raises(LabError, match=r"more than 50 tables or \.zip files, or more than 64 MiB unpacked"):
        import_studio(lab, small, DAY)


@pytest.mark.parametrize("name", ["Table data (1).csv", "Table data.csv ", "export.csv", "EXPORT.CSV"])
def test_the_table_of_a_zip_is_known_by_its_header_whatever_its_name(lab: Lab, tmp_path: Path, name: str) -> None:
    table = csv_text([row(ids(1)[0])]).encode()
    report = import_studio(lab, zipped(tmp_path / "a.zip", **{name: table, "Totals.csv": b"Date\n"}), DAY)
    assert (report.with_ctr, report.remarks) == (1, [])


@pytest.mark.parametrize("name", ["Table data.csv", "export.csv"])
@pytest.mark.parametrize("beside", ["notes.csv", "notes.zip", "broken.zip"])
def test_a_good_table_is_read_beside_what_is_none_and_a_remark_says_what_was_left(
    lab: Lab, tmp_path: Path, name: str, beside: str
) -> None:
    other = zipped(tmp_path / "o.zip", **{"notes.txt": b"x"}).read_bytes()
    content = {"notes.csv": b"name,age\nAda,36\n", "notes.zip": other, "broken.zip": b"PK\3\4 no"}[beside]
    table = csv_text([row(ids(1)[0])]).encode()
    report = import_studio(lab, zipped(tmp_path / "a.zip", **{beside: content, name: table}), DAY)
    assert report.with_ctr == 1
    [remark] = report.remarks
    assert remark.startswith("left out: ")
    assert beside in remark


def test_a_zip_with_a_password_is_said_to_be_locked(lab: Lab, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", **{"Table data.csv": csv_text([row(ids(1)[0])]).encode()})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(LabError, match="is locked with a password"):
        import_studio(lab, path, DAY)
