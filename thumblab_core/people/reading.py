"""Read clusters, faces, and the pictures that show a person."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Select, case, func, literal, null, select, true, union_all

from thumblab_core.database.tables import (
    face_assignments,
    face_clusters,
    face_pictures,
    faces,
    people_pictures,
    thumbnail_versions,
    thumbnails,
    videos,
)
from thumblab_core.errors import LabError
from thumblab_core.people.clusters import require_cluster
from thumblab_core.people.errors import UnknownFaceError
from thumblab_core.people.records import Cluster, ClusterPage, Face, FacePage, PersonPicture
from thumblab_core.people.where_shown import channels_of_clusters

EVERY, PEOPLE, UNKNOWN = "all", "person", "unknown"
"""The kinds of clusters that `list_clusters` can return."""

MOST_LISTED = 1_000
"""The largest number of entries of one answer."""

_LARGEST_OFFSET = 2**31 - 1
_SAMPLES = 6
_SHOWN = 40


def list_clusters(connection: Connection, limit: int = 100, offset: int = 0, kind: str = EVERY) -> ClusterPage:
    """Return clusters, the largest first. An unknown cluster without faces is left out.

    `kind`: `all`, `person` or `unknown`. Raises `LabError` if `limit`, `offset` or `kind` is not allowed.
    """
    require_part(limit, offset)
    if kind not in (EVERY, PEOPLE, UNKNOWN):
        raise LabError(f"{kind[:_SHOWN]!r} is not a kind of cluster; use {EVERY}, {PEOPLE} or {UNKNOWN}")
    statement = _clusters(kind).subquery()
    total = int(connection.scalar(select(func.count()).select_from(statement)) or 0)
    largest_first = statement.c.faces.desc(), statement.c.created_at, statement.c.cluster_key
    rows = connection.execute(select(statement).order_by(*largest_first).limit(limit).offset(offset)).all()
    keys = [row.cluster_key for row in rows]
    samples, channels = _samples(connection, keys), channels_of_clusters(connection, keys)
    return ClusterPage(
        total,
        tuple(
            Cluster(
                key=row.cluster_key,
                name=row.name,
                is_owner=row.is_owner,
                created_at=row.created_at,
                faces=row.faces,
                pictures=row.faces,  # Each face of a cluster is from another picture.
                pinned=row.pinned,
                samples=samples.get(row.cluster_key, ()),
                channels=channels.get(row.cluster_key, 0),
            )
            for row in rows
        ),
    )


def read_cluster(connection: Connection, cluster_id: str) -> Cluster:
    """Return a cluster. Raises `UnknownFaceError` if there is no such cluster."""
    key = require_cluster(connection, cluster_id).key
    statement = _clusters(None).subquery()
    row = connection.execute(select(statement).where(statement.c.cluster_key == key)).one()
    return Cluster(
        key=key,
        name=row.name,
        is_owner=row.is_owner,
        created_at=row.created_at,
        faces=row.faces,
        pictures=row.faces,
        pinned=row.pinned,
        samples=_samples(connection, [key]).get(key, ()),
        channels=channels_of_clusters(connection, [key]).get(key, 0),
    )


def faces_of_cluster(connection: Connection, cluster_id: str, limit: int = 100, offset: int = 0) -> FacePage:
    """Return a cluster and its faces, the best quality first.

    Raises `UnknownFaceError` if there is no such cluster, and `LabError` if `limit` or `offset` is not allowed.
    """
    require_part(limit, offset)
    cluster = read_cluster(connection, cluster_id)
    statement = _faces(face_assignments.c.cluster_key == cluster.key).order_by(faces.c.quality.desc(), faces.c.face_id)
    return FacePage(cluster, cluster.faces, _read_faces(connection, statement.limit(limit).offset(offset)))


def faces_in_none(connection: Connection, limit: int = 100, offset: int = 0) -> tuple[Face, ...]:
    """Return the faces that are in no cluster, the best quality first."""
    require_part(limit, offset)
    statement = _faces(face_assignments.c.face_id.is_(None)).order_by(faces.c.quality.desc(), faces.c.face_id)
    return _read_faces(connection, statement.limit(limit).offset(offset))


def read_face(connection: Connection, face_id: str) -> Face:
    """Return a face. Raises `UnknownFaceError` if the lab has no such face."""
    found = _read_faces(connection, _faces(faces.c.face_id == face_id))
    if not found:
        raise UnknownFaceError(f"the lab has no face {face_id[:_SHOWN]!r}; use the id of a stored face")
    return found[0]


def read_faces(connection: Connection, face_ids: Sequence[str]) -> tuple[Face, ...]:
    """Return the stored faces with these ids, in any order. Unknown ids are left out."""
    return _read_faces(connection, _faces(faces.c.face_id == func.any(list(face_ids))))


def faces_of_picture(connection: Connection, sha256: str) -> tuple[Face, ...]:
    """Return the faces of a picture, from left to right.

    Raises `UnknownFaceError` if the picture was not searched for faces.
    """
    known = select(face_pictures.c.sha256).where(face_pictures.c.sha256 == sha256)
    if connection.scalar(known) is None:
        raise UnknownFaceError(
            f"the picture {sha256[:_SHOWN]!r} was not searched for faces; `thumblab people detect` searches pictures"
        )
    return _read_faces(connection, _faces(faces.c.sha256 == sha256).order_by(faces.c.x0, faces.c.face_id))


def pictures_of_person(
    connection: Connection, cluster_id: str, limit: int = 100, offset: int = 0
) -> tuple[PersonPicture, ...]:
    """Return the pictures that show a person, once for each video that has or had the picture. Newest videos come first.

    Raises `UnknownFaceError` if there is no such cluster, and `LabError` if `limit` or `offset` is not allowed.
    """
    require_part(limit, offset)
    key = require_cluster(connection, cluster_id).key
    seen = select(face_assignments.c.sha256, face_assignments.c.face_id).where(face_assignments.c.cluster_key == key)
    shown, versions = seen.subquery(), thumbnail_versions
    of_video = (
        select(thumbnails.c.video_id, thumbnails.c.sha256)
        .where(thumbnails.c.sha256.is_not(None))
        .union(select(versions.c.video_id, versions.c.sha256))
        .subquery()
    )
    in_videos = (
        select(
            shown.c.sha256,
            shown.c.face_id,
            videos.c.video_id,
            videos.c.title,
            videos.c.channel_id,
            func.coalesce(thumbnails.c.sha256 == shown.c.sha256, False).label("current"),
            null().label("file_name"),
            videos.c.published_at,
        )
        .join(of_video, of_video.c.sha256 == shown.c.sha256)
        .join(videos, videos.c.video_id == of_video.c.video_id)
        .outerjoin(thumbnails, thumbnails.c.video_id == videos.c.video_id)
    )
    given = select(
        shown.c.sha256,
        shown.c.face_id,
        *(null().label(name) for name in ("video_id", "title", "channel_id")),
        literal(False).label("current"),
        people_pictures.c.name,
        null().label("published_at"),
    ).join(people_pictures, people_pictures.c.sha256 == shown.c.sha256)
    both = union_all(in_videos, given).subquery()
    order = both.c.published_at.desc().nulls_last(), both.c.sha256, both.c.video_id
    rows = connection.execute(select(both).order_by(*order).limit(limit).offset(offset))
    return tuple(
        PersonPicture(
            sha256=row.sha256,
            face_id=row.face_id,
            video_id=row.video_id,
            title=row.title,
            channel_id=row.channel_id,
            current=row.current,
            file_name=row.file_name,
        )
        for row in rows
    )


def require_part(limit: int, offset: int) -> None:
    """Raise `LabError` if `limit` or `offset` is out of its range."""
    if not 1 <= limit <= MOST_LISTED:
        raise LabError(f"the limit is {limit}; use 1 to {MOST_LISTED}, and read later entries with an offset")
    if not 0 <= offset <= _LARGEST_OFFSET:
        raise LabError(f"the offset is {offset}; use 0 to {_LARGEST_OFFSET}")


def _clusters(kind: str | None) -> Select[tuple[object, ...]]:
    """Select the clusters in use, each with the number of its faces.

    If `kind` is None, empty unknown clusters are included.
    """
    count, pinned = func.count(face_assignments.c.face_id), func.count(case((face_assignments.c.pinned, 1)))
    statement = (
        select(
            face_clusters.c.cluster_key,
            face_clusters.c.name,
            face_clusters.c.is_owner,
            face_clusters.c.created_at,
            count.label("faces"),
            pinned.label("pinned"),
        )
        .outerjoin(face_assignments, face_assignments.c.cluster_key == face_clusters.c.cluster_key)
        .where(face_clusters.c.merged_into.is_(None))
        .group_by(face_clusters.c.cluster_key)
    )
    if kind is None:
        return statement
    named = face_clusters.c.name.is_not(None)
    wanted: ColumnElement[bool] = true() if kind == EVERY else named if kind == PEOPLE else ~named
    return statement.where(wanted).having(named | (count > 0))


def _samples(connection: Connection, keys: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the ids of the best faces of each cluster, by the key of the cluster."""
    place = func.row_number().over(
        partition_by=face_assignments.c.cluster_key, order_by=[faces.c.quality.desc(), faces.c.face_id]
    )
    ranked = (
        select(face_assignments.c.cluster_key, faces.c.face_id, place.label("place"))
        .join(faces, faces.c.face_id == face_assignments.c.face_id)
        .where(face_assignments.c.cluster_key.in_(keys))
        .subquery()
    )
    best = select(ranked).where(ranked.c.place <= _SAMPLES).order_by(ranked.c.cluster_key, ranked.c.place)
    samples: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(best):
        samples[row.cluster_key] = (*samples.get(row.cluster_key, ()), row.face_id)
    return samples


def _faces(where: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    placed = face_assignments.c.cluster_key, face_assignments.c.pinned, face_assignments.c.similarity
    return (
        select(faces, *placed, face_clusters.c.name)
        .outerjoin(face_assignments, face_assignments.c.face_id == faces.c.face_id)
        .outerjoin(face_clusters, face_clusters.c.cluster_key == face_assignments.c.cluster_key)
        .where(where)
    )


def _read_faces(connection: Connection, statement: Select[tuple[object, ...]]) -> tuple[Face, ...]:
    return tuple(
        Face(
            face_id=row.face_id,
            sha256=row.sha256,
            box=(row.x0, row.y0, row.x1, row.y1),
            landmarks=tuple(row.landmarks),
            confidence=row.confidence,
            quality=row.quality,
            detector=row.detector,
            detected_at=row.detected_at,
            cluster_key=row.cluster_key,
            name=row.name,
            pinned=bool(row.pinned),
            similarity=row.similarity,
        )
        for row in connection.execute(statement)
    )
