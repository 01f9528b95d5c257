"""Test that experiments stay when their videos and channels are deleted. Experiments are the user's own data."""

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from given_experiments import kept, remove
from sqlalchemy import delete

from thumblab_core.database.tables import channels
from thumblab_core.experiments.records import GivenExperiment, GivenVariant
from thumblab_pipelines.experiments.add import AddedExperiment, ExperimentWriter
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention.purge import clean_images
from thumblab_pipelines.videos.deletion import delete_videos
from thumblab_pipelines.videos.records import ChannelRecord, save_channels


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture
def added(lab: Lab, tmp_path: Path, drawn: Callable[..., bytes]) -> AddedExperiment:
    """An experiment that is stored in the lab. The lab also has the experiment's channel."""
    variants = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.jpg"
        path.write_bytes(drawn(seed))
        variants.append(GivenVariant(path))
    with lab.engine.begin() as connection:
        save_channels(connection, [ChannelRecord("UC" + "a" * 22, "Alpha")])
    return ExperimentWriter(lab).add(
        GivenExperiment("Alpha", "video_aaaaa", date(2026, 11, 1), "inconclusive", variants)
    )


def age_pictures(lab: Lab) -> None:
    """Make every picture two hours old, because retention deletes no picture that is less than an hour old."""
    for path in lab.images.root.glob("??/*"):
        old = path.stat().st_mtime - 7_200
        os.utime(path, (old, old))


def test_an_experiment_and_its_pictures_stay_when_video_and_channel_are_deleted(
    lab: Lab, added: AddedExperiment
) -> None:
    with lab.engine.begin() as connection:
        delete_videos(connection, ["video_aaaaa"])
        connection.execute(delete(channels))
    age_pictures(lab)
    assert clean_images(lab) == 0
    (one,) = kept(lab)
    assert (one.experiment, one.channel_title) == (added.experiment, None)
    assert all(lab.images.path(variant.sha256 or "").is_file() for variant in one.experiment.variants)


def test_the_pictures_of_a_removed_experiment_are_deleted(lab: Lab, added: AddedExperiment) -> None:
    age_pictures(lab)
    assert remove(lab, added.experiment_id)
    assert clean_images(lab) == 2
    assert not any(lab.images.path(variant.sha256 or "").exists() for variant in added.experiment.variants)
