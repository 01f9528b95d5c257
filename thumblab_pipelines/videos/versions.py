"""Record which thumbnails and titles a video shows, and when.

A sighting is the result of a request for a video's thumbnail: a new picture (`Shown`), the known picture (`Unchanged`)
or no picture (`Missing`).

The table `thumbnails` has the current thumbnail of a video. A version is a picture together with a title. The table
`thumbnail_versions` has every version that a video has shown, with the times when it was first and last seen.

A video gets views for a version only while it shows this version. So training uses the first version of a video, with
the views up to the moment when this version was last seen. See `first_versions_query`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import thumbnail_versions, thumbnails, videos
from thumblab_core.image_store import ImageStore
from thumblab_core.images import ImageError, Picture, decode
from thumblab_core.images.perceptual import same_picture

NOT_KEPT = "what it showed first is not kept"
CHANGED_FIRST = "changed before it was first counted"
NEVER_COUNTED = "no count of views"
"""The texts `NOT_KEPT`, `CHANGED_FIRST` and `NEVER_COUNTED` say why a video has no count of views to train on."""

LACKS_COUNT = f"""CASE WHEN p.until = '-infinity' THEN '{NOT_KEPT}'
     WHEN s.view_count IS NULL AND p.until < 'infinity' THEN '{CHANGED_FIRST}'
     WHEN s.view_count IS NULL THEN '{NEVER_COUNTED}' END"""
"""SQL expression for the reason why a video has no count of views to train on. The expression is NULL if the video has
such a count. `p` is a row of `first_versions_query`. `s` is the video's last count up to the time `p.until`.
"""


def first_versions_query(where: str = "true") -> str:
    """Return a query for the first picture and the first title of each video. The column `until` is the last time at
    which the video is known to have shown this picture with this title.

    `where`: a condition on the videos `v`. `until` is infinity if the video has not changed. `until` is -infinity if
    the first version of the video was deleted from the table, because it is then unknown which version got the views.
    """
    return f"""
        SELECT DISTINCT ON (n.video_id) n.video_id, n.sha256, n.phash, n.title,
               encode(sha256(convert_to(n.title, 'UTF8')), 'hex') AS title_digest,
               CASE WHEN n.earlier_deleted THEN '-infinity'
                    WHEN count(*) OVER (PARTITION BY n.video_id) > 1 OR n.title <> v.title THEN n.last_seen
                    ELSE 'infinity' END AS until
        FROM thumbnail_versions n JOIN videos v ON v.video_id = n.video_id
        WHERE {where}
        ORDER BY n.video_id, n.first_seen
    """  # noqa: S608  (conditions come from this project's code)


@dataclass(frozen=True)
class Origin:
    """The URL from which a picture was read, and the headers ETag and Last-Modified of the host's answer.

    Each field is None if it is not known.
    """

    url: str | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Shown:
    """The result of a request that found a new picture of the video. The picture must already be in the image store."""

    video_id: str
    at: datetime
    sha256: str
    width: int
    height: int
    phash: int
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Unchanged:
    """The result of a request that found the picture unchanged. The lab already has this picture of the video."""

    video_id: str
    at: datetime
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Missing:
    """The result of a request that found no readable picture. If the lab already has a picture of the video, the lab
    keeps this picture.
    """

    video_id: str
    at: datetime
    problem: str


Sighting = Shown | Unchanged | Missing


def still_shows(images: ImageStore, known_sha256: str, picture: Picture) -> bool:
    """Return whether a picture is the same as the picture that the lab already has of the video.

    The picture is the same if the bytes are the same, or if the pixels show that the host has only encoded the image
    again. If the file of the known picture is lost, different bytes count as a different picture.
    """
    if picture.sha256 == known_sha256:
        return True
    try:
        known = decode(images.get(known_sha256))
    except ImageError:
        return False
    return same_picture(known.pixels, picture.pixels)


def record(connection: Connection, sightings: Sequence[Sighting]) -> None:
    """Save sightings, at most one for each video. Skip videos that were deleted in the meantime."""
    ids = sorted(sighting.video_id for sighting in sightings)
    # This query takes the same row locks that PostgreSQL takes to check a foreign key. So no other process can delete a
    # video while its picture is saved.
    statement = select(videos.c.video_id, videos.c.title).where(videos.c.video_id.in_(ids)).order_by(videos.c.video_id)
    titles = {
        row.video_id: row.title
        for row in connection.execute(statement.with_for_update(read=True, key_share=True)).all()
    }
    present = [sighting for sighting in sightings if sighting.video_id in titles]
    _save_shown(connection, [sighting for sighting in present if isinstance(sighting, Shown)], titles)
    _save_unchanged(connection, [sighting for sighting in present if isinstance(sighting, Unchanged)], titles)
    _save_missing(connection, [sighting for sighting in present if isinstance(sighting, Missing)])


def _save_shown(connection: Connection, sightings: Sequence[Shown], titles: dict[str, str]) -> None:
    if not sightings:
        return
    rows = [
        {
            "video_id": sighting.video_id,
            "sha256": sighting.sha256,
            "width": sighting.width,
            "height": sighting.height,
            "phash": sighting.phash,
            "problem": None,
            "url": sighting.origin.url,
            "etag": sighting.origin.etag,
            "last_modified": sighting.origin.last_modified,
            "fetched_at": sighting.at,
            "checked_at": sighting.at,
        }
        for sighting in sightings
    ]
    statement = insert(thumbnails).values(rows)
    replaced = {name: statement.excluded[name] for name in rows[0] if name != "video_id"}
    connection.execute(statement.on_conflict_do_update(index_elements=["video_id"], set_=replaced))
    versions = [
        {
            "video_id": sighting.video_id,
            "first_seen": sighting.at,
            "last_seen": sighting.at,
            "sha256": sighting.sha256,
            "phash": sighting.phash,
            "title": titles[sighting.video_id],
        }
        for sighting in sightings
    ]
    # If a stored version has the same `first_seen` as the new version, the stored version was shown for no time. So the
    # new version replaces the stored version.
    statement = insert(thumbnail_versions).values(versions)
    replaced = {name: statement.excluded[name] for name in ("last_seen", "sha256", "phash", "title")}
    connection.execute(statement.on_conflict_do_update(index_elements=["video_id", "first_seen"], set_=replaced))


def _save_unchanged(connection: Connection, sightings: Sequence[Unchanged], titles: dict[str, str]) -> None:
    if not sightings:
        return
    connection.execute(
        update(thumbnails)
        .where(thumbnails.c.video_id == bindparam("of"))
        .values(
            checked_at=func.greatest(thumbnails.c.checked_at, bindparam("at")),
            url=func.coalesce(bindparam("at_url"), thumbnails.c.url),
            # The headers ETag and Last-Modified of an answer are valid only for the requested URL. So if a sighting has
            # a URL, its two headers replace the stored headers. A stored header that the sighting lacks is deleted.
            etag=case((bindparam("at_url").is_(None), thumbnails.c.etag), else_=bindparam("tag")),
            last_modified=case(
                (bindparam("at_url").is_(None), thumbnails.c.last_modified), else_=bindparam("modified")
            ),
        ),
        [
            {
                "of": sighting.video_id,
                "at": sighting.at,
                "at_url": sighting.origin.url,
                "tag": sighting.origin.etag,
                "modified": sighting.origin.last_modified,
            }
            for sighting in sightings
        ],
    )
    # A new title makes a new version too, with the same picture. If the stored version was first seen at the same
    # moment as the new title, the stored title was shown for no time. So the new title replaces the title of the stored
    # version.
    connection.execute(
        text("""
            WITH newest AS (
                SELECT DISTINCT ON (video_id) * FROM thumbnail_versions WHERE video_id = :of
                ORDER BY video_id, first_seen DESC
            ), prolonged AS (
                UPDATE thumbnail_versions n SET last_seen = CAST(:at AS timestamptz) FROM newest
                WHERE n.video_id = :of AND n.first_seen = newest.first_seen AND n.title = :title
                  AND n.last_seen <= CAST(:at AS timestamptz)
            )
            INSERT INTO thumbnail_versions (video_id, first_seen, last_seen, sha256, phash, title)
            SELECT video_id, CAST(:at AS timestamptz), CAST(:at AS timestamptz), sha256, phash, :title FROM newest
            WHERE title <> :title AND last_seen <= CAST(:at AS timestamptz)
            ON CONFLICT (video_id, first_seen) DO UPDATE SET title = excluded.title
        """),
        [{"of": sighting.video_id, "at": sighting.at, "title": titles[sighting.video_id]} for sighting in sightings],
    )


def _save_missing(connection: Connection, sightings: Sequence[Missing]) -> None:
    if not sightings:
        return
    statement = insert(thumbnails).values(
        [
            {
                "video_id": sighting.video_id,
                "problem": sighting.problem,
                "fetched_at": sighting.at,
                "checked_at": sighting.at,
            }
            for sighting in sightings
        ]
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["video_id"],
            set_={
                "checked_at": statement.excluded.checked_at,
                "problem": case((thumbnails.c.sha256.is_(None), statement.excluded.problem)),
            },
        )
    )
