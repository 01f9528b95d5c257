"""Stop a clean-up if the settings name the database of another lab."""

from contextlib import suppress

from sqlalchemy import ARRAY, Connection, Text, any_, literal, select

from thumblab_core.database.tables import metadata, niches, videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.lab import Lab


def require_own_database(lab: Lab) -> None:
    """Raise `LabError` if the database knows nothing of what this lab has stored.

    A clean-up deletes what the database does not name. With the database of another lab, it would delete every release
    and picture. The error is raised if the database has none of the videos in the served indices of its niches. If none
    is served, it is raised if the database is as empty as that of a new lab, although the lab has pictures.

    The index of any other niche does not count: a run may have published it after its niche was forgotten.
    """
    served: set[str] = set()
    for niche in lab.niches:
        with suppress(LabError, OSError, ValueError, KeyError, TypeError):  # The clean-up deletes a damaged release.
            release = lab.releases.serving.current(INDEX, niche)
            served |= set() if release is None else NicheIndex.video_ids(release)
    with lab.engine.connect() as connection:
        if served:
            known = select(videos.c.video_id).where(videos.c.video_id == any_(literal(sorted(served), ARRAY(Text))))
            own = connection.scalar(known.limit(1)) is not None
        else:
            own = _is_used(connection) or next(iter(lab.images.stored()), None) is None
    if not own:
        raise LabError(
            "nothing was deleted, because the database knows none of the videos in this lab's indices and pictures; check "
            "that it is the database of this lab. If all these videos were deleted on purpose, materialize retention and "
            "lab_retention with the config confirmed: true"
        )


def _is_used(connection: Connection) -> bool:
    """Return whether a lab has stored anything in the database. The database of a new lab has only the default niches.

    The rows of channels, quota or evaluations stay when all videos are deleted by a rule.
    """
    tables = [table for table in metadata.sorted_tables if table is not niches]
    return any(connection.scalar(select(1).select_from(table).limit(1)) is not None for table in tables)
