"""Tests of importing Studio exports. For each video, the lab stores one row. The row comes from the newest export that
contains the video.
"""

import csv
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from collected_videos import collect_video
from sqlalchemy import text
from studio_exports import DAY, ids, row, stored

from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr import studio_table
from thumblab_pipelines.owner_ctr.studio import StudioImport, import_studio


def outcome(report: StudioImport) -> tuple[int, int, int, int]:
    """Return the numbers of new videos, of changed videos, of unchanged videos, and of videos whose stored row is from
    a newer export than the imported file.
    """
    return report.new, report.changed, report.unchanged, report.older


REAL = {"channel_a_videos.csv": (223, 0), "channel_b_videos.csv": (220, 2), "channel_c_shorts.csv": (102, 100)}
"""For each real export: how many videos it has, and how many of these videos are Shorts."""


@pytest.mark.parametrize("name", REAL)
def test_videos_of_a_real_export_get_the_rate_and_impressions_in_the_file(
    lab: Lab, shared_data: Path, name: str
) -> None:
    path = shared_data / "studio_ctr" / name
    report = import_studio(lab, path)
    assert (report.rows, report.with_ctr, report.shorts) == (REAL[name][0], *REAL[name])
    assert (report.new, report.problems) == (REAL[name][0], [])
    rows = stored(lab)
    lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    impressions, rate = len(lines[0]) - 2, len(lines[0]) - 1
    if name == "channel_a_videos.csv":
        impressions, rate = 17, 18
    assert lines[1][0] == "Total"
    assert len(lines[2:]) == len(rows)
    for line in lines[2:]:
        row = rows[line[0].strip()]
        assert abs(row.click_through_rate * 100 - float(line[rate])) < 1e-9
        assert row.impressions == int(line[impressions])
    # The table of channel A does not contain the lengths of the videos. The views and the hours of watching show that
    # most of its videos are not Shorts.
    unknown = sum(row.is_short is None for row in rows.values())
    assert unknown == (13 if name == "channel_a_videos.csv" else 0)
    assert sum(row.is_short is True for row in rows.values()) == REAL[name][1]


def test_true_ctr_view_has_the_rates_of_the_exports(lab: Lab, shared_data: Path) -> None:
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


def test_newer_export_replaces_an_older_one_and_not_the_other_way_round(lab: Lab, export: Callable[..., Path]) -> None:
    a, b, c = ids(3)
    import_studio(lab, export([row(a, "100", "1"), row(b, "100", "1")]), DAY)
    newer = import_studio(lab, export([row(a, "200", "2"), row(c, "7", "3")]), DAY + timedelta(days=1))
    assert outcome(newer) == (1, 1, 0, 0)
    older = import_studio(lab, export([row(a, "50", "9"), row(b, "50", "9")]), DAY - timedelta(days=1))
    assert outcome(older) == (0, 0, 0, 2)
    assert {name: (row.day, row.impressions) for name, row in stored(lab).items()} == {
        a: (DAY + timedelta(days=1), 200),
        b: (DAY, 100),
        c: (DAY + timedelta(days=1), 7),
    }


def test_an_export_of_a_part_of_the_time_does_not_replace_totals(lab: Lab, export: Callable[..., Path]) -> None:
    a, b = ids(2)
    import_studio(lab, export([row(a, "200000", "4.5")], name="Content 2015-01-01_2026-03-01 Me.csv"))
    rows = [row(a, "300", "2"), [b, "New", "2026-03-05", "400", "3"]]
    report = import_studio(lab, export(rows, name="Content 2026-03-02_2026-03-20 Me.csv"))
    # The first video was published on 1 January, so the period lacks most of its impressions.
    assert {name: row.impressions for name, row in stored(lab).items()} == {a: 200_000, b: 400}
    assert [problem.line for problem in report.problems] == [3]
    assert "export the period Lifetime" in report.problems[0].problem
    with pytest.raises(LabError, match="2026-03-02, so these are not the totals of the video"):
        import_studio(lab, export([row(a, "300", "2")], name="Content 2026-03-02_2026-03-20 Me.csv"))


def test_default_day_is_the_day_of_the_file(lab: Lab, export: Callable[..., Path]) -> None:

    path = export([row(ids(1)[0])])
    os.utime(path, (0, datetime(2026, 2, 3, 23, 30, tzinfo=UTC).timestamp()))
    assert import_studio(lab, path).as_of == date(2026, 2, 3)
    ahead = datetime.now(UTC) + timedelta(days=900)
    os.utime(path, (0, ahead.timestamp()))
    assert import_studio(lab, path).as_of == datetime.now(UTC).date()
    with pytest.raises(LabError, match="cannot have been made yet"):
        import_studio(lab, path, ahead.date())


def test_videos_in_the_library_are_counted_and_the_others_are_stored_too(lab: Lab, export: Callable[..., Path]) -> None:
    names = ids(3)
    collect_video(lab, names[1])
    report = import_studio(lab, export([row(name) for name in names]), DAY)
    assert (report.with_ctr, report.in_library) == (3, 1)
    assert set(stored(lab)) == set(names)


@pytest.mark.slow
def test_more_videos_than_a_statement_can_have_parameters_are_imported(
    lab: Lab, export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio_table, "MAX_LINES", 100_000)
    assert import_studio(lab, export([row(name) for name in ids(65_600)]), DAY).new == 65_600


CASES = {
    "english-excel-semicolon.csv": 3,
    "english-utf16-tab.csv": 3,
    "german-semicolon.csv": 3,
    "german.csv": 3,
    "mac.zip": 3,
    "newnames.csv": 3,
    "numbers.csv": 4,
    "two-exports.zip": 7,
    "zip-in-zip.zip": 3,
}


@pytest.mark.parametrize("name", CASES)
def test_files_from_users_give_the_right_rows(lab: Lab, shared_data: Path, name: str) -> None:
    path, expected = shared_data.parent / "cases" / "19-studio" / name, CASES[name]
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    assert import_studio(lab, path).with_ctr == expected
