"""Find the pictures that the lab shows, and the pictures that must still be searched for faces. Also keep the list of
given pictures.

A picture is shown if a video has or had it as its thumbnail, or if a person gave it (`people_pictures`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import (
    face_pictures,
    forgotten_faces,
    people_pictures,
    thumbnail_versions,
    thumbnails,
)
from thumblab_core.errors import LabError
from thumblab_core.given_text import without_hidden
from thumblab_core.people.cleaning import delete_face_pictures
from thumblab_core.people.locking import lock_people
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.releases.release_store import ReleaseStore

OFF, OWN, ALL = "off", "own", "all"
"""The values of the setting `people`, which says whether the lab looks for faces, and on whose thumbnails."""

_LONGEST_FILE_NAME = 255


@dataclass(frozen=True)
class Scope:
    """The thumbnails that may be searched for faces.

    `niche`: only pictures of this niche, or of all niches if None. `channels`: only pictures of these channels, or of
    all channels if None. `given`: whether the pictures that a person gave belong to the scope.
    """

    niche: str | None = None
    channels: tuple[str, ...] | None = None
    given: bool = True


def scope_of(mode: str, releases: ReleaseStore, niche: str | None = None) -> Scope:
    """Return the scope of `mode`, a value of the setting `people`. `own` means the channels that were added with
    `thumblab channel add`, and `all` means all channels.

    The pictures that a person gave belong to no niche. Raises `LabError` if the mode is `off`.
    """
    if mode == OFF:
        raise LabError("the lab looks for no faces; set THUMBLAB_PEOPLE=own for your channels, or THUMBLAB_PEOPLE=all")
    channels = tuple(ChannelAdapters(releases).channels()) if mode == OWN else None
    return Scope(niche, channels, given=niche is None)


SHOWN = """
SELECT t.sha256 FROM (
  SELECT video_id, sha256 FROM thumbnails WHERE sha256 IS NOT NULL
  UNION ALL SELECT video_id, sha256 FROM thumbnail_versions
) t JOIN videos v USING (video_id)
WHERE (CAST(:niche AS text) IS NULL OR v.niche = :niche)
  AND (CAST(:channels AS text[]) IS NULL OR v.channel_id = ANY(:channels))
UNION SELECT sha256 FROM people_pictures WHERE CAST(:given AS boolean)
"""
"""Select the pictures of a `Scope`. The function `scope_parameters` returns the parameters."""

_WANTED = text(f"""
SELECT s.sha256 FROM ({SHOWN}) s LEFT JOIN face_pictures p USING (sha256)
WHERE NOT EXISTS (
    SELECT FROM forgotten_faces g
    WHERE g.sha256 = s.sha256 AND g.x0 = 0 AND g.y0 = 0 AND g.x1 = 1 AND g.y1 = 1
  )
  AND (p.detector IS DISTINCT FROM :detector OR EXISTS (
    SELECT FROM faces f WHERE f.sha256 = s.sha256 AND NOT EXISTS (
      SELECT FROM face_embeddings e WHERE e.face_id = f.face_id AND e.embedder = :embedder
    )
  ))
