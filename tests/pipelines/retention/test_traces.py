"""What a forgotten video leaves in the histories of channels, and a killed training in the data folder: it is removed."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, insert

from thumblab_core.database.tables import channels, videos
from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapterInfo, ChannelAdapters
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.channels.adapter import Refitted
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention import purge, retention
from thumblab_pipelines.retention.purge import CleanedHistories, clean_histories, clean_unfinished, stale_histories

ONE, OTHER = "UC-one", "UC_other"


def publish(lab: Lab, channel: str, names: list[str]) -> str:
    adapter = Adapter(np.ones((len(names), 3), np.float16), np.ones(len(names), np.float32), 0.5)
    about = ChannelAdapterInfo(channel, channel, "the model", len(names), None)
    return ChannelAdapters(lab.releases).publish(about, adapter, 3, names, {"inputs": str(names)}).release_id


def forget(lab: Lab, *video_ids: str) -> None:
    with lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.video_id.in_(video_ids)))


def named(lab: Lab, channel: str) -> list[str]:
    """What any release of the channel's history names."""
    return [r.path.joinpath("videos.json").read_text() for r in lab.releases.all(ADAPTER, channel)]


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    """A lab that serves something and has the histories of two channels, of two videos each."""
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
def relearn(monkeypatch: pytest.MonkeyPatch) -> list[Lab]:
    """Learns the first channel's history of its first video; who asked for it."""
    asked = []

    def refit(lab: Lab, **_: Any) -> Refitted:
        asked.append(lab)
        publish(lab, ONE, [f"{ONE}-0"])
        return Refitted([ONE], [], {OTHER: "a bad day"})

    monkeypatch.setattr(purge, "refit_all", refit)
    return asked


def test_a_history_is_learnt_anew_when_a_video_of_it_was_forgotten_and_not_otherwise(lab: Lab, relearn: Any) -> None:
    assert clean_histories(lab) == CleanedHistories()
    assert relearn == []
    forget(lab, f"{ONE}-1")
    assert stale_histories(lab) == [ONE]
    assert clean_histories(lab) == CleanedHistories(1, {})
    assert named(lab, ONE) == [f'["{ONE}-0"]']
    assert clean_histories(lab) == CleanedHistories()
    assert len(relearn) == 1


def test_one_that_fails_is_named_and_fails_the_check(lab: Lab, relearn: Any) -> None:
    forget(lab, f"{ONE}-1", f"{OTHER}-1")
    cleaned = clean_histories(lab)
    assert cleaned == CleanedHistories(1, {OTHER: "a bad day"})
    fine = CheckResult("not_too_many", True, "")
    kept = retention.Retained(0, 0, {}, 0, 0, cleaned, 0, None, None, fine)  # type: ignore[arg-type]  # no quota is asked
    verdict, _ = retention.check_retention(lab, "tech", kept)
    assert not verdict.passed
    assert f"1 releases still hold forgotten videos; adapter/{OTHER}: a bad day" in verdict.explanation


@pytest.mark.parametrize("error", [LabError("no such model"), RuntimeError("no such model")])
def test_a_model_that_cannot_be_loaded_stops_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any, **__: Any) -> Refitted:
        raise error

    monkeypatch.setattr(purge, "refit_all", broken)
    forget(lab, f"{ONE}-1")
    cleaned = clean_histories(lab)
    assert cleaned.cleaned == 0
    assert "no such model" in cleaned.failed[ONE]
    assert named(lab, ONE)


def test_without_a_model_what_holds_a_forgotten_video_is_removed(lab: Lab, relearn: Any) -> None:
    lab.releases.serving.withdraw(MODEL, ALL)
    forget(lab, f"{ONE}-1")
    assert clean_histories(lab) == CleanedHistories(1, {})
    assert (named(lab, ONE), len(named(lab, OTHER)), relearn) == ([], 1, [])


def test_what_a_killed_publication_left_goes_though_the_served_history_is_clean(lab: Lab, relearn: Any) -> None:
    left = lab.releases.publish(
        ADAPTER, ONE, lambda folder: folder.joinpath("videos.json").write_text('["gone"]') and None, {"inputs": "x"}
    )
    assert clean_histories(lab) == CleanedHistories(1, {})
    assert not left.path.exists()
    assert len(named(lab, ONE)) == 1


def test_a_history_that_cannot_be_read_is_learnt_anew(lab: Lab, relearn: Any) -> None:
    release = lab.releases.serving.current(ADAPTER, ONE)
    assert release is not None
    (release.path / "manifest.json").write_text("{")
    assert stale_histories(lab) == [ONE]
    assert clean_histories(lab) == CleanedHistories(1, {})
    assert not release.path.exists()


def test_without_a_model_a_history_that_cannot_be_read_for_a_moment_stays(
    lab: Lab, refuse: Callable[[Path], None]
) -> None:
    lab.releases.serving.withdraw(MODEL, ALL)
    release = lab.releases.serving.current(ADAPTER, ONE)
    assert release is not None
    refuse(release.path / "videos.json")
    with pytest.raises(LabError, match="Too many open files"):
        clean_histories(lab)
    assert lab.releases.serving.current_id(ADAPTER, ONE) == release.release_id


def test_the_history_of_a_forgotten_channel_is_removed_also_one_of_no_videos(lab: Lab) -> None:
    publish(lab, ONE, [])
    lab.releases.serving.withdraw(MODEL, ALL)
    with lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.channel_id == ONE))
        connection.execute(delete(channels).where(channels.c.channel_id == ONE))
    assert clean_histories(lab) == CleanedHistories(1, {})
    assert stale_histories(lab) == []  # the empty folder that is left is nothing


@pytest.mark.parametrize("kind", ["training", "fine-tuning"])
def test_what_a_killed_training_left_goes_after_a_week_and_one_under_way_stays(lab: Lab, kind: str) -> None:
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
    moment = time.time() - days * 86_400
    for path in [*(one for one in folder.iterdir() if one.name != but), folder]:
        os.utime(path, (moment, moment))


def test_retention_does_both_also_when_youtube_cannot_be_asked(lab: Lab, relearn: Any) -> None:
    forget(lab, f"{ONE}-1")
    folder = lab.settings.data_dir / "training" / "old"
    folder.mkdir(parents=True)
    age(folder, 8)
    with pytest.raises(LabError, match="THUMBLAB_YOUTUBE_API_KEY"):
        retention.retain(lab, "tech")
    assert named(lab, ONE) == [f'["{ONE}-0"]']
    assert not folder.exists()


def test_a_clean_up_that_fails_keeps_no_other_from_being_done_and_hides_no_reason(
    lab: Lab, relearn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> int:
        raise LabError("the pairs are busy")

    monkeypatch.setattr(retention, "clean_indices", lambda *_: 1 / 0)
    monkeypatch.setattr(retention, "clean_pairs", busy)
    forget(lab, f"{ONE}-1")
    with pytest.raises(LabError, match=r"THUMBLAB_YOUTUBE_API_KEY.*ZeroDivisionError: .*the pairs are busy"):
        retention.retain(lab, "tech")
    assert named(lab, ONE) == [f'["{ONE}-0"]']
