"""Tests that videos may be deleted while a model is trained on them, or before that model is served.

The model loses only the data of these videos. The first test deletes the rows of single videos and then runs the
clean-ups of `retention`. The second test forgets a niche.
"""

import pandas as pd
import pytest
from safetensors.numpy import load_file
from sqlalchemy import select, update
from test_deleted_videos import QUICK, delete_one

from thumblab_core.arrays import Float32s
from thumblab_core.database.tables import videos as videos_table
from thumblab_core.niches.store import retire_niche
from thumblab_core.ranking.familiarity import FILE as FAMILIAR
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release import Release
from thumblab_pipelines.dataset.load import Dataset, load_dataset
from thumblab_pipelines.dataset.pairs import build_pairs, check_built_pairs
from thumblab_pipelines.dataset.retained_pairs import missing_videos, newest_pairs
from thumblab_pipelines.dataset.splits import TEST, TRAIN, VALIDATION
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.build import build_model
from thumblab_pipelines.models.promotion import promote_newest
from thumblab_pipelines.retention.forget_niche import forget_niche
from thumblab_pipelines.retention.lab_clean_up import clean_lab


def forget(lab: Lab, *parts: str) -> list[str]:
    """Delete a video of each part of the split, with all data that `retention` deletes. Return the ids of the videos."""
    gone = [delete_one(lab, part) for part in parts]
    clean_lab(lab)
    return gone


def familiar(release: Release, pictures: Float32s) -> list[bool]:
    """Return for each picture whether its vector is in the model's file of familiar pictures.

    `pictures` [n, d] are the vectors of the pictures. The file has the vectors of the pictures that the model has seen.
    """
    kept = load_file(release.path / FAMILIAR)["pictures"].astype("float32")
    return [bool((kept @ picture > 0.9999).any()) for picture in pictures]


def adapter_videos(release: Release, data: Dataset) -> pd.Series:
    """Return the number of videos in each channel adapter of the model."""
    ranker = TrainedRanker.load(release)
    adapters = {channel: ranker.adapter(str(channel)) for channel in sorted(set(data.videos.channel_id))}
    return pd.Series({channel: adapter.videos for channel, adapter in adapters.items() if adapter is not None})


@pytest.mark.slow
def test_a_video_deleted_during_training_or_before_promotion_loses_only_itself(lab: Lab) -> None:
    pairs = build_pairs(lab)
    data = load_dataset(lab, pairs.release)
    gone: list[str] = []

    def forget_once(what: str, epoch: int, epochs: int) -> None:
        if not gone:
            gone.extend(forget(lab, TRAIN, VALIDATION, TEST))

    built = build_model(lab, QUICK, forget_once)
    assert not pairs.release.path.exists(), "the pairs with the deleted videos must be deleted before the training ends"
    assert all(check.passed for check in check_built_pairs(lab, pairs)), (
        "the checks must use the release that replaced the pairs"
    )
    assert (built.forgotten, built.reused) == (3, False)

    videos = data.videos
    rows = {part: videos.index[(videos.part == part) & videos.learnt] for part in (TRAIN, VALIDATION)}
    deleted = videos.video_id.isin(gone)
    assert familiar(built.release, data.images[rows[TRAIN]]) == (~deleted[rows[TRAIN]]).tolist()
    known = videos[videos.part.isin([TRAIN, VALIDATION]) & ~deleted]
    held = adapter_videos(built.release, data)
    assert held.to_dict() == known.groupby("channel_id").size().to_dict()

    gone += forget(lab, TRAIN, VALIDATION, TEST)
    assert promote_newest(lab)[1] == built.release
    assert missing_videos(lab, data.video_ids) == sorted(gone)
    # The next run continues with pairs that lack the deleted videos.
    count = len(videos) - len(gone)
    assert (newest_pairs(lab).info["videos"], build_pairs(lab).release.info["videos"]) == (count, count)
    assert promote_newest(lab)[2].reason == "it is served already"


@pytest.mark.slow
def test_a_niche_that_is_forgotten_during_training_loses_only_its_own_videos(lab: Lab) -> None:
    with lab.engine.begin() as connection:
        channel = connection.scalars(select(videos_table.c.channel_id).order_by(videos_table.c.channel_id)).first()
        connection.execute(update(videos_table).where(videos_table.c.channel_id == channel).values(niche="news"))
    pairs = build_pairs(lab)
    data = load_dataset(lab, pairs.release)
    deleted = data.videos.channel_id == channel
    forgotten: list[int] = []

    def forget_once(what: str, epoch: int, epochs: int) -> None:
        if not forgotten:
            assert retire_niche(lab.engine, lab.settings.data_dir, "news")
            forgotten.append(forget_niche(lab, "news").videos)

    built = build_model(lab, QUICK, forget_once)
    assert forgotten == [32]
    assert built.forgotten == int(deleted.sum()) > 20
    learnt = data.videos.index[(data.videos.part == TRAIN) & data.videos.learnt]
    assert familiar(built.release, data.images[learnt]) == (~deleted[learnt]).tolist()
    assert channel not in adapter_videos(built.release, data)
    assert promote_newest(lab)[1] == built.release
    assert build_pairs(lab).release.info["videos"] == len(data.videos) - built.forgotten
