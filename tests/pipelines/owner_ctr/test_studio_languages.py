"""Test that Studio exports are read in many languages, and if the names of their columns are unknown."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from studio_exports import DAY, stored
from studio_languages import LANGUAGES, VIDEOS, table

from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.studio import import_studio
from thumblab_pipelines.owner_ctr.studio_column_names import NAMES, field_of, normalized
from thumblab_pipelines.owner_ctr.studio_dates import read_dates
from thumblab_pipelines.owner_ctr.studio_file import TableText
from thumblab_pipelines.owner_ctr.studio_table import StudioTable, read_table
from thumblab_pipelines.owner_ctr.studio_videos import ExportedVideo, read_videos

NOVEMBER = date(2026, 11, 1)


def videos_of(path: Path, **columns: str) -> dict[str, ExportedVideo]:
    videos: dict[str, ExportedVideo] = {}
    read_videos(path, NOVEMBER, columns, videos)
    return videos


def read(text: str, **columns: str) -> StudioTable:
    return read_table(TableText("t.csv", text), columns)


@pytest.fixture
def english(export: Callable[..., Path]) -> dict[str, ExportedVideo]:
    return videos_of(export(table(LANGUAGES["English"]), name="english.csv"))


def test_the_english_table_has_the_facts_of_every_video(english: dict[str, ExportedVideo]) -> None:
    assert len(english) == len(VIDEOS)
    for expected in VIDEOS:
        video = english[str(expected["video"])]
        assert (video.title, video.published) == (expected["title"], expected["published"])
        assert (video.duration_s, video.views) == (expected["duration"], {NOVEMBER: expected["views"]})
        assert video.is_short is (expected["duration"] == 30)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_table_in_any_language_has_the_videos_of_the_english_one(
    export: Callable[..., Path], english: dict[str, ExportedVideo], language: str, separator: str
) -> None:
    assert videos_of(export(table(LANGUAGES[language], separator))) == english
    assert videos_of(export(table(LANGUAGES[language], separator, seconds_as_clock=True))) == english


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_table_in_any_language_has_the_rates_of_the_english_one(
    lab: Lab, export: Callable[..., Path], language: str
) -> None:
    report = import_studio(lab, export(table(LANGUAGES[language])), NOVEMBER)
    assert (report.with_ctr, report.problems) == (len(VIDEOS), [])
    rows = stored(lab)
    for video in VIDEOS:
        row: Any = rows[str(video["video"])]
        assert row.impressions == video["impressions"]
        assert row.click_through_rate * 100 == pytest.approx(video["rate"], abs=0.005)
    guessed = language in ("Italian", "Dutch", "Polish", "Hindi")
    assert any("recognised by their values" in remark for remark in report.remarks) == guessed


def test_no_name_of_a_column_means_two_columns() -> None:
    for language, fields in NAMES.items():
        for field, names in fields.items():
            for name in names:
                assert field_of(normalized(name)) == field, f"{name} ({language})"


@pytest.mark.parametrize(
    "name",
    [
        "channel_a_videos",
        "channel_b_videos",
        "channel_c_shorts",
        "english_2025_with_duration",
        "english_2026_mostly_shorts_by_duration",
        "german_2021",
        "portuguese_2023",
    ],
)
def test_the_columns_of_a_real_export_are_found_when_all_its_names_are_unknown(shared_data: Path, name: str) -> None:
    text = (shared_data / "studio_ctr" / f"{name}.csv").read_text(encoding="utf-8-sig")
    header, *rows = csv.reader(text.splitlines())
    out = io.StringIO()
    csv.writer(out).writerows([[_renamed(n, column) for n, column in enumerate(header)], *rows])
    known, unknown = read(text), read(out.getvalue())
    assert unknown.columns.language is None
    assert unknown.columns.at == known.columns.at
    assert unknown.rows == known.rows
    assert "recognised by their values" in unknown.remarks[0]


def _renamed(number: int, name: str) -> str:
    """Replace a column name by an unknown name.

    Keep the parts that Studio writes in every language: (%), a currency, or a unit in parentheses.
    """
    kept = re.search(r"\((%|[A-Z]{3})\)$", name)
    hours = " (q)" if re.search(r"\((hours|Stunden|horas)\)", name.replace("\u00ad", "")) else ""
    return f"column {number}{' ' + kept[0] if kept else hours}"


def test_shares_of_viewers_are_not_taken_for_click_through_rates() -> None:
    rows = "\n".join(f"video_{n:05d},T{n},Oct 1 2026,{100 + n},{60 + n}.5" for n in range(5))
    with pytest.raises(LabError, match="lacks the columns Impressions, Impressions click-through rate"):
        read(f"Film,Titel,Datum,Vist,Sett (%)\n{rows}\n")


def test_columns_that_a_person_names_are_used(lab: Lab, export: Callable[..., Path]) -> None:
    text = "Film,Titel,Vist,A,Klikk\nvideo_00001,T,1000,9,4.5\nvideo_00002,T,2000,9,5.5\n"
    with pytest.raises(LabError, match="--column rate="):
        import_studio(lab, export(text), DAY)
    report = import_studio(lab, export(text), DAY, {"rate": "klikk", "impressions": "3"})
    assert report.with_ctr == 2
    assert {row.impressions for row in stored(lab).values()} == {1000, 2000}
    with pytest.raises(LabError, match=r"has no column 'Clicks', which --column rate names; it has Film, Titel"):
        import_studio(lab, export(text), DAY, {"rate": "Clicks", "impressions": "3"})


def test_a_zip_in_another_language_is_read_and_its_other_tables_are_named(
    lab: Lab, tmp_path: Path, export: Callable[..., Path]
) -> None:
    import zipfile

    path = tmp_path / "Inhalte 2020-01-01_2026-02-01 Mein Kanal.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Tabellendaten.csv", table(LANGUAGES["German"]))
        archive.writestr("Gesamtwerte.csv", "Datum,Aufrufe\n2026-01-01,5\n2026-01-02,6\n")
        archive.writestr("Diagrammdaten.csv", "Datum,Inhalte,Aufrufe\n2026-01-01,video_00001,5\n")
    report = import_studio(lab, path)
    assert (report.with_ctr, report.as_of) == (len(VIDEOS), date(2026, 2, 1))
    assert sorted(remark.rpartition(" > ")[2] for remark in report.remarks) == [
        "Diagrammdaten.csv has a row for each day and not for each video; the import does not need this table",
        "Gesamtwerte.csv has a row for each day and not for each video; the import does not need this table",
    ]


SPELLINGS = {
    "Oct 1, 2026": date(2026, 10, 1),
    "Oct 1, 2026, 3:00 PM": date(2026, 10, 1),
    "2026-10-01T23:00:00Z": date(2026, 10, 1),
    "2026/10/01": date(2026, 10, 1),
    "1 октября 2026 г.": date(2026, 10, 1),
    "2026년 10월 1일": date(2026, 10, 1),
    "१ जून २०२६": date(2026, 6, 1),
    "01.10.26": date(2026, 10, 1),
    "": None,
    "yesterday": None,
    "31 Feb 2026": None,
    "Jan 1, 1999": None,
    "12345": None,
    "0:03:25": None,
}


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_date_is_read_in_each_form_and_other_text_is_refused(text: str) -> None:
    assert read_dates([text]) == [SPELLINGS[text]]


def test_other_dates_of_a_column_tell_whether_the_month_comes_first() -> None:
    first, second = date(2026, 4, 3), date(2026, 3, 4)
    assert read_dates(["03/04/2026", "31/01/2026"])[0] == first
    assert read_dates(["03/04/2026", "01/31/2026"])[0] == second
    assert read_dates(["03/04/2026"]) == [first]
    assert read_dates(["03/04/2026"], month_first=True) == [second]


def test_views_of_a_part_of_a_videos_life_are_not_its_views(tmp_path: Path) -> None:
    path = tmp_path / "Content 2025-06-01_2026-11-01 Me.csv"
    path.write_text(table(LANGUAGES["English"]))
    videos = videos_of(path)
    for video in videos.values():
        assert video.published is not None
        assert (video.views == {}) == video.in_part == (video.published < date(2025, 6, 1))
