"""Decide which pairs releases are kept, and find a pairs release or its successor.

A pairs release that names a deleted video must be deleted too. If the release is still needed, a successor without this
video is published first (see `pairs.publish_successor`). A release is needed if it is the newest pairs release, or if
the served model or the newest model was trained on it.

The successor of the newest pairs release is published in the same scope and becomes the newest pairs release. The
successor of an older release is published in the scope `SUCCEEDED`. In the usual scope, it would be mistaken for the
newest pairs release. `info["succeeds"]` of a successor lists the releases that it replaces.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager

from sqlalchemy import text

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.dataset.one_video import PAIRS_FILE
from thumblab_pipelines.lab import Lab

SUCCEEDED = "succeeded"
"""The scope of a successor, unless the successor replaces the newest pairs release."""

SCOPES = (ALL, SUCCEEDED)

_PATIENCE_S = 600.0
"""Maximum number of seconds to wait for another process that holds the lock of the pairs releases."""

_DELETED = text("""
SELECT id FROM unnest(CAST(:ids AS text[])) AS id
WHERE NOT EXISTS (SELECT FROM videos v WHERE v.video_id = id) ORDER BY id
""")


def holding_pairs(lab: Lab) -> AbstractContextManager[None]:
    """Return a context manager that holds the lock of the pairs releases.

    While the lock is held, no other process publishes or deletes pairs releases. So the caller can choose a release and
    read it before it is deleted. The context cannot be nested. The context raises `BusyError` if another process holds
    the lock for more than ten minutes.
    """
    return lab.releases.serving.changing(PAIRS, ALL, _PATIENCE_S)


def newest_pairs(lab: Lab) -> Release:
    """Return the newest pairs release, which the next model is trained on. Raises `LabError` if there is no pairs
    release."""
    release = lab.releases.latest(PAIRS, ALL)
    if release is None:
        raise LabError("there are no training pairs; materialize training_pairs first")
    return release


def named_pairs(lab: Lab, release_id: str) -> Release:
    """Return the pairs release `release_id`, or the newest successor that replaced it.

    Raises `LabError` if the lab has neither the release nor a successor.
    """
    releases = [release for scope in SCOPES for release in lab.releases.all(PAIRS, scope)]
    for release in reversed(releases):
        if release.release_id == release_id or release_id in release.info.get("succeeds", ()):
            return release
    raise LabError(f"the training pairs {release_id} are not kept any more; materialize training_pairs again")


def deleted_videos(lab: Lab, release: Release) -> list[str]:
    """Return the ids of the videos that are in a pairs release, but are no longer in the lab.

    Raises `UnreadError` if the release cannot be read at the moment, and another `LabError` if the release is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    ids: set[str] = set()
    for name in ("videos.parquet", PAIRS_FILE):
        if name == PAIRS_FILE and name not in release.files:
            continue
        # The whole file is read first, and parsed in a second step. So an error of `read_table` always means a damaged
        # file.
        content = pa.BufferReader(release.read(name))
        try:
            ids.update(parquet.read_table(content, columns=["video_id"])["video_id"].to_pylist())
        except (OSError, ValueError, KeyError) as error:
            raise LabError(f"{release}: {name} cannot be read ({error}); materialize training_pairs again") from None
    return missing_videos(lab, ids)


def missing_videos(lab: Lab, ids: Iterable[str]) -> list[str]:
    """Return the sorted ids in `ids` for which the lab has no video."""
    with lab.engine.connect() as connection:
        return list(connection.scalars(_DELETED, {"ids": sorted(ids)}))


def is_needed(lab: Lab, release: Release) -> bool:
    """Return whether a pairs release is the newest one, belongs to the served or the newest model, or replaces such a
    release.

    A needed release must not be deleted before its successor is published.
    """
    replaces = {release.release_id, *release.info.get("succeeds", ())}
    return not replaces.isdisjoint(_needed(lab))


def prune_pairs(lab: Lab) -> None:
    """Delete old pairs releases. Keep the needed releases, and the newest releases of each scope.

    In the scope `SUCCEEDED`, only the newest release is kept. In the usual scope, the newest `releases_kept` releases
    (a setting) are kept. The caller must hold the lock of the pairs releases, see `holding_pairs`.
    """
    for scope, keep in ((ALL, lab.settings.releases_kept), (SUCCEEDED, 1)):
        needed = [release.release_id for release in lab.releases.all(PAIRS, scope) if is_needed(lab, release)]
        lab.releases.prune(PAIRS, scope, keep, needed)


def _needed(lab: Lab) -> set[str]:
    """Return the ids of the newest pairs release, and of the pairs releases of the served and the newest model.

    A model's manifest names the pairs that the model was trained on. A manifest never changes, so it may name a pairs
    release that a successor has replaced.
    """
    newest = lab.releases.latest(PAIRS, ALL)
    needed = set() if newest is None else {newest.release_id}
    served = lab.releases.serving.current_id(MODEL, ALL)
    models = lab.releases.all(MODEL, ALL)
    return needed | {
        str(model.info.get("pairs_release")) for model in models if model.release_id == served or model is models[-1]
    }
