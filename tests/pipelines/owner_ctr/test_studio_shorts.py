"""Tests of recognising Shorts in Studio exports."""

from collections.abc import Callable
from pathlib import Path

import pytest
from collected_videos import collect_video
from sqlalchemy import text
from studio_exports import COLUMNS, DAY, ids, row, stored

from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.studio import import_studio

WITH_FEED = (*COLUMNS[:3], "Shown in feed", "Viewed (vs. swiped away) (%)", *COLUMNS[3:])


def test_video_shown_in_the_shorts_feed_is_a_short(lab: Lab, export: Callable[..., Path]) -> None:
    feeds = {"11304": "42.68", "": "", "0": "", "-": "-", "5": ""}
    rows = [[name, "T", "", *feed, "10", "1"] for name, feed in zip(ids(5), feeds.items(), strict=True)]
    report = import_studio(lab, export(rows, WITH_FEED), DAY)
    assert [stored(lab)[name].is_short for name in ids(5)] == [True, False, False, False, True]
    assert report.shorts == 2
    import_studio(lab, export([row(ids(6)[5])]), DAY)
    assert stored(lab)[ids(6)[5]].is_short is None


WITH_DURATION = (*COLUMNS[:3], "Duration", *COLUMNS[3:])


SHORT_BY_LENGTH = {
    "9": True,
    "180": True,
    "181": False,
    "4197": False,
    "0:02:59": True,
    "3:01": False,
    "": None,
    "x": None,
}


def test_video_of_up_to_three_minutes_is_a_short_if_only_its_duration_is_given(
    lab: Lab, export: Callable[..., Path]
) -> None:
    rows = [[name, "T", "", length, "10", "1"] for name, length in zip(ids(8), SHORT_BY_LENGTH, strict=True)]
    report = import_studio(lab, export(rows, WITH_DURATION), DAY)
    assert [stored(lab)[name].is_short for name in ids(8)] == list(SHORT_BY_LENGTH.values())
    assert (report.shorts, report.problems) == (3, [])


def test_shorts_feed_decides_before_the_duration(lab: Lab, export: Callable[..., Path]) -> None:
    columns = (*WITH_FEED[:5], "Duration", *WITH_FEED[5:])
    rows = [[name, "T", "", *feed, "60", "10", "1"] for name, feed in zip(ids(2), [("", ""), ("5", "1")], strict=True)]
    import_studio(lab, export(rows, columns), DAY)
    assert [stored(lab)[name].is_short for name in ids(2)] == [False, True]


def test_known_shape_decides_about_a_short_video(lab: Lab, export: Callable[..., Path]) -> None:
    wide, narrow, unknown = ids(3)
    import_studio(lab, export([[name, "T", "", "100", "10", "1"] for name in ids(3)], WITH_DURATION), DAY)
    for name, kind, shape in ((wide, "video", 1.78), (narrow, "short", 0.56), (unknown, "video", None)):
        collect_video(lab, name, format=kind, aspect_ratio=shape)
    with lab.engine.connect() as connection:
        shorts = dict(connection.execute(text("SELECT video_id, is_short FROM true_ctr")).all())
    assert shorts == {wide: False, narrow: True, unknown: True}


REAL_EXPORTS = {"english_2026_mostly_shorts_by_duration.csv": (80, 80), "english_2025_with_duration.csv": (80, 44)}


@pytest.mark.parametrize("name", REAL_EXPORTS)
def test_shorts_of_a_real_export_are_recognised_by_their_duration(lab: Lab, shared_data: Path, name: str) -> None:
    report = import_studio(lab, shared_data / "studio_ctr" / name)
    assert (report.with_ctr, report.shorts) == REAL_EXPORTS[name]
