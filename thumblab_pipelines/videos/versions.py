"""The thumbnails of a video: the one of now in `thumbnails`, every one with its time and title in `thumbnail_versions`.

What a video got was earned by what it showed meanwhile. So whoever learns from its views takes them with its first version,
and only up to when that was last seen: see `learnt`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import thumbnail_versions, thumbnails, videos
from thumblab_core.images import ImageError, ImageStore, Picture, decode
from thumblab_core.images.perceptual import same_picture

NOT_KEPT = "what it showed first is not kept"
CHANGED_FIRST = "changed before it was first counted"
NEVER_COUNTED = "no count of views"

LACKS_COUNT = f"""CASE WHEN p.until = '-infinity' THEN '{NOT_KEPT}'
     WHEN s.view_count IS NULL AND p.until < 'infinity' THEN '{CHANGED_FIRST}'
     WHEN s.view_count IS NULL THEN '{NEVER_COUNTED}' END"""
"""An expression: why a video has no count that can be learnt from; `p` is of `learnt`, `s` its count up to `until`."""


def learnt(where: str = "true") -> str:
    """A query: of each video the first picture and title, and until when (at least) it showed them.

    That is "never" where earlier ones were deleted: what the views were earned by is not known. `where` chooses among the
    videos `v`.
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
    """  # noqa: S608  (conditions of ours)


@dataclass(frozen=True)
class Origin:
    """Where a picture was read, and what its host calls this version of it; None where there is no such thing."""

    url: str | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Shown:
    """A video shows a picture that it did not show before; the picture is in the image store."""

    video_id: str
    at: datetime
    sha256: str
    width: int
    height: int
    phash: int
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Unchanged:
    """A video still shows what it showed."""

    video_id: str
    at: datetime
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Missing:
    """There is no picture, or none that can be read. One that was known is kept."""

    video_id: str
    at: datetime
    problem: str


Sighting = Shown | Unchanged | Missing


def still_shows(images: ImageStore, known_sha256: str, picture: Picture) -> bool:
    """Whether a picture is the known one: the same bytes, or the same to look at because its host encoded it anew.

    What is not in the store any more cannot be looked at, so other bytes count as another picture then.
    """
    if picture.sha256 == known_sha256:
        return True
    try:
        known = decode(images.get(known_sha256))
    except ImageError:
        return False
    return same_picture(known.pixels, picture.pixels)


def record(connection: Connection, sightings: Sequence[Sighting]) -> None:
    """Write what was seen, at most one sighting per video. Videos that were forgotten in the meantime are passed over."""
    ids = sorted(seen.video_id for seen in sightings)
    # Locked as a foreign key would lock them, so that no row of a video can go while its picture is written.
    named = select(videos.c.video_id, videos.c.title).where(videos.c.video_id.in_(ids)).order_by(videos.c.video_id)
    titles = {
        row.video_id: row.title for row in connection.execute(named.with_for_update(read=True, key_share=True)).all()
    }
    present = [seen for seen in sightings if seen.video_id in titles]
    _show(connection, [seen for seen in present if isinstance(seen, Shown)], titles)
    _prolong(connection, [seen for seen in present if isinstance(seen, Unchanged)], titles)
    _miss(connection, [seen for seen in present if isinstance(seen, Missing)])


def _show(connection: Connection, seen: Sequence[Shown], titles: dict[str, str]) -> None:
    if not seen:
        return
    now = [
        {
            "video_id": one.video_id,
            "sha256": one.sha256,
            "width": one.width,
            "height": one.height,
            "phash": one.phash,
            "problem": None,
            "url": one.origin.url,
            "etag": one.origin.etag,
            "last_modified": one.origin.last_modified,
            "fetched_at": one.at,
            "checked_at": one.at,
        }
        for one in seen
    ]
    statement = insert(thumbnails).values(now)
    replaced = {name: statement.excluded[name] for name in now[0] if name != "video_id"}
    connection.execute(statement.on_conflict_do_update(index_elements=["video_id"], set_=replaced))
    versions = [
        {
            "video_id": one.video_id,
            "first_seen": one.at,
            "last_seen": one.at,
            "sha256": one.sha256,
            "phash": one.phash,
            "title": titles[one.video_id],
        }
        for one in seen
    ]
    # Two pictures of one moment: the first was never shown for any time.
    added = insert(thumbnail_versions).values(versions)
    replaced = {name: added.excluded[name] for name in ("last_seen", "sha256", "phash", "title")}
    connection.execute(added.on_conflict_do_update(index_elements=["video_id", "first_seen"], set_=replaced))


def _prolong(connection: Connection, seen: Sequence[Unchanged], titles: dict[str, str]) -> None:
    if not seen:
        return
    connection.execute(
        update(thumbnails)
        .where(thumbnails.c.video_id == bindparam("of"))
        .values(
            checked_at=func.greatest(thumbnails.c.checked_at, bindparam("at")),
            url=func.coalesce(bindparam("at_url"), thumbnails.c.url),
            # What a host called its version at another address means nothing at this one.
            etag=case((bindparam("at_url").is_(None), thumbnails.c.etag), else_=bindparam("tag")),
            last_modified=case(
                (bindparam("at_url").is_(None), thumbnails.c.last_modified), else_=bindparam("modified")
            ),
        ),
        [
            {
                "of": one.video_id,
                "at": one.at,
                "at_url": one.origin.url,
                "tag": one.origin.etag,
                "modified": one.origin.last_modified,
            }
            for one in seen
        ],
    )
    # Under another title it is another version, as it is with another picture. Of two titles of one moment the first was
    # never shown for any time.
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
        [{"of": one.video_id, "at": one.at, "title": titles[one.video_id]} for one in seen],
    )


def _miss(connection: Connection, seen: Sequence[Missing]) -> None:
    if not seen:
        return
    statement = insert(thumbnails).values(
        [{"video_id": one.video_id, "problem": one.problem, "fetched_at": one.at, "checked_at": one.at} for one in seen]
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
