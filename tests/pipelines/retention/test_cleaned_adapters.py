"""Tests that retention removes deleted videos from channel adapters, and deletes the files of killed trainings."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, insert, update

from thumblab_core.database.tables import channels, videos
from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapterInfo, ChannelAdapters
from thumblab_core.ranking.packed_rows import PackedRows
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.channels.adapter import RefitResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention import lab_clean_up, purge_adapters
from thumblab_pipelines.retention.lab_clean_up import CleanedLab, check_clean_up, clean_lab
from thumblab_pipelines.retention.purge import clean_unfinished
from thumblab_pipelines.retention.purge_adapters import CleanedAdapters, clean_adapters, stale_adapters

ONE, OTHER = "UC-one", "UC_other"


def publish(lab: Lab, channel: str, names: list[str]) -> str:
    adapter = Adapter(PackedRows.of(np.ones((len(names), 3), np.float32)), np.ones(len(names), np.float32), 0.5)
    about = ChannelAdapterInfo(channel, channel, "the model", len(names), None)
    return ChannelAdapters(lab.releases).publish(about, adapter, 3, names, {"inputs": str(names)}).release_id


def delete_videos(lab: Lab, *video_ids: str) -> None:
    with lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.video_id.in_(video_ids)))


def collect_from_youtube(lab: Lab, video_id: str) -> None:
    """Mark a video as collected from YouTube, so that retention needs an API key."""
    with lab.engine.begin() as connection:
        connection.execute(update(videos).where(videos.c.video_id == video_id).values(source="youtube"))


def named_videos(lab: Lab, channel: str) -> list[str]:
    """Return the content of `videos.json` in each release of the channel's adapter.

    This file lists the ids of the videos that the adapter was fitted to.
    """
    return [r.path.joinpath("videos.json").read_text() for r in lab.releases.all(ADAPTER, channel)]


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    """A lab that serves a model and has the channel adapters of two channels. Each adapter was fitted to two videos."""
    lab = open_lab()
    now = datetime.now(UTC)
    with lab.engine.begin() as connection:
        for channel in (ONE, OTHER):
            connection.execute(insert(channels).values(channel_id=channel, title=channel))
            for n in range(2):
                facts = {
                    "niche": "tech",
                    "title": "A title",
                    "published_at": now,
                    "source": "catalogue",
                    "tags": [],
                    "refreshed_at": now,
                }
                connection.execute(insert(videos).values(video_id=f"{channel}-{n}", channel_id=channel, **facts))
    for channel in (ONE, OTHER):
        publish(lab, channel, [f"{channel}-0", f"{channel}-1"])
    model = lab.releases.publish(MODEL, ALL, lambda _: None, {"inputs": "none"})
    lab.releases.serving.promote(model)
    return lab


@pytest.fixture
def refits(monkeypatch: pytest.MonkeyPatch) -> list[Lab]:
    """A list that records the calls of `refit_channel_adapters`. Each call appends its lab to the list.

    This fixture replaces the function `refit_channel_adapters`. The replacement publishes an adapter of the channel
    `ONE`. The only video in this adapter is the first video of `ONE`. The replacement reports that fitting the adapter
    of `OTHER` failed.
    """
    calls = []

    def refit(lab: Lab, **_: Any) -> RefitResult:
        calls.append(lab)
        publish(lab, ONE, [f"{ONE}-0"])
        return RefitResult([ONE], [], {OTHER: "the fit failed"})

    monkeypatch.setattr(purge_adapters, "refit_channel_adapters", refit)
    return calls


def test_an_adapter_is_fitted_again_only_if_it_names_a_deleted_video(lab: Lab, refits: Any) -> None:
    assert clean_adapters(lab) == CleanedAdapters()
    assert refits == []
    delete_videos(lab, f"{ONE}-1")
    assert stale_adapters(lab) == [ONE]
    assert clean_adapters(lab) == CleanedAdapters(1, {})
    assert named_videos(lab, ONE) == [f'["{ONE}-0"]']
    assert clean_adapters(lab) == CleanedAdapters()
    assert len(refits) == 1


def test_an_adapter_that_cannot_be_cleaned_is_named_and_fails_the_check(lab: Lab, refits: Any) -> None:
    delete_videos(lab, f"{ONE}-1", f"{OTHER}-1")
    cleaned = clean_adapters(lab)
    assert cleaned == CleanedAdapters(1, {OTHER: "the fit failed"})
    (check,) = check_clean_up(lab, CleanedLab(0, 0, 0, 0, 0, 0, cleaned))
    assert not check.passed
    assert f"1 releases still hold deleted videos; adapter/{OTHER}: the fit failed" in check.explanation


@pytest.mark.parametrize("error", [LabError("no such model"), RuntimeError("no such model")])
def test_a_model_that_cannot_be_loaded_raises_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any, **__: Any) -> RefitResult:
        raise error

    monkeypatch.setattr(purge_adapters, "refit_channel_adapters", broken)
    delete_videos(lab, f"{ONE}-1")
    cleaned = clean_adapters(lab)
    assert cleaned.cleaned == 0
    assert "no such model" in cleaned.failed[ONE]
    assert named_videos(lab, ONE)


def test_without_a_served_model_an_adapter_with_a_deleted_video_is_removed(lab: Lab, refits: Any) -> None:
    lab.releases.serving.withdraw(MODEL, ALL)
    delete_videos(lab, f"{ONE}-1")
    assert clean_adapters(lab) == CleanedAdapters(1, {})
    assert (named_videos(lab, ONE), len(named_videos(lab, OTHER)), refits) == ([], 1, [])


def test_the_files_of_a_killed_publication_are_removed_and_the_served_adapter_stays(lab: Lab, refits: Any) -> None:
    left = lab.releases.publish(
        ADAPTER, ONE, lambda folder: folder.joinpath("videos.json").write_text('["gone"]') and None, {"inputs": "x"}
    )
    assert clean_adapters(lab) == CleanedAdapters(1, {})
    assert not left.path.exists()
    assert len(named_videos(lab, ONE)) == 1


def test_a_damaged_adapter_is_fitted_again(lab: Lab, refits: Any) -> None:
    release = lab.releases.serving.current(ADAPTER, ONE)
    assert release is not None
    (release.path / "manifest.json").write_text("{")
    assert stale_adapters(lab) == [ONE]
    assert clean_adapters(lab) == CleanedAdapters(1, {})
    assert not release.path.exists()


def test_without_a_served_model_an_adapter_that_cannot_be_read_now_stays(
    lab: Lab, refuse: Callable[[Path], None]
) -> None:
    lab.releases.serving.withdraw(MODEL, ALL)
    release = lab.releases.serving.current(ADAPTER, ONE)
    assert release is not None
    refuse(release.path / "videos.json")
    with pytest.raises(LabError, match="Too many open files"):
        clean_adapters(lab)
    assert lab.releases.serving.current_id(ADAPTER, ONE) == release.release_id


def test_the_adapter_of_a_deleted_channel_is_removed_also_if_it_names_no_video(lab: Lab) -> None:
    publish(lab, ONE, [])
    lab.releases.serving.withdraw(MODEL, ALL)
    with lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.channel_id == ONE))
        connection.execute(delete(channels).where(channels.c.channel_id == ONE))
    assert clean_adapters(lab) == CleanedAdapters(1, {})
    assert stale_adapters(lab) == []  # The folder of the channel still exists, but it is empty.


@pytest.mark.parametrize("kind", ["training", "fine-tuning"])
def test_a_killed_training_is_removed_after_a_week_and_a_running_one_stays(lab: Lab, kind: str) -> None:
    place = lab.settings.data_dir / kind
    for name in ("old", "growing", "young"):
        (place / name).mkdir(parents=True)
        (place / name / "pictures").write_bytes(b"x")
    age(place / "old", 8)
    age(place / "growing", 8, but="pictures")
    age(place / "young", 6)
    assert clean_unfinished(lab) == 1
    assert sorted(path.name for path in place.iterdir()) == ["growing", "young"]
    assert clean_unfinished(lab) == 0


def age(folder: Path, days: float, but: str = "") -> None:
    """Set the modification times of the folder and of its files to `days` days ago. The file `but` keeps its time."""
    moment = time.time() - days * 86_400
    for path in [*(file for file in folder.iterdir() if file.name != but), folder]:
        os.utime(path, (moment, moment))


def test_the_lab_is_cleaned_without_a_call_to_youtube(lab: Lab, refits: Any) -> None:
    delete_videos(lab, f"{ONE}-1")
    collect_from_youtube(lab, f"{OTHER}-0")
    folder = lab.settings.data_dir / "training" / "old"
    folder.mkdir(parents=True)
    age(folder, 8)
    cleaned = clean_lab(lab)
    assert (cleaned.adapters.cleaned, cleaned.unfinished) == (1, 1)
    assert named_videos(lab, ONE) == [f'["{ONE}-0"]']
    assert not folder.exists()


def test_a_failed_clean_up_stops_no_other_and_every_reason_is_named(
    lab: Lab, refits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> int:
        raise LabError("the pairs are busy")

    monkeypatch.setattr(lab_clean_up, "clean_pairs", busy)
    monkeypatch.setattr(lab_clean_up, "clean_images", lambda *_: 1 / 0)
    delete_videos(lab, f"{ONE}-1")
    with pytest.raises(LabError, match=r"the pairs are busy; ZeroDivisionError: "):
        clean_lab(lab)
    assert named_videos(lab, ONE) == [f'["{ONE}-0"]']
