"""Which pairs releases are kept, and what of them was forgotten since.

A release that something needs is never deleted without a successor. Needed are the newest pairs, and those that the served
and the newest model were trained on. The newest has its successor in its own scope; that of an older one would pass there
for the newest and has the scope `SUCCEEDED`. `info["succeeds"]` names the releases that it stands for.
"""

from contextlib import AbstractContextManager

from sqlalchemy import text

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.lab import Lab

SUCCEEDED = "succeeded"
"""The scope of the pairs that stand for older ones, see above."""

SCOPES = (ALL, SUCCEEDED)
_PATIENCE_S = 600.0

_FORGOTTEN = text("""
SELECT id FROM unnest(CAST(:ids AS text[])) AS id
WHERE NOT EXISTS (SELECT FROM videos v WHERE v.video_id = id) ORDER BY id
""")


def holding_pairs(lab: Lab) -> AbstractContextManager[None]:
    """While this is held no pairs release is deleted: for choosing one and reading it. Not to be held twice."""
    return lab.releases.serving.changing(PAIRS, ALL, _PATIENCE_S)


def newest_pairs(lab: Lab) -> Release:
    """What the next model is trained on. Raises `LabError` when there are no pairs."""
    release = lab.releases.latest(PAIRS, ALL)
    if release is None:
        raise LabError("there are no training pairs; materialize training_pairs first")
    return release


def named_pairs(lab: Lab, release_id: str) -> Release:
    """The pairs release of that id, or what stands for it since a video was forgotten. Raises `LabError`."""
    releases = [release for scope in SCOPES for release in lab.releases.all(PAIRS, scope)]
    for release in reversed(releases):
        if release.release_id == release_id or release_id in release.info.get("succeeds", ()):
            return release
    raise LabError(f"the training pairs {release_id} are not kept any more; materialize training_pairs again")


def deleted_in(lab: Lab, release: Release) -> list[str]:
    """The videos of a pairs release that the lab has forgotten since.

    Raises `UnreadError` where it cannot be read now, another `LabError` where it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    content = pa.BufferReader(release.read("videos.parquet"))  # so that an error below is one of the content
    try:
        ids = parquet.read_table(content, columns=["video_id"])["video_id"].to_pylist()
    except (OSError, ValueError, KeyError) as error:
        raise LabError(
            f"{release}: videos.parquet cannot be read ({error}); materialize training_pairs again"
        ) from None
    with lab.engine.connect() as connection:
        return list(connection.scalars(_FORGOTTEN, {"ids": ids}))


def is_needed(lab: Lab, release: Release) -> bool:
    """Whether a pairs release must have a successor before it is deleted."""
    stands_for = {release.release_id, *release.info.get("succeeds", ())}
    return not stands_for.isdisjoint(_needed(lab))


def prune_pairs(lab: Lab) -> None:
    """Delete old pairs releases: the newest few stay, and all that are needed. To be called while `holding_pairs`."""
    for scope, keep in ((ALL, lab.settings.releases_kept), (SUCCEEDED, 1)):
        spare = [release.release_id for release in lab.releases.all(PAIRS, scope) if is_needed(lab, release)]
        lab.releases.prune(PAIRS, scope, keep, spare)


def _needed(lab: Lab) -> set[str]:
    newest = lab.releases.latest(PAIRS, ALL)
    needed = set() if newest is None else {newest.release_id}
    served = lab.releases.serving.current_id(MODEL, ALL)
    models = lab.releases.all(MODEL, ALL)
    return needed | {
        str(model.info.get("pairs_release")) for model in models if model.release_id == served or model is models[-1]
    }
