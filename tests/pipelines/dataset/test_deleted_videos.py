"""Tests of deleted videos.

After videos were deleted, a lab can still train on pairs that contain the deleted videos. The next retention run
removes the deleted videos from every pairs release.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select, text, update

from thumblab_core.database.tables import video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.dataset import retained_pairs
from thumblab_pipelines.dataset.checks import check_pairs
from thumblab_pipelines.dataset.load import Dataset, load_dataset, with_vectors_of
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.retained_pairs import SUCCEEDED, named_pairs
from thumblab_pipelines.dataset.snapshot import FILE, Snapshot
from thumblab_pipelines.dataset.splits import TEST, TRAIN
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.build import _published, build_model
from thumblab_pipelines.models.promotion import promote_newest
from thumblab_pipelines.retention.purge import clean_pairs
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.processes.distributed import ProcessGroup
from thumblab_pipelines.videos.deletion import delete_videos

QUICK = TrainConfig(epochs=1)


def videos_of(release: Release) -> pd.DataFrame:
    return pd.read_parquet(release.path / "videos.parquet")


def delete_one(lab: Lab, part: str) -> str:
    """Delete one video of the newest pairs release, and return the id of the video.

    The video is in `part`, such as the training part. It is the first video of this part that still exists.
    """
    newest = lab.releases.latest(PAIRS, ALL)
    assert newest is not None
    with lab.engine.begin() as connection:
        alive = set(connection.scalars(select(videos.c.video_id)))
        of_part = videos_of(newest).query("part == @part").video_id
        deleted = next(video_id for video_id in of_part if video_id in alive)
        assert delete_videos(connection, [deleted]) == 1
    return str(deleted)


def named_by(lab: Lab, *video_ids: str) -> Iterator[Path]:
    """Yield each file of the pairs releases that contains one or more of `video_ids`."""
    for path in (lab.releases.root / PAIRS).rglob("*"):
        if path.is_file() and any(video_id.encode() in path.read_bytes() for video_id in video_ids):
            yield path


def trained_on(lab: Lab, pairs: Release) -> Release:
    """Publish an empty model release that records `pairs` as its training pairs."""
    return lab.releases.publish(MODEL, ALL, lambda _: None, {"pairs_release": pairs.release_id})


def count_again(lab: Lab) -> None:
    """Change every view count, so that the next release of pairs differs from the last one."""
    with lab.engine.begin() as connection:
        connection.execute(update(video_stats).values(view_count=video_stats.c.view_count + 1))


@pytest.mark.slow
def test_deleted_videos_stop_neither_training_nor_promotion_and_are_counted(lab: Lab) -> None:
    build_pairs(lab)
    gone = [delete_one(lab, TRAIN)]
    first = build_model(lab, QUICK)
    assert (first.reused, first.forgotten) == (False, 1)
    gone.append(delete_one(lab, TEST))
    assert promote_newest(lab)[1] == first.release

    gone.append(delete_one(lab, TRAIN))
    second = build_model(lab, TrainConfig(epochs=1, seed=8))
    assert second.forgotten == 3
    gone.append(delete_one(lab, TEST))
    decision = promote_newest(lab)[2]
    assert decision.comparisons
    assert "; 4 videos of these pairs have been deleted since they were made" in decision.reason

    # Retention calls `clean_pairs`. After this call, no pairs release contains the deleted videos. Each model still has
    # a pairs release with its training pairs, except the pairs of deleted videos.
    assert list(named_by(lab, *gone))
    assert clean_pairs(lab) == 1
    assert list(named_by(lab, *gone)) == []
    for built in (first, second):
        successor = named_pairs(lab, built.release.info["pairs_release"])
        assert set(videos_of(successor).video_id).isdisjoint(gone)
    assert successor == lab.releases.latest(PAIRS, ALL)
    assert successor.info["excluded"]["forgotten since"] == 4
    assert all(check.passed for check in check_pairs(successor)), check_pairs(successor)
    again = build_model(lab, TrainConfig(epochs=1, seed=9))
    assert (again.reused, again.forgotten, again.release.info["pairs_release"]) == (False, 0, successor.release_id)
    assert promote_newest(lab)[2].comparisons
    assert clean_pairs(lab) == 0


def test_processes_that_read_different_pairs_stop_with_an_error(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    build_pairs(lab)
    # The processes of a training compare their pairs through `broadcast`. This patch changes the value that the main
    # process sends, as if the main process had read different pairs.
    monkeypatch.setattr(ProcessGroup, "broadcast", lambda self, value: value + 1)
    with pytest.raises(
        LabError, match="changed while the processes of this training started; start the training again"
    ):
        build_model(lab, QUICK)
    with pytest.raises(LabError, match="the main process published no model"):
        _published(lab, "of none")


def test_the_pairs_of_the_champion_are_kept_and_never_count_as_the_newest(lab: Lab) -> None:
    own = build_pairs(lab).release
    lab.releases.serving.promote(trained_on(lab, own))
    for _ in range(3):
        count_again(lab)
        newest = build_pairs(lab).release
    assert named_pairs(lab, own.release_id) == own, (
        "the pairs of the champion must be kept in addition to the two newest releases"
    )

    gone = delete_one(lab, TRAIN)
    clean_pairs(lab)
    assert list(named_by(lab, gone)) == []
    successor = named_pairs(lab, own.release_id)
    assert (successor.scope, successor.info["succeeds"]) == (SUCCEEDED, [own.release_id])
    latest = lab.releases.latest(PAIRS, ALL)
    assert latest is not None
    assert latest.info["succeeds"] == [newest.release_id]

    # If a pairs release names a deleted video, `clean_pairs` makes a new release without this video, and deletes the
    # old release. The new release is called the successor of the old release. When another video is deleted, the
    # successor gets a successor itself. If no model needs an old release, the release is deleted and gets no successor.
    again = delete_one(lab, TRAIN)
    clean_pairs(lab)
    assert list(named_by(lab, gone, again)) == []
    assert named_pairs(lab, own.release_id).info["succeeds"] == [own.release_id, successor.release_id]
    latest = lab.releases.latest(PAIRS, ALL)
    assert latest is not None
    lab.releases.serving.promote(trained_on(lab, latest))
    delete_one(lab, TRAIN)
    clean_pairs(lab)
    with pytest.raises(LabError, match="are not kept any more"):
        named_pairs(lab, own.release_id)


def test_pictures_that_are_replaced_or_encoded_again_do_not_change_existing_pairs(lab: Lab) -> None:
    release = build_pairs(lab).release
    before = load_dataset(lab, release)
    with lab.engine.begin() as connection:
        connection.execute(text("UPDATE embeddings SET vector = vector - vector - vector"))
        connection.execute(text("DELETE FROM embeddings WHERE video_id = :id"), {"id": before.videos.video_id[0]})
    after = load_dataset(lab, release)
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.titles, before.titles)
    assert not build_pairs(lab).reused, "after a change of vectors, a new pairs release must be built"
    # `with_vectors_of` reads the vectors from the database. The database no longer has the vector of the first video.
    assert with_vectors_of(lab, before, release)[1].sum() == len(before.videos) - 1


def test_a_deleted_video_is_left_out_with_its_pairs_and_the_other_pairs_stay(
    plant: Callable[..., Dataset], lab: Lab
) -> None:
    data = plant(channels=3, videos=30)
    gone = ["v0", "v31", "v89"]
    loaded = load_dataset(lab, data.release, forgotten=gone)
    kept = ~data.videos.video_id.isin(gone).to_numpy(bool)
    assert loaded.forgotten == 3
    assert loaded.videos.video_id.tolist() == data.videos.video_id[kept].tolist()
    for name in ("images", "titles", "sub_scores"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(data, name)[kept])

    def by_id(dataset: Dataset) -> set[tuple[str, str, float]]:
        ids, pairs = dataset.videos.video_id.to_numpy(object), dataset.pairs
        return set(zip(ids[pairs.winner], ids[pairs.loser], pairs.margin, strict=True))

    assert by_id(loaded) == {pair for pair in by_id(data) if not {pair[0], pair[1]} & set(gone)}
    assert len(loaded.pairs) == len(by_id(loaded))


def test_the_file_of_vectors_has_the_documented_tensors(plant: Callable[..., Dataset]) -> None:
    from safetensors import safe_open

    data = plant(channels=2, videos=20)
    with safe_open(data.release.path / FILE, framework="numpy") as file:
        tensors = {name: (file.get_tensor(name).dtype.name, file.get_tensor(name).shape) for name in file.keys()}  # noqa: SIM118
    assert tensors == {
        "images": ("float32", (40, 16)),
        "titles": ("float32", (40, 8)),
        "sub_scores": ("float32", (40, 6)),
    }
    with pytest.raises(LabError, match=r"for 41 videos it must be float32 \[41, d\]; materialize training_pairs again"):
        Snapshot.load(data.release, 41)
    path = data.release.path / FILE
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(LabError, match="does not match its checksum"):
        data.release.verify()


def test_a_video_deleted_while_pairs_are_read_is_left_out_and_counted(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.dataset import pairs

    read = pairs.read_snapshot

    def delete_and_read(lab: Lab, videos: pd.DataFrame, *encoders: str) -> object:
        with lab.engine.begin() as connection:
            delete_videos(connection, videos.video_id.tolist()[:2])
        return read(lab, videos, *encoders)

    monkeypatch.setattr(pairs, "read_snapshot", delete_and_read)
    release = build_pairs(lab).release
    assert release.info["excluded"]["forgotten while it was read"] == 2
    assert all(check.passed for check in check_pairs(release))


def test_a_damaged_release_is_deleted_without_a_successor_and_stops_no_other_deletion(lab: Lab) -> None:
    damaged = build_pairs(lab).release
    (damaged.path / FILE).write_bytes(b"")
    count_again(lab)
    newest = build_pairs(lab).release
    trained_on(lab, damaged)
    gone = delete_one(lab, TEST)
    clean_pairs(lab)
    assert list(named_by(lab, gone)) == []
    (successor,) = lab.releases.all(PAIRS, ALL)
    assert successor.info["succeeds"] == [newest.release_id]
    manifest = json.loads((successor.path / "manifest.json").read_text())
    assert manifest["info"]["videos"] == len(videos_of(successor))


@pytest.mark.parametrize("name", ["manifest.json", "videos.parquet", FILE])
def test_pairs_that_cannot_be_read_at_the_moment_are_kept_for_the_next_run(
    lab: Lab, refuse: Callable[[Path], None], name: str
) -> None:
    release = build_pairs(lab).release
    delete_one(lab, TRAIN)
    refuse(release.path / name)
    with pytest.raises(LabError, match="Too many open files") as raised:
        clean_pairs(lab)
    assert raised.value.transient
    assert [path.name for path in release.path.parent.iterdir() if path.is_dir()] == [release.release_id]


def test_needed_pairs_get_a_successor_and_others_are_deleted(lab: Lab) -> None:
    old = build_pairs(lab).release
    count_again(lab)
    needed = build_pairs(lab).release
    delete_one(lab, TRAIN)
    assert clean_pairs(lab) == 2
    assert (old.path.exists(), needed.path.exists()) == (False, False)
    assert len(lab.releases.all(PAIRS, ALL)) == 1
    assert clean_pairs(lab) == 0
    delete_one(lab, TRAIN)
    assert clean_pairs(lab, successors=False) == 1
    assert lab.releases.all(PAIRS, ALL) == []


def test_no_pairs_are_published_while_another_process_holds_the_pairs(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retained_pairs, "_PATIENCE_S", 0.0)
    with retained_pairs.holding_pairs(lab), pytest.raises(LabError, match="try again later") as raised:
        build_pairs(lab)
    assert raised.value.transient
    assert lab.releases.all(PAIRS, ALL) == []
