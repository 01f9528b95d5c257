"""Tests of `thumblab video forget` and `thumblab channel remove --forget`: a person lets the lab forget videos."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner, Result
from full_lab import NICHE, FullLab, assert_deleted_everywhere
from sqlalchemy import func, insert, select

from thumblab_cli.main import cli
from thumblab_core.database.tables import channels, video_reach, videos
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_core.settings import settings
from thumblab_pipelines.collection.refetch import refetch
from thumblab_pipelines.library.changes import resume, roll_back, take_out
from thumblab_pipelines.retention.forget_videos import forget_channel, forget_videos
from thumblab_pipelines.youtube.client import YouTube

Shell = Callable[..., Result]


@pytest.fixture
def shell(full: FullLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    chosen = full.lab.settings
    assert chosen.database_url is not None
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(chosen.data_dir))
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", chosen.database_url.get_secret_value())
    monkeypatch.setenv("THUMBLAB_IMAGE_ENCODER", "builtin")

    def run(*arguments: str, answer: str | None = None) -> Result:
        settings.cache_clear()
        return CliRunner().invoke(cli, arguments, input=answer)

    yield run
    settings.cache_clear()


def add_reach(full: FullLab, video_id: str) -> None:
    figures = {"impressions": 100, "click_through_rate": 0.05, "imported_at": datetime(2026, 11, 1, tzinfo=UTC)}
    with full.lab.engine.begin() as connection:
        connection.execute(
            insert(video_reach).values(video_id=video_id, source="studio", day=date(2026, 11, 1), **figures)
        )


def test_a_forgotten_video_is_in_no_table_no_release_and_no_store(full: FullLab, shell: Shell) -> None:
    served = full.lab.releases.serving.current(INDEX, NICHE)
    assert served is not None
    victim = sorted(NicheIndex.video_ids(served))[0]
    picture, before = full.picture(victim), len(full.ids)
    add_reach(full, victim)
    refused = shell("video", "forget", victim, answer="n\n")
    assert (refused.exit_code, "permanently?" in refused.stderr) == (1, True)
    assert full.rows(victim)["video_reach"] == 1
    done = shell("video", "forget", f"https://www.youtube.com/watch?v={victim}&t=3s", victim, "--yes", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["video_ids"], report["videos"], report["figures"], report["images"]) == ([victim], 1, 1, 1)
    assert_deleted_everywhere(full, victim, picture)
    with full.lab.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(videos)) == before - 1
    served = full.lab.releases.serving.current(INDEX, NICHE)
    assert served is not None, "the other videos are still served"


def test_a_video_is_forgotten_although_its_niche_is_held_and_resuming_does_not_bring_it_back(
    full: FullLab, shell: Shell
) -> None:
    served = full.lab.releases.serving.current(INDEX, NICHE)
    assert served is not None
    other, victim = sorted(NicheIndex.video_ids(served))[:2]
    take_out(full.lab, NICHE, [other])
    roll_back(full.lab, NICHE)
    assert shell("video", "forget", victim, "--yes").exit_code == 0
    assert full.lab.releases.serving.held(INDEX, NICHE) is not None
    resume(full.lab, NICHE)
    for release in full.lab.releases.all(INDEX, NICHE):
        assert victim not in NicheIndex.video_ids(release)


def test_an_unknown_video_or_link_deletes_nothing(full: FullLab, shell: Shell) -> None:
    for given, why in (
        ("nosuchvideo", "the lab has no video nosuchvideo, so nothing was deleted"),
        ("https://www.youtube.com/@handle", "is not the link of a video"),
        ("", "is not the id of a video"),
    ):
        done = shell("video", "forget", full.ids[0], given, "--yes")
        assert (done.exit_code, why in done.stderr) == (1, True)
    assert full.rows(full.ids[0])


def test_a_repeated_deletion_with_the_database_of_another_lab_deletes_nothing(
    full: FullLab, shell: Shell, migrated_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, picture = full.lab.releases.serving.current_id(INDEX, NICHE), full.picture(full.ids[0])
    for path in (full.lab.settings.data_dir / "images").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))  # A clean-up spares the pictures of the last hour.
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", migrated_database())
    for words in (("video", "forget", "nosuchvideo"), ("channel", "remove", "Nobody", "--forget")):
        done = shell(*words, "--yes")
        assert (done.exit_code, "check that it is the database of this lab" in done.stderr) == (1, True), done.stderr
    full.lab.releases.serving.withdraw(INDEX, NICHE)
    assert "check that it is the database of this lab" in shell("video", "forget", "nosuchvideo", "--yes").stderr
    assert served in {release.release_id for release in full.lab.releases.all(INDEX, NICHE)}
    assert full.lab.images.path(picture).is_file()


def test_a_forgotten_channel_leaves_no_video_no_figure_and_no_title(full: FullLab) -> None:
    with full.lab.engine.connect() as connection:
        of_channel = {row.video_id: row.channel_id for row in connection.execute(select(videos))}
    channel_id = of_channel[full.ids[0]]
    victims = [video_id for video_id, owner in of_channel.items() if owner == channel_id]
    pictures = {video_id: full.picture(video_id) for video_id in victims}
    for video_id in victims:
        add_reach(full, video_id)
    forgotten = forget_channel(full.lab, channel_id)
    assert (forgotten.videos, forgotten.figures) == (len(victims), len(victims))
    for video_id in victims:
        assert_deleted_everywhere(full, video_id, pictures[video_id])
    with full.lab.engine.connect() as connection:
        assert connection.scalar(select(channels.c.title).where(channels.c.channel_id == channel_id)) is None
        assert connection.scalar(select(func.count()).select_from(videos)) == len(full.ids) - len(victims)


def test_a_video_that_is_forgotten_while_the_retention_refreshes_it_is_not_stored_again(full: FullLab) -> None:
    victim, other = full.ids[:2]
    with YouTube.connect(full.lab.settings, full.lab.engine) as youtube:
        forget_videos(full.lab, [victim])
        refetched = refetch(full.lab, youtube, NICHE, [victim, other])
    assert (refetched.present, refetched.gone) == (1, [])
    assert full.rows(victim) == {}
