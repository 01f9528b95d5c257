"""Remove deleted videos from index releases, pairs releases and the image store, and delete abandoned trainings.

Each function looks in the stored files for videos without a row in the table `videos`. So a function does not need to
know which videos were deleted, or when.
"""

import logging
import shutil
from pathlib import Path

from sqlalchemy import Connection, select, text

from thumblab_core.database.pictures import named_pictures
from thumblab_core.database.tables import faces, videos
from thumblab_core.durable_files import age
from thumblab_core.errors import LabError
from thumblab_core.faces.head import remove_heads_of_deleted
from thumblab_core.index import NicheIndex
from thumblab_core.people.pictures import delete_unshown
from thumblab_core.releases.moves import replace_stale
from thumblab_core.releases.release import ALL, INDEX, PAIRS, Release, UnreadError, require_damage, was_not_read
from thumblab_pipelines.dataset.load import load_dataset
from thumblab_pipelines.dataset.pairs import publish_successor
from thumblab_pipelines.dataset.retained_pairs import (
    SCOPES,
    SUCCEEDED,
    deleted_videos,
    holding_pairs,
    is_needed,
    prune_pairs,
)
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import prune_indices
from thumblab_pipelines.library.trim import publish_trimmed

_log = logging.getLogger(__name__)

_UNUSED_S = 3_600.0
"""A picture to which no row refers is deleted if its file is older than this number of seconds.

A younger file may belong to a download that has not written its row yet.
"""

_ABANDONED_S = 7 * 86_400.0
"""Seconds without a write after which a training counts as abandoned.

A running training writes its state after every epoch. An abandoned training was killed and will not be resumed.
"""

_DELETE_UNNAMED_VECTORS = text("""
DELETE FROM earlier_embeddings e
WHERE NOT EXISTS (
    SELECT FROM thumbnail_versions n WHERE n.video_id = e.video_id
      AND e.source_digest IN (n.sha256, encode(sha256(convert_to(n.title, 'UTF8')), 'hex')))
  AND NOT EXISTS (
    SELECT FROM videos v LEFT JOIN thumbnails t USING (video_id) WHERE v.video_id = e.video_id
      AND e.source_digest IN (t.sha256, encode(sha256(convert_to(v.title, 'UTF8')), 'hex')))
  AND NOT EXISTS (
    SELECT FROM experiments x JOIN experiment_variants a USING (experiment_id) WHERE x.video_id = e.video_id
      AND e.source_digest IN (a.sha256, encode(sha256(convert_to(a.title, 'UTF8')), 'hex')))
""")
"""This statement deletes the vectors of earlier pictures and titles that neither the video nor an experiment names."""


def alive_videos(connection: Connection, niche: str | None = None) -> set[str]:
    """Return the ids of the videos that the lab has in the niche. If `niche` is None, return the ids of all videos."""
    statement = select(videos.c.video_id)
    return set(connection.scalars(statement.where(videos.c.niche == niche) if niche else statement))


def stale_indices(lab: Lab, niche: str) -> tuple[list[Release], set[str]]:
    """Return the niche's index releases that must be cleaned, and the ids of the niche's videos.

    A release must be cleaned if it contains a deleted video, or if it cannot be read.
    """
    with lab.engine.connect() as connection:
        alive = alive_videos(connection, niche)
    return [release for release in lab.releases.all(INDEX, niche) if not _holds_only(release, alive)], alive


def _holds_only(release: Release, alive: set[str]) -> bool:
    try:
        return NicheIndex.video_ids(release) <= alive
    except (LabError, OSError, ValueError, KeyError, TypeError) as error:
        require_damage(release, error)
        return False  # A damaged release may contain a deleted video.


def clean_indices(lab: Lab, niche: str, run_id: str | None) -> int:
    """Delete the niche's index releases that contain a deleted video or cannot be read. Return the number of deleted
    releases.

    If the served release must be cleaned, an index without the deleted videos is served instead. If an index without
    the deleted videos cannot be built, the niche serves no index. Raises `UnreadError` if a release cannot be read at
    the moment. After an `UnreadError`, the served index is not changed.
    """
    with lab.releases.serving.changing(INDEX, niche):
        stale, alive = stale_indices(lab, niche)
        served = lab.releases.serving.current_id(INDEX, niche)
        replace_stale(lab.releases, stale, served, lambda release: publish_trimmed(lab, release, alive, run_id))
        unreadable = lab.releases.discard_unreadable(INDEX, niche)
        # A killed process may have left incomplete releases with deleted videos. `prune_indices` also deletes
        # incomplete releases.
        prune_indices(lab, niche)
    return len(stale) + len(unreadable)


