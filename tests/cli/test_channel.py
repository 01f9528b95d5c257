"""Tests of `thumblab channel`. YouTube is emulated, and the model gives every thumbnail the same score."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from served_model import publish_model

from demo.catalogues.synthetic import synthetic_catalogue
from demo.emulator import Emulator
from thumblab_cli.main import cli
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import settings

Shell = Callable[..., Result]


@pytest.fixture(scope="module")
def youtube() -> Iterator[Emulator]:
    with Emulator(synthetic_catalogue(videos=150)) as emulator:
        yield emulator


@pytest.fixture
def shell(environment: dict[str, str], youtube: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    variables = environment | {"THUMBLAB_YOUTUBE_ENDPOINT": youtube.endpoint, "THUMBLAB_YOUTUBE_API_KEY": "key"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        settings.cache_clear()
        return CliRunner().invoke(cli, ["channel", *arguments])

    yield run
    settings.cache_clear()


def test_without_a_served_model_the_error_names_what_to_run(shell: Shell) -> None:
    done = shell("add", "UCwhatever")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("thumblab: no ranking model is served yet; run train_ranker")


def test_a_model_that_failed_its_checks_is_named_with_the_reason(
    shell: Shell, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    publish_model(ReleaseStore(tmp_path / "releases"), pairs=63)
    done = shell("add", "UCwhatever")
    assert done.exit_code == 1
    assert "was trained, but it failed its checks" in done.stderr
    assert "63 held-out pairs; at least 100 are needed" in done.stderr


def test_a_channel_is_collected_added_listed_and_removed(shell: Shell, environment: dict[str, str]) -> None:
    publish_model(ReleaseStore(Path(environment["THUMBLAB_DATA_DIR"]) / "releases"))
    video = next(iter(synthetic_catalogue(videos=150).videos.values()))
    done = shell("add", video.channel_id, "--niche", video.niche)
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{video.channel_title} ({video.channel_id})" in done.stdout
    assert "videos used, the newest published on 2026-" in done.stdout
    assert "vectors were made" in done.stdout
    assert "is served (fitted in 0." in done.stdout
    assert f"score with --channel {video.channel_id}" in done.stdout
    again = shell("add", video.channel_title, "--json")
    report = json.loads(again.stdout)
    assert (again.exit_code, report["encoded"], report["unchanged"], report["imported"]) == (0, 0, True, None)
    assert report["left_out"] == {}
    assert f"{video.channel_id} {video.channel_title}: {report['videos']} videos to 2026-" in shell("list").stdout
    assert json.loads(shell("list", "--json").stdout)[0]["release"] == report["release"]
    assert shell("remove", video.channel_title).stdout == f"The channel adapter of {video.channel_id} is removed.\n"
    assert "No channel adapter was added" in shell("list").stdout
    repeated = shell("remove", video.channel_id)
    assert (repeated.exit_code, repeated.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "UC\x1b[2J", "..", "@../x"])
def test_a_hostile_name_is_an_error_and_makes_no_folder(shell: Shell, environment: dict[str, str], name: str) -> None:
    folder = Path(environment["THUMBLAB_DATA_DIR"])
    publish_model(ReleaseStore(folder / "releases"))
    before = {path for path in folder.rglob("*") if path.is_dir()}
    for arguments in (("add", name, "--niche", "tech"), ("remove", name)):
        done = shell(*arguments)
        assert done.exit_code == 1
        assert done.stderr.startswith("thumblab: ")
        assert "\x1b" not in done.stderr
    assert {path for path in folder.rglob("*") if path.is_dir()} == before


def test_a_catalogue_with_too_few_videos_exits_with_1(shell: Shell, tmp_path: Path, drawn: Any) -> None:
    lines = ["video_id,niche,channel,title,views,published_on,observed_at,duration_s,image"]
    for n in range(3):
        (tmp_path / f"{n}.jpg").write_bytes(drawn(n))
        lines.append(f"few{n},tech,Few \x1b[2J,Episode {n},{1000 + n},2026-10-0{n + 1},2026-11-01,600,{n}.jpg")
    (tmp_path / "videos.csv").write_text("\n".join(lines))
    done = shell("add", "--catalogue", str(tmp_path))
    assert done.exit_code == 1
    assert "3 of 3 rows read" in done.stdout
    assert "3 videos used" in done.stdout
    assert "an adapter needs 5" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
