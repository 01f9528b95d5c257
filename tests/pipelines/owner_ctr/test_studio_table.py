"""Tests of reading the table of a Studio export: its columns, rows and numbers."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from studio_exports import COLUMNS, DAY, csv_text, ids, row, stored

from thumblab_core.database.tables import video_reach
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.studio import import_studio
from thumblab_pipelines.owner_ctr.studio_columns import UnknownColumnsError
from thumblab_pipelines.owner_ctr.studio_dates import read_dates
from thumblab_pipelines.owner_ctr.studio_numbers import decimal_commas_in, parsed, seconds


def test_bad_rows_are_reported_with_their_line_and_the_others_are_imported(
    lab: Lab, export: Callable[..., Path]
) -> None:
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
        (row(good[9], "1.5"), "impressions 1.5 is not a count"),
        (row(good[10], "100", "nan"), "has no click-through rate"),
        (row(good[11], "100", "3,5"), "click-through rate '3,5' is not a number"),
        (row(good[0]), "is on line 3 already"),
        (row("short"), "'short' is not the id of a video"),
        (row("https://youtu.be/x"), "is not the id of a video"),
        (row(""), "'' is not the id of a video"),
        (row(good[12], "9" * 20), "is not a count"),
        ([good[13], "two cells"], "fewer cells than the header"),
        ([*row(good[14]), "x"], "more cells than the header"),
        (row("nul\0nulnul", "1"), "bytes that are not text"),
        (row(good[15], "1,234", "0"), ""),
        (row(good[16], "1,234,567", "100%"), ""),
    ]
    report = import_studio(lab, export([cells for cells, _ in cases]), DAY)
    problems = {problem.line: problem for problem in report.problems}
    expected = {line: sentence for line, (_, sentence) in enumerate(cases, 3) if sentence}
    assert set(problems) == set(expected)
    for line, sentence in expected.items():
        assert sentence in problems[line].problem
    assert (report.rows, report.with_ctr) == (len(cases), 3)
    assert report.rows == report.with_ctr + len(report.problems)
    rows = stored(lab)
    assert {name: (row.impressions, row.click_through_rate) for name, row in rows.items()} == {
        good[0]: (1000, 0.0525),
        good[15]: (1234, 0.0),
        good[16]: (1_234_567, 1.0),
    }


def test_id_that_begins_with_a_hyphen_is_read_without_studios_prefix(lab: Lab, export: Callable[..., Path]) -> None:
    import_studio(lab, export([row(" -pdXWmj9xxU"), row("'-CfzXp8-eCU")]), DAY)
    assert set(stored(lab)) == {"-pdXWmj9xxU", "-CfzXp8-eCU"}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_headers_are_found_in_any_case_with_soft_hyphens_and_byte_order_marks(
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


@pytest.mark.parametrize("absent", ["Impressions", "Impressions click-through rate (%)"])
def test_missing_column_is_named_with_how_to_add_or_name_it(lab: Lab, export: Callable[..., Path], absent: str) -> None:
    at = COLUMNS.index(absent)
    columns = [name for name in COLUMNS if name != absent]
    cells = [cell for n, cell in enumerate(row(ids(1)[0])) if n != at]
    with pytest.raises(LabError, match="lacks the column") as caught:
        import_studio(lab, export([cells], columns))
    assert f"lacks the column {absent};" in str(caught.value)
    assert "--column" in str(caught.value)
    assert "Advanced mode" in str(caught.value)


NEW_NAMES = [("Thumbnail impressions", "Thumbnail click-through rate (%)"), ("Impressions", COLUMNS[4])]


@pytest.mark.parametrize("names", NEW_NAMES)
def test_columns_are_found_by_their_old_and_new_names(
    lab: Lab, export: Callable[..., Path], names: tuple[str, str]
) -> None:
    assert import_studio(lab, export([row(ids(1)[0])], (*COLUMNS[:3], *names)), DAY).with_ctr == 1


def test_two_columns_of_impressions_are_an_error_that_names_both(lab: Lab, export: Callable[..., Path]) -> None:
    columns = ("Content", "Video title", "Thumbnail impressions", *COLUMNS[3:])
    with pytest.raises(UnknownColumnsError) as caught:
        import_studio(lab, export([row(ids(1)[0])], columns), DAY)
    assert (
        "several columns that may hold the same figure (Thumbnail impressions, Impressions); remove all but one"
        in str(caught.value)
    )
    [table] = caught.value.tables
    assert (table.header, table.missing) == (columns, ("impressions",)), (
        "the column is missing, so that a person can choose one of the two"
    )
    assert table.at == {"video": 0, "title": 1, "rate": 4}


def test_broken_quote_loses_only_its_own_line(lab: Lab, export: Callable[..., Path]) -> None:
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


def test_cell_of_a_megabyte_loses_only_its_own_row(lab: Lab, export: Callable[..., Path]) -> None:
    a, b, c = ids(3)
    report = import_studio(lab, export([row(a), row(b, title="x" * 2**20), row(c)]), DAY)
    assert [problem.line for problem in report.problems] == [4]
    assert set(stored(lab)) == {a, c}


def test_title_that_is_not_utf8_loses_no_row(lab: Lab, export: Callable[..., Path]) -> None:
    table = csv_text([row(name, title="caf@") for name in ids(2)]).encode().replace(b"@", b"\xe9")
    assert import_studio(lab, export(table), DAY).with_ctr == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize(("separator", "note"), [(";", ""), ("\t", ""), (";", "sep=;\r\n")])
def test_table_saved_by_a_spreadsheet_is_read(
    lab: Lab, export: Callable[..., Path], encoding: str, separator: str, note: str
) -> None:
    rows = [
        row(a, impressions, rate) for a, impressions, rate in zip(ids(2), ("12.345", "7"), ("4,25", "0"), strict=True)
    ]
    lines = [separator.join(cells) for cells in (COLUMNS, ("Total", "", "", "99.999", "3,1"), *rows)]
    byte_order_mark = "\ufeff" if encoding == "utf-16-be" else ""
    report = import_studio(lab, export((byte_order_mark + note + "\r\n".join(lines)).encode(encoding)), DAY)
    assert report.problems == []
    rates = {name: (row.impressions, row.click_through_rate) for name, row in stored(lab).items()}
    assert rates == {ids(2)[0]: (12345, pytest.approx(0.0425)), ids(2)[1]: (7, 0.0)}


SPELLINGS = {"1,00,95,064": 10_095_064, "12345.0": 12_345, "12 345": 12_345, "12\u202f345": 12_345, "12'345": 12_345}


def test_impressions_are_read_in_any_notation_unless_a_spreadsheet_rounded_them(
    lab: Lab, export: Callable[..., Path]
) -> None:
    report = import_studio(
        lab, export([row(a, n, "4.2%") for a, n in zip(ids(6), [*SPELLINGS, "1.00954E+08"], strict=True)])
    )
    assert [stored(lab)[name].impressions for name in ids(5)] == list(SPELLINGS.values())
    [problem] = report.problems
    assert "impressions 1.00954E+08 was rounded by a spreadsheet" in problem.problem


def test_id_that_a_spreadsheet_took_for_a_formula_is_read_or_reported(lab: Lab, export: Callable[..., Path]) -> None:
    report = import_studio(lab, export([row("=-pdXWmj9xxU"), row('="-CfzXp8-eCU"'), row("#NAME?")]), DAY)
    assert set(stored(lab)) == {"-pdXWmj9xxU", "-CfzXp8-eCU"}
    assert [p.video_id for p in report.problems] == ["#NAME?"]


def test_note_below_the_table_is_a_remark_and_not_a_bad_row(lab: Lab, export: Callable[..., Path]) -> None:
    table = csv_text([row(name) for name in ids(2)]) + "Showing top 500 results\n"
    for below in ("", ",,,,\n"):
        report = import_studio(lab, export(table + below), DAY)
        assert (report.rows, report.problems) == (2, [])
        assert report.remarks == ["line 5 says 'Showing top 500 results'"]


def test_table_with_too_many_lines_is_an_error_with_the_limit(lab: Lab, export: Callable[..., Path]) -> None:
    with pytest.raises(LabError, match=r"has more than 20,000 lines"):
        import_studio(lab, export("a,b\n" * 20_001), DAY)
    assert stored(lab) == {}


def test_a_table_of_very_many_columns_is_refused(lab: Lab, export: Callable[..., Path]) -> None:
    with pytest.raises(LabError, match="has more than 1,000 columns"):
        import_studio(lab, export([row(ids(1)[0])], (*COLUMNS, *["x"] * 1_000)), DAY)


def test_a_row_of_very_many_cells_is_a_problem_of_its_own(lab: Lab, export: Callable[..., Path]) -> None:
    report = import_studio(lab, export([row(ids(2)[0]), row(ids(2)[1]) + ["11"] * 1_000_000]), DAY)
    assert ["more cells than the header" in problem.problem for problem in report.problems] == [True]


@pytest.mark.parametrize(
    "cell", ["2026 " + "1" * 40_000 + " 1 xx", "2026 " + "1" * 50 + " 1 xx", "Oct " + "1" * 50 + " 2026", "9" * 400]
)
def test_a_long_cell_is_neither_a_date_nor_a_number(cell: str) -> None:
    assert read_dates([cell, "2026-10-01", "2026年10月1日"]) == [None, date(2026, 10, 1), date(2026, 10, 1)]
    assert parsed("9" * 65, False) is None
    assert seconds("9" * 65, False) is None
    assert decimal_commas_in(["1,5", "1.000." + "1" * 60], False)