ORDER BY s.sha256 LIMIT :most
""")  # noqa: S608  (a statement of this module)
"""Select the pictures that this detector has not searched, and the pictures with a face that this embedder has not
embedded.
"""


def scope_parameters(scope: Scope) -> dict[str, Any]:
    """Return the parameters with which `SHOWN` selects the pictures of `scope`."""
    channels = None if scope.channels is None else list(scope.channels)
    return {"niche": scope.niche, "channels": channels, "given": scope.given}


def wanted_pictures(
    connection: Connection, detector: str, embedder: str, scope: Scope, limit: int | None = None
) -> list[str]:
    """Return the SHA-256 of the pictures of the scope that must still be searched, at most `limit` pictures.

    A picture that this detector could not search is left out.
    """
    parameters = {"detector": detector, "embedder": embedder, "most": limit}
    return list(connection.scalars(_WANTED, parameters | scope_parameters(scope)))


def lock_shown(connection: Connection, pictures: Iterable[str]) -> set[str]:
    """Call `lock_people`, and return which of the pictures belong to a video, or were given to the lab by a person.

    These pictures cannot be deleted before the end of the transaction. A picture that another transaction is deleting
    is left out. Waiting for that transaction could last for ever, because it may wait for this transaction.
    """
    wanted = sorted(pictures)
    of_videos = {
        sha256
        for column in (thumbnails.c.sha256, thumbnail_versions.c.sha256)
        for sha256 in connection.scalars(
            select(column)
            .where(column == func.any(wanted))
            .with_for_update(key_share=True, read=True, skip_locked=True)
        )
    }
    # A transaction that deletes a given picture calls `lock_people` before. So the rows of given pictures are not
    # locked, and are read only after this transaction has the lock.
    lock_people(connection)
    given = select(people_pictures.c.sha256).where(people_pictures.c.sha256 == func.any(wanted))
    return of_videos | set(connection.scalars(given))


def add_given_pictures(connection: Connection, pictures: Sequence[tuple[str, str]]) -> int:
    """Put pictures on the list of given pictures. `pictures` are pairs of SHA-256 and file name. Return how many
    pictures were not listed before.

    The pictures must be in the image store. While they are listed, the store keeps them.
    """
    lock_people(connection)
    rows = {sha256: {"sha256": sha256, "name": without_hidden(name)[:_LONGEST_FILE_NAME]} for sha256, name in pictures}
    if not rows:
        return 0
    added = insert(people_pictures).on_conflict_do_nothing().returning(people_pictures.c.sha256)
    return len(connection.execute(added, list(rows.values())).all())


def forgotten_given_pictures(connection: Connection, pictures: Iterable[str]) -> set[str]:
    """Return the pictures that have a forgotten face and are not on the list of given pictures.

    When a person is forgotten, the given pictures that show nobody else are taken off the list. Only their SHA-256 is
    kept, with the place of the forgotten face. A picture that also shows another person stays on the list, so it is not
    returned.
    """
    some = func.any(list(pictures))
    listed = select(people_pictures.c.sha256)
    of_forgotten = forgotten_faces.c.sha256 == some, forgotten_faces.c.sha256.not_in(listed)
    return set(connection.scalars(select(forgotten_faces.c.sha256).where(*of_forgotten)))


def unshown(connection: Connection, pictures: Iterable[str] | None = None, scope: Scope | None = None) -> list[str]:
    """Return the searched pictures that belong to no video any more and that nobody gave to the lab.

    If `pictures` is given, only these pictures are checked. If `scope` is given, the pictures outside this scope are
    returned too.
    """
    among = "" if pictures is None else "AND p.sha256 = ANY(:pictures)"
    statement = text(f"SELECT p.sha256 FROM face_pictures p WHERE p.sha256 NOT IN ({SHOWN}) {among}")  # noqa: S608
    parameters = scope_parameters(scope or Scope())
    if pictures is not None:
        parameters |= {"pictures": list(pictures)}
    return list(connection.scalars(statement, parameters))


def delete_unshown(connection: Connection, pictures: Iterable[str] | None = None, scope: Scope | None = None) -> int:
    """Delete the faces of the pictures that `unshown` returns, and all data that were made from the faces. Return the
    number of these pictures.

    `pictures` and `scope` have the same meaning as in `unshown`. The records of forgotten faces and the names of people
    stay.
    """
    some = None if pictures is None else list(pictures)
    searched = select(face_pictures.c.sha256).limit(1)
    if some is not None:
        searched = searched.where(face_pictures.c.sha256 == func.any(some))
    # The lock is taken only if there is a picture to check, so a lab without faces never waits for the lock.
    if connection.scalar(searched) is None:
        return 0
    lock_people(connection)
    gone = unshown(connection, some, scope)
    delete_face_pictures(connection, gone)
    return len(gone)
