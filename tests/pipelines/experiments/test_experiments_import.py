"""Test the import of experiments from a CSV table.

If a row has an error, the report names its line. The other rows are still imported.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from given_experiments import CHANNEL, kept, put_channel

from thumblab_core.errors import LabError
from thumblab_pipelines.experiments import csv_rows
from thumblab_pipelines.experiments.import_csv import ExperimentImport, import_experiments
from thumblab_pipelines.lab import Lab

HEADER = "channel,video_id,started_on,ended_on,outcome,winner,picture_1,picture_2,picture_3,share_1,share_2,share_3\n"
GOOD = [
    f"{CHANNEL},video_aaaaa,2026-11-01,2026-11-08,winner,,a.jpg,b.jpg,,46.1%,53.9%,\n",
    f"{CHANNEL},video_bbbbb,2026-10-01,,Performed the same,,a.jpg,b.jpg,c.jpg,33,33,34\n",
    f"{CHANNEL},video_ccccc,2026-09-01,,inconclusive,,b.jpg,c.jpg,,,,\n",
]
Import = Callable[[str], ExperimentImport]


@pytest.fixture
def table(lab: Lab, pictures: list[Path]) -> Import:
    """A function that writes the given text to a CSV file and imports the file.

    The pictures that the rows name are in the folder of the CSV file.
    """

    def run(text: str, encoding: str = "utf-8") -> ExperimentImport:
        path = pictures[0].parent / "experiments.csv"
        path.write_bytes(text.encode(encoding, "surrogateescape"))
        return import_experiments(lab, path)

    return run


def test_each_row_is_an_experiment_with_two_or_three_variants(lab: Lab, table: Import) -> None:
    report = table(HEADER + "".join(GOOD))
    assert (report.rows, report.new, report.stored, report.problems, report.remarks) == (3, 3, 3, [], [])
    newest, second, third = (one.experiment for one in kept(lab))
    assert (newest.winner, [v.watch_time_share for v in newest.variants]) == (2, pytest.approx([0.461, 0.539]))
    assert (second.outcome, len(second.variants)) == ("performed_the_same", 3)
    assert (third.ended_on, [v.watch_time_share for v in third.variants]) == (None, [None, None])


def test_shares_that_miss_100_percent_by_2_are_stored(lab: Lab, table: Import) -> None:
    report = table(HEADER + GOOD[1].replace("33,33,34", "20.1,44.2,33.7") + GOOD[2])
    assert (report.new, report.problems) == (2, [])


def test_a_header_with_a_quote_that_is_never_closed_is_refused_in_a_sentence(table: Import) -> None:
    with pytest.raises(LabError, match="column"):
        table(HEADER.replace("outcome", '"outcome') + "".join(GOOD))


def test_a_second_import_changes_nothing_and_a_corrected_row_is_updated(lab: Lab, table: Import) -> None:
    table(HEADER + "".join(GOOD))
    before = kept(lab)
    again = table(HEADER + "".join(GOOD))
    assert (again.new, again.changed, again.unchanged) == (0, 0, 3)
    assert kept(lab) == before
    corrected = table(HEADER + GOOD[0].replace("46.1%,53.9%", "53.9%,46.1%"))
    assert (corrected.new, corrected.changed, corrected.unchanged) == (0, 1, 0)
    assert len(kept(lab)) == 3
    assert kept(lab)[0].experiment.winner == 1


BAD = {
    "channel missing": (",video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b.jpg,,,,", "channel is missing; fill in"),
    "unknown channel": (
        "Nobody,video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b.jpg,,,,",
        "knows no channel called 'Nobody'",
    ),
    "handle": ("@me,video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b.jpg,,,,", "set THUMBLAB_YOUTUBE_API_KEY"),
    "no video": (f"{CHANNEL},short,2026-11-01,,inconclusive,,a.jpg,b.jpg,,,,", "give the 11 characters"),
    "no date": (f"{CHANNEL},video_xxxxx,1 Nov,,inconclusive,,a.jpg,b.jpg,,,,", "write the day as YYYY-MM-DD"),
    "a time": (
        f"{CHANNEL},video_xxxxx,2026-11-01T23:00:00-05:00,,inconclusive,,a.jpg,b.jpg,,,,",
        "write the day as YYYY-MM-DD",
    ),
    "shares of 1 %": (
        f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b.jpg,,0.4 %,0.6 %,",
        "add up to 0.01",
    ),
    "winner with a point": (
        f"{CHANNEL},video_xxxxx,2026-11-01,,winner,2.0,a.jpg,b.jpg,,,,",
        "a whole number such as 2",
    ),
    "future": (f"{CHANNEL},video_xxxxx,2999-11-01,,inconclusive,,a.jpg,b.jpg,,,,", "is in the future"),
    "reversed": (f"{CHANNEL},video_xxxxx,2026-11-02,2026-11-01,inconclusive,,a.jpg,b.jpg,,,,", "before it started"),
    "long": (f"{CHANNEL},video_xxxxx,2006-11-02,2026-11-01,inconclusive,,a.jpg,b.jpg,,,,", "run for 7,304 days"),
    "outcome": (f"{CHANNEL},video_xxxxx,2026-11-01,,won,,a.jpg,b.jpg,,,,", "not an outcome of YouTube's tests"),
    "winner": (
        f"{CHANNEL},video_xxxxx,2026-11-01,,winner,b,a.jpg,b.jpg,,,,",
        "winner 'b' is not a whole number; write",
    ),
    "unknown winner": (f"{CHANNEL},video_xxxxx,2026-11-01,,winner,,a.jpg,b.jpg,,,,", "not known which variant won"),
    "one variant": (f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,a.jpg,,,,,", "2 or 3 variants, and 1 are given"),
    "gap": (f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,a.jpg,,b.jpg,,,", "variant 2 has no picture"),
    "absent": (f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,a.jpg,absent.jpg,,,,", "(absent.jpg) cannot be read"),
    "outside": (f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,../a.jpg,b.jpg,,,,", "is outside the folder"),
    "share": (f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b.jpg,,half,half,", "write a percentage such as"),
    "shares": (f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b.jpg,,40,40,", "add up to 80"),
    "cells": (f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b.jpg,,,,,,", "more cells than the header"),
    "bytes": (f"{CHANNEL},video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b\udcff.jpg,,,,", "save the file in UTF-8"),
    "quote": (f'{CHANNEL},"video_xxxxx,2026-11-01,,inconclusive,,a.jpg,b.jpg,,,,', "a quote is opened"),
    "twice": (GOOD[0].strip(), "an experiment of the same channel, video and first day is on line 2; remove one"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_with_its_line_and_the_others_are_stored(lab: Lab, table: Import, name: str) -> None:
    row, sentence = BAD[name]
    report = table(HEADER + GOOD[0] + row + "\n" + "".join(GOOD[1:]))
    assert (report.rows, report.new) == (4, 3)
    (problem,) = report.problems
    assert (problem.line, problem.skipped) == (3, True)
    assert sentence in problem.problem
    assert len(kept(lab)) == 3


def test_a_winner_without_the_largest_share_is_stored_with_a_remark(lab: Lab, table: Import) -> None:
    report = table(HEADER + GOOD[0].replace("winner,,", "winner,1,"))
    (problem,) = report.problems
    assert (report.new, problem.line, problem.skipped) == (1, 2, False)
    assert "variant 1 won, but variant 2 has the largest share of watch time" in problem.problem
    assert kept(lab)[0].experiment.winner == 1


def test_spreadsheets_of_other_countries_can_be_read(lab: Lab, table: Import) -> None:
    columns = "Channel;VIDEO_ID;Started_on;Outcome;Title;Title_1;Title_2;Share_1;Share_2;Impressions_1;Impressions_2"
    row = f"{CHANNEL};video_aaaaa;2026-11-01;Winner;;Ein Titel;Noch ein Titel;40,5 %;59,5 %;1200;1,300"
    text = f"sep=;\r\n{columns}\r\n{row}\r\n;;;;;;;;;;\r\n"
    report = table(text, "utf-8-sig")
    assert (report.rows, report.new, report.problems) == (1, 1, [])
    first, second = kept(lab)[0].experiment.variants
    assert (first.title, first.watch_time_share, first.impressions) == ("Ein Titel", pytest.approx(0.405), 1_200)
    assert (second.title, second.watch_time_share, second.impressions) == (
        "Noch ein Titel",
        pytest.approx(0.595),
        1_300,
    )


def test_one_title_may_apply_to_all_variants_and_unused_columns_are_named(lab: Lab, table: Import) -> None:
    put_channel(lab, "UC" + "b" * 22, "Beta")
    text = "channel,video_id,started_on,outcome,title,title_2,picture_1,picture_2,notes\n"
    report = table(text + "Beta,video_aaaaa,2026-11-01,inconclusive,Both,Second,a.jpg,b.jpg,hello\n")
    assert (report.new, report.remarks) == (1, ["the column notes is not used"])
    assert [v.title for v in kept(lab)[0].experiment.variants] == ["Both", "Second"]


def test_a_file_that_is_not_a_table_is_an_error_that_names_it(lab: Lab, table: Import, tmp_path: Path) -> None:
    for text, sentence in (
        ("", "lacks the columns channel, video_id, started_on, outcome; it has no columns"),
        ("channel,video_id,outcome\n", "lacks the column started_on"),
        (HEADER.replace("winner", "outcome"), "has the column outcome 2 times"),
        ("channel\0,video_id\n", "is not in UTF-8"),
    ):
        with pytest.raises(LabError, match=r"experiments\.csv") as error:
            table(text)
        assert sentence in str(error.value)
    os.mkfifo(tmp_path / "pipe.csv")
    for name, sentence in (("pipe.csv", "is not a regular file"), ("absent.csv", "cannot be read")):
        with pytest.raises(LabError, match=sentence):
            import_experiments(lab, tmp_path / name)


def test_a_table_that_is_too_large_is_refused(table: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "LARGEST_TABLE", 100)
    with pytest.raises(LabError, match="split it into smaller tables"):
        table(HEADER + "".join(GOOD))


def test_the_progress_counts_the_rows(lab: Lab, table: Import, tmp_path: Path) -> None:
    table(HEADER + "".join(GOOD))
    calls: list[tuple[str, int, int]] = []
    import_experiments(lab, tmp_path / "experiments.csv", lambda *call: calls.append(call))
    assert calls == [("importing experiments", done, 3) for done in range(4)]