def clean_pairs(lab: Lab, run_id: str | None = None, successors: bool = True) -> int:
    """Delete the pairs releases that contain deleted videos, and return the number of deleted releases.

    A release is needed if it is the newest pairs release, or if the served or the newest model was trained on it.
    Before a needed release is deleted, a successor is published: a new release with the remaining pairs.

    Args:
        lab: The lab.
        run_id: The Dagster run that publishes the successors.
        successors: Whether successors are published. If false, a needed release is deleted without a successor.

    Raises:
        UnreadError: A release cannot be read at the moment. The unreadable release stays until the next run. The error
            is raised after all other releases were cleaned.
    """
    deleted = 0
    failed: LabError | None = None
    with holding_pairs(lab):
        newest = lab.releases.latest(PAIRS, ALL)
        for release in [release for scope in SCOPES for release in lab.releases.all(PAIRS, scope)]:
            remaining = None
            try:
                deleted_ids = deleted_videos(lab, release)
                if not deleted_ids:
                    continue
                if successors and is_needed(lab, release):
                    remaining = load_dataset(lab, release, deleted_ids)
            except LabError as error:
                if was_not_read(error):
                    failed = error
                    continue
                # A damaged release cannot be checked and may contain a deleted video, so it is deleted.
                _log.warning("%s is deleted and no successor replaces it: %s", release, error)
            if remaining is not None:
                publish_successor(lab, remaining, ALL if release == newest else SUCCEEDED, run_id)
            lab.releases.remove(release)
            deleted += 1
        for scope in SCOPES:
            deleted += len(lab.releases.discard_unreadable(PAIRS, scope))
        # A killed process may have left incomplete releases with deleted videos. `prune_pairs` also deletes incomplete
        # releases.
        prune_pairs(lab)
    if failed is not None:
        raise UnreadError(str(failed)) from failed
    return deleted


def clean_images(lab: Lab, ahead: float = 0.0) -> int:
    """Delete the pictures that the lab no longer uses, and return their number. A picture is used if it belongs to a
    thumbnail, a thumbnail version or an experiment, or if a user added it with `add_folder`.

    `ahead`: seconds by which this machine's clock may be ahead of the real time. A clock that is ahead makes a new file
    look old.
    """
    with lab.engine.connect() as connection:
        named = named_pictures(connection)
    return lab.images.remove_unnamed(named, _UNUSED_S + ahead)


def clean_vectors(lab: Lab) -> int:
    """Delete the vectors of earlier pictures and titles that the lab no longer keeps, and return their number.

    The lab deletes such a picture or title with its version (`history_days`) or with its experiment.
    """
    with lab.engine.begin() as connection:
        return connection.execute(_DELETE_UNNAMED_VECTORS).rowcount


def clean_faces(lab: Lab) -> int:
    """Delete the faces of pictures in which the lab no longer looks for people. Return the number of these pictures.
    The lab looks for people in thumbnails, in thumbnail versions, and in pictures that a user added with `add_folder`.

    `delete_videos` deletes the faces of a video at once. This function deletes all other faces whose pictures the lab
    no longer uses, for example the faces of a deleted thumbnail version. Matching heads that learnt from deleted faces
    are deleted too.
    """
    with lab.engine.begin() as connection:
        deleted = delete_unshown(connection)
    with lab.engine.connect() as connection:
        present = list(connection.scalars(select(faces.c.face_id)))
    remove_heads_of_deleted(lab.releases, present)
    return deleted


def clean_unfinished(lab: Lab, ahead: float = 0.0) -> int:
    """Delete the folders of trainings and fine-tunings that were killed and not resumed. Return the number of deleted
    folders.

    The folders contain vectors, weights and prepared pictures that only these trainings need. `ahead`: seconds by which
    this machine's clock may be ahead, as in `clean_images`.
    """
    places = [lab.settings.data_dir / name for name in ("training", "fine-tuning")]
    folders = [path for place in places if place.is_dir() for path in place.iterdir() if path.is_dir()]
    abandoned = [
        folder for folder in folders if not folder.is_symlink() and _idle_seconds(folder) > _ABANDONED_S + ahead
    ]
    for folder in abandoned:
        shutil.rmtree(folder, ignore_errors=True)  # If files remain after an error, the next run deletes them.
    return sum(not folder.exists() for folder in abandoned)


def _idle_seconds(folder: Path) -> float:
    """Return the seconds since the last write to any file in the folder.

    The times of the files are read too, because writing to a file does not change the time of its folder.
    """
    try:
        return min(age(path) for path in [folder, *folder.rglob("*")])
    except FileNotFoundError:  # Another process has renamed or deleted a file of the folder in the meantime.
        return 0.0
