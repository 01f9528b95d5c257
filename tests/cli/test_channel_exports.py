"""Tests of `thumblab channel add EXPORT`. An emulator serves the thumbnails, and no API key is set."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from served_model import publish_model

from demo.catalogues.source import CatalogueChannel
from demo.catalogues.synthetic import synthetic_catalogue
from demo.emulator import Emulator
from thumblab_cli.main import cli
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import settings

Shell = Callable[..., Result]
CATALOGUE = synthetic_catalogue(videos=150)
GERMAN = (
    "Inhalte",
    "Videotitel",
    "Veröffentlichungszeitpunkt des Videos",
    "Dauer",
    "Aufrufe",
    "Impressionen",
    "Klickrate der Impressionen (%)",
)


@pytest.fixture(scope="module")
def youtube() -> Iterator[Emulator]:
    with Emulator(CATALOGUE) as emulator:
        yield emulator


@pytest.fixture
def shell(environment: dict[str, str], youtube: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    for name, value in (environment | {"THUMBLAB_YOUTUBE_ENDPOINT": youtube.endpoint}).items():
        monkeypatch.setenv(name, value)
    publish_model(ReleaseStore(Path(environment["THUMBLAB_DATA_DIR"]) / "releases"))

    def run(*arguments: str) -> Result:
        settings.cache_clear()
        return CliRunner().invoke(cli, ["channel", *arguments])

    yield run
    settings.cache_clear()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of YouTube Studio in German, with twelve videos. The last video has no thumbnail."""
    path = tmp_path / "Inhalte 2026-01-01_2026-11-26 Mein Kanal.csv"
    return write_export(path, max(CATALOGUE.channels.values(), key=lambda channel: len(channel.videos)))


def write_export(path: Path, channel: CatalogueChannel, last: str = "no_picture_") -> Path:
    """Write an export of twelve videos. `last` is the id of the last video, which YouTube does not know."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(GERMAN)
        for n, video in enumerate(channel.videos[:12]):
            name = last if n == 11 else video.video_id
            writer.writerow([name, video.title, f"{video.published_at:%d.%m.%Y}", "600", video.views, "12.345", "4,5"])
    return path


def test_an_export_becomes_an_adapted_channel_and_each_missing_part_is_named(shell: Shell, export: Path) -> None:
    done = shell("add", str(export), "--niche", "tech")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Mein Kanal (UC" in done.stdout
    assert "niche tech: 12 videos, 12 of them new" in done.stdout
    assert "11 of the videos have a thumbnail, 11 of them downloaded now" in done.stdout
    _, _, missing = done.stdout.partition("1 have none:\n")
    assert missing.startswith("  1 because YouTube has no picture of it (private or deleted?): ")
    assert missing.splitlines()[0].endswith(" (no_picture_)")
    assert "12 videos with a true click-through rate; 4.5% of all impressions were clicked" in done.stdout
    assert "11 videos used" in done.stdout
    assert "is served (fitted in" in done.stdout
    again = json.loads(shell("add", str(export), "--json").stdout)
    assert (again["exports"]["new"], again["exports"]["downloaded"], again["unchanged"]) == (0, 0, True)
    assert "Mein Kanal: 11 videos" in shell("list").stdout


def test_an_unreadable_export_next_to_a_good_one_gives_exit_status_1(
    shell: Shell, export: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    done = shell("add", str(export), str(tmp_path / "other.csv"), "--niche", "tech")
    assert done.exit_code == 1
    assert "11 videos used" in done.stdout
    assert "other.csv is not an export of YouTube Studio" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("{export}", "UCx", "--niche", "tech"), "either exports or one channel"),
        (("{export}", "--refresh"), "--refresh is not for exports"),
        (("UCx", "--name", "A"), "--name is for exports"),
        (("UCx", "--column", "rate=3"), "--column is for exports"),
        (("UCx", "UCy"), "2 channels were given"),
        (("x" * 5_000,), "the lab has no videos of"),
        (("absent.zip", "--niche", "tech"), "absent.zip cannot be read"),
        (("{export}", "--column", "clicks=3"), "use one of video, title"),
        (("{export}", "--column", "rate"), "is not of the form NAME=COLUMN"),
        (("{export}", "--column", "rate=Klicks", "--niche", "tech"), "has no column 'Klicks'"),
    ],
)
def test_a_wrong_call_is_an_error_that_says_what_to_do(
    shell: Shell, export: Path, arguments: tuple[str, ...], problem: str
) -> None:
    done = shell("add", *(argument.format(export=export) for argument in arguments))
    assert done.exit_code != 0
    assert problem in " ".join(done.stderr.replace("\u2502", " ").split())


def test_a_channel_without_any_thumbnail_is_listed_and_can_be_forgotten(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other tests use the first channel with the most videos.
    _, *others = sorted(CATALOGUE.channels.values(), key=lambda channel: -len(channel.videos))
    channel = others[0]
    export = write_export(tmp_path / "Inhalte 2026-01-01_2026-11-26 Unlearnt.csv", channel, last="no_picture2")
    monkeypatch.setenv("THUMBLAB_YOUTUBE_ENDPOINT", "http://127.0.0.1:9")
    done = shell("add", str(export), "--niche", "tech", "--name", "Without a network")
    assert done.exit_code == 1
    count = len(channel.videos[:12])
    assert f"stored {count} videos and {count} click-through rates, and got no picture from 127.0.0.1:9" in done.stderr
    channel_id = done.stderr.split("thumblab channel remove ")[1].split()[0]
    [listed] = [line for line in shell("list").stdout.splitlines() if line.startswith(channel_id)]
    assert f"Without a network: {count} videos to 2026-" in listed
    assert "no adapter has learnt from its videos" in listed
    refused = shell("remove", "Without a network")
    assert (refused.exit_code, f"thumblab channel remove {channel_id} --forget" in refused.stderr) == (1, True)
    forgotten = shell("remove", channel_id, "--forget", "--yes")
    assert (forgotten.exit_code, forgotten.stderr) == (0, "")
    assert f"{count} videos are deleted, with 0 pictures and {count} rows of private figures" in forgotten.stdout
    assert channel_id not in shell("list").stdout
    unknown = shell("remove", channel_id, "--forget", "--yes")
    assert (unknown.exit_code, "the lab knows no channel called" in unknown.stderr) == (1, True)
