"""Tests that a forgotten channel leaves no experiments, and that a failed deletion is reported and can be completed."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from given_experiments import kept
from sqlalchemy import func, insert, select

from thumblab_cli.main import cli
from thumblab_core.database.tables import channels, video_reach, videos
from thumblab_core.errors import LabError
from thumblab_core.experiments.records import GivenExperiment, GivenVariant
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapterInfo, ChannelAdapters
from thumblab_core.ranking.packed_rows import PackedRows
from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.settings import settings
from thumblab_pipelines.channels.adapter import RefitResult
from thumblab_pipelines.experiments.add import ExperimentWriter
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention import forget_videos, purge_adapters
from thumblab_pipelines.retention.forget_videos import forget_channel

CHANNEL, OTHER = "UC" + "a" * 22, "UC" + "b" * 22


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    """A lab with two channels. `CHANNEL` belongs to an API key, and has two videos with private figures."""
    lab = open_lab()
    now = datetime(2026, 11, 1, tzinfo=UTC)
    facts = {"niche": "tech", "title": "A title", "published_at": now, "source": "studio", "tags": []}
    reach = {"source": "studio", "impressions": 100, "click_through_rate": 0.05, "imported_at": now}
    with lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=CHANNEL, title="Alpha", owner="key-a"))
        connection.execute(insert(channels).values(channel_id=OTHER, title="Beta"))
        for n in range(2):
            of_channel = {"video_id": f"video-{n}", "channel_id": CHANNEL, "refreshed_at": now}
            connection.execute(insert(videos).values(**of_channel, **facts))
            connection.execute(insert(video_reach).values(video_id=f"video-{n}", day=date(2026, 11, 1), **reach))
    return lab


def publish_adapter(lab: Lab) -> None:
    """Publish an adapter of `CHANNEL` that was fitted to both videos."""
    names = ["video-0", "video-1"]
    adapter = Adapter(PackedRows.of(np.ones((2, 3), np.float32)), np.ones(2, np.float32), 0.5)
    about = ChannelAdapterInfo(CHANNEL, "Alpha", "the model", 2, None)
    ChannelAdapters(lab.releases).publish(about, adapter, 3, names, {"inputs": "none"})


def shell(lab: Lab, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    assert lab.settings.database_url is not None
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(lab.settings.data_dir))
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", lab.settings.database_url.get_secret_value())
    settings.cache_clear()
    try:
        return CliRunner().invoke(cli, arguments)
    finally:
        settings.cache_clear()


def test_the_experiments_of_a_forgotten_channel_are_deleted_with_their_pictures(
    lab: Lab, tmp_path: Path, drawn: Callable[..., bytes]
) -> None:
    added = []
    for first, title, video_id in ((1, "Alpha", "video-0"), (3, "Beta", "video_bbbbb")):
        paths = [tmp_path / f"{seed}.jpg" for seed in (first, first + 1)]
        for seed, path in enumerate(paths, first):
            path.write_bytes(drawn(seed))
        variants = [GivenVariant(path) for path in paths]
        given = GivenExperiment(title, video_id, date(2026, 11, first), "inconclusive", variants)
        added.append(ExperimentWriter(lab).add(given))
    forgotten = forget_channel(lab, CHANNEL)
    assert (forgotten.deleted_experiments, forgotten.experiments, forgotten.images) == (1, 0, 2)
    assert [one.experiment.channel_id for one in kept(lab)] == [OTHER]
    exist = [[lab.images.path(one.sha256 or "").exists() for one in each.experiment.variants] for each in added]
    assert exist == [[False, False], [True, True]]


def test_an_adapter_that_still_names_a_forgotten_video_is_an_error(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_adapter(lab)
    lab.releases.serving.promote(lab.releases.publish(MODEL, ALL, lambda _: None, {"inputs": "none"}))

    def refit(*_: Any, **__: Any) -> RefitResult:
        return RefitResult([], [], {CHANNEL: "the fit failed"})

    monkeypatch.setattr(purge_adapters, "refit_channel_adapters", refit)
    with pytest.raises(LabError, match=f"1 channel adapters still name deleted videos: {CHANNEL}: the fit failed"):
        forget_videos.forget_videos(lab, ["video-0"])


def test_a_repeated_command_completes_one_that_failed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_adapter(lab)

    def broken(*_: Any, **__: Any) -> Any:
        raise LabError("the disk does not answer")

    with monkeypatch.context() as failing:
        failing.setattr(forget_videos, "clean_adapters", broken)
        failing.setattr(ChannelAdapters, "remove", broken)
        failed = shell(lab, failing, "channel", "remove", CHANNEL, "--forget", "--yes")
    assert (failed.exit_code, "the disk does not answer" in failed.stderr) == (1, True)
    with lab.engine.connect() as connection:
        for table in (videos, video_reach):
            assert connection.scalar(select(func.count()).select_from(table)) == 0
        assert list(connection.scalars(select(channels.c.channel_id))) == [OTHER]
    assert lab.releases.all(ADAPTER, CHANNEL)
    for expected in (0, 1):  # The third call finds nothing that is left.
        repeated = shell(lab, monkeypatch, "video", "forget", "video-0", "video-1", "--yes")
        assert (repeated.exit_code, "so nothing was deleted" in repeated.stderr) == (expected, bool(expected))
    assert not lab.releases.all(ADAPTER, CHANNEL)
