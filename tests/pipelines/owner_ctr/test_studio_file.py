"""Tests of finding the tables in a file that a person gives as an export of YouTube Studio.

A CSV file or a .zip file is read. A file of another kind is an error.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from studio_exports import COLUMNS, DAY, csv_text, ids, row, stored, zipped

from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr import studio_file
from thumblab_pipelines.owner_ctr.studio import import_studio

EMPTY_ROWS = csv_text([])


UNREADABLE = {
    "empty": (b"", "is empty"),
    "one line": (csv_text([]).splitlines()[0].encode(), "none of the 0 videos"),
    "total only": (EMPTY_ROWS.encode(), "none of the 0 videos"),
    "no impressions at all": (csv_text([row(ids(1)[0], "", "")]).encode(), "line 3: the video has no impressions"),
    "nul": (b"\0" * 300, "is not in UTF-8"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "is not in UTF-8"),
    "another table": (b"name,age\nAda,36\n", "is not an export of YouTube Studio"),
    "huge header": (b'"' + b"x" * 200_000 + b'"\n', "is not a CSV file"),
    "page": (b"<!doctype html>\n<html><body>Sign in</body></html>", "is not an export of YouTube Studio"),
    "twice": (
        csv_text([row(ids(1)[0])], ("Content", "Video title", "Impressions", *COLUMNS[3:])).encode(),
        "2 times",
    ),
    "no zip": (b"PK\x03\x04 and nothing more", "is a damaged .zip file"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_file_that_is_not_an_export_is_an_error_of_one_line(lab: Lab, export: Callable[..., Path], case: str) -> None:
    content, sentence = UNREADABLE[case]
    with pytest.raises(LabError) as caught:
        import_studio(lab, export(content), DAY)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
    assert stored(lab) == {}


def test_missing_file_and_folder_are_errors(lab: Lab, tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        for day in (None, DAY):
            with pytest.raises(LabError, match="cannot be read"):
                import_studio(lab, path, day)


def test_pipe_is_an_error_and_is_not_read(lab: Lab, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(LabError, match="is not a regular file"):
        import_studio(lab, tmp_path / "pipe.csv", DAY)


def test_zip_is_read_without_unpacking_to_disk(lab: Lab, tmp_path: Path) -> None:
    table = csv_text([row(name) for name in ids(3)]).encode()
    files = {"Chart data.csv": b"Date,Content\n", "Table data.csv": b"\xef\xbb\xbf" + table, "Totals.csv": b"Date\n"}
    path = zipped(tmp_path / "Content 2026-01-01_2026-03-01 Channel.zip", **files)
    assert import_studio(lab, path, DAY).with_ctr == 3
    assert list(tmp_path.iterdir()) == [path]
    assert import_studio(lab, path.rename(tmp_path / "renamed.csv"), DAY).unchanged == 3


def test_a_zip_without_a_table_is_an_error_that_names_its_files(lab: Lab, tmp_path: Path) -> None:
    german = zipped(tmp_path / "a.zip", **{"Tabellendaten.csv": b"x", "Diagrammdaten.csv": b"y"})
    with pytest.raises(LabError, match=r"Tabellendaten\.csv is not an export.*Diagrammdaten\.csv is not an export"):
        import_studio(lab, german)
    with pytest.raises(LabError, match="is an Excel workbook"):
        import_studio(lab, zipped(tmp_path / "b.xlsx", **{"xl/workbook.xml": b""}))
    with pytest.raises(LabError, match="only other entries"):
        import_studio(lab, zipped(tmp_path / "c.zip"))


def test_all_tables_of_a_zip_are_read_and_the_row_with_the_most_impressions_is_used(lab: Lab, tmp_path: Path) -> None:
    a, b, c, d = ids(4)
    first = csv_text([row(a, "100", "1"), row(b, "200", "2"), row(d, "0", "0")]).encode()
    second = csv_text([row(b, "150", "9"), row(c, "300", "3")]).encode()
    files = {"Content 1/Table data.csv": first, "Content 1/Totals.csv": b"Date\n", "Content 2/Table data.csv": second}
    path = zipped(tmp_path / "two.zip", **files, **{"__MACOSX/Content 1/._Table data.csv": b"\0\5"})
    report = import_studio(lab, path, DAY)
    assert (report.tables, report.rows, report.with_ctr) == (2, 5, 3)
    assert {name: (row.impressions, row.click_through_rate) for name, row in stored(lab).items()} == {
        a: (100, 0.01),
        b: (200, 0.02),
        c: (300, 0.03),
    }
    assert report.remarks == [
        "1 rows have a video that another of the 2 tables has too; for each video, the row with the most impressions "
        "was used"
    ]
    assert [problem.problem for problem in report.problems] == [
        "the video has no impressions and therefore no click-through rate (in Content 1/Table data.csv)"
    ]


def test_zip_in_a_zip_is_read_and_a_deeper_one_is_an_error(lab: Lab, tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", **{"Table data.csv": csv_text([row(ids(1)[0])]).encode()})
    outer = zipped(tmp_path / "outer.zip", **{"Content.zip": inner.read_bytes()})
    assert import_studio(lab, outer, DAY).with_ctr == 1
    deeper = zipped(tmp_path / "deeper.zip", **{"Content.zip": outer.read_bytes()})
    with pytest.raises(LabError, match=r"holds no Table data\.csv, only Content\.zip"):
        import_studio(lab, deeper, DAY)


@pytest.mark.parametrize("name", ["Table data (1).csv", "Table data.csv ", "export.csv", "EXPORT.CSV"])
def test_table_in_a_zip_is_recognised_by_its_header(lab: Lab, tmp_path: Path, name: str) -> None:
    table = csv_text([row(ids(1)[0])]).encode()
    report = import_studio(lab, zipped(tmp_path / "a.zip", **{name: table, "Totals.csv": b"Date\n"}), DAY)
    assert (report.with_ctr, report.remarks) == (1, [])


@pytest.mark.parametrize("name", ["Table data.csv", "export.csv"])
@pytest.mark.parametrize("beside", ["notes.csv", "notes.zip", "broken.zip"])
def test_an_unreadable_file_next_to_a_table_is_left_out_with_a_remark(
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


def test_zip_with_a_password_is_an_error_that_says_so(lab: Lab, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", **{"Table data.csv": csv_text([row(ids(1)[0])]).encode()})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(LabError, match="is locked with a password"):
        import_studio(lab, path, DAY)


def test_zip_with_a_too_large_table_is_refused(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "bomb.zip", **{"Table data.csv": b"0" * (studio_file.LARGEST_TABLE + 1)})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(LabError, match="holds more than 16 MiB unpacked"):
        import_studio(lab, bomb)
    wrong_size = bytearray(bomb.read_bytes())
    size = (studio_file.LARGEST_TABLE + 1).to_bytes(4, "little")
    assert wrong_size.count(size) == 2
    bomb.write_bytes(wrong_size.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(LabError):
        import_studio(lab, bomb)
    monkeypatch.setattr(studio_file, "LARGEST_TABLE", 100)
    plain = tmp_path / "large.csv"
    plain.write_text(csv_text([row(name) for name in ids(9)]))
    with pytest.raises(LabError, match="holds more than"):
        import_studio(lab, plain)


def test_zip_of_many_large_zips_is_refused_before_all_are_unpacked(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = zipped(tmp_path / "inner.zip", **{"Table data.csv": b" " * (15 * 2**20)}).read_bytes()
    many = zipped(tmp_path / "many.zip", **{f"{n}.zip": inner for n in range(90)})
    sizes: list[int] = []
    decoded = studio_file._decoded
    monkeypatch.setattr(studio_file, "_decoded", lambda data: (sizes.append(len(data)), decoded(data))[1])
    with pytest.raises(LabError, match=r"more than 50 tables or \.zip files, or more than 64 MiB unpacked"):
        import_studio(lab, many, DAY)
    assert sum(sizes) <= 64 * 2**20
    small = zipped(tmp_path / "small.zip", **{f"{n}/Table data.csv": b" " for n in range(51)})
    with pytest.raises(LabError, match=r"more than 50 tables or \.zip files, or more than 64 MiB unpacked"):
        import_studio(lab, small, DAY)
