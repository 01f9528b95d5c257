"""Store pictures and faces in a database, and read the changes that a person made to the faces."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from thumblab_core.arrays import Float32s
from thumblab_core.database.tables import (
    channels,
    face_assignments,
    face_bans,
    face_calibrations,
    face_centroids,
    face_clusters,
    face_pictures,
    faces,
    forgotten_faces,
    people_pictures,
    thumbnails,
    videos,
)
from thumblab_core.people.clustering import NONE, faces_for_clustering, store_clustering
from thumblab_core.people.detection import record_detection
from thumblab_core.people.pictures import add_given_pictures
from thumblab_core.people.records import SearchedPicture

DETECTOR, EMBEDDER = "detector-1", "embedder-1"


@dataclass(frozen=True)
class GivenFace:
    """A face as a detector returns it."""

    box: tuple[float, ...]
    vector: Float32s | None
    confidence: float = 0.9
    quality: float = 0.5

    @property
    def landmarks(self) -> Any:
        return np.linspace(self.box[0], self.box[2], 10)


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def face(place: int = 0, seed: int = 0, **facts: Any) -> GivenFace:
    """Return a face at one of ten separate places of a picture. `seed` determines the vector of the face."""
    vector = np.random.default_rng(seed).normal(size=8).astype(np.float32)
    left = place / 10
    return GivenFace((left, 0.2, left + 0.08, 0.4), vector / np.linalg.norm(vector), **facts)


def picture(name: str, count: int = 1) -> SearchedPicture:
    """Return a picture in which a detector has found `count` faces."""
    seed = int(sha(name)[:6], 16)
    return SearchedPicture(sha(name), [face(place, seed + place) for place in range(count)])


def give(connection: Connection, *names: str) -> None:
    """Record that a person gave the pictures to the lab."""
    add_given_pictures(connection, [(sha(name), f"{name}.jpg") for name in names])


def detect(connection: Connection, *pictures: SearchedPicture, detector: str = DETECTOR) -> list[str]:
    """Record pictures that a person gave to the lab, and the faces in these pictures. Return the ids of the faces, from
    left to right.
    """
    add_given_pictures(connection, [(each.sha256, "picture.jpg") for each in pictures])
    record_detection(connection, pictures, detector, EMBEDDER)
    return face_ids(connection, *(each.sha256 for each in pictures))


def face_ids(connection: Connection, *pictures: str) -> list[str]:
    statement = select(faces.c.face_id).where(faces.c.sha256 == func.any(list(pictures)))
    return list(connection.scalars(statement.order_by(faces.c.sha256, faces.c.x0)))


def show(connection: Connection, video_id: str, sha256: str, channel_id: str = "UC1", niche: str = "tech") -> None:
    """Insert a video whose thumbnail is the picture."""
    if connection.scalar(select(channels.c.channel_id).where(channels.c.channel_id == channel_id)) is None:
        connection.execute(insert(channels).values(channel_id=channel_id, title=channel_id))
    facts = {"video_id": video_id, "niche": niche, "channel_id": channel_id, "title": f"Title of {video_id}"}
    times = {"published_at": func.now(), "collected_at": func.now(), "refreshed_at": func.now()}
    connection.execute(insert(videos).values(tags=[], source="youtube", **facts, **times))
    seen = {"fetched_at": func.now(), "checked_at": func.now()}
    connection.execute(insert(thumbnails).values(video_id=video_id, sha256=sha256, **seen))


def group(connection: Connection, *groups: Sequence[str]) -> list[str]:
    """Store a clustering that puts each group of faces in a new cluster. Return the keys of the new clusters."""
    given = faces_for_clustering(connection, EMBEDDER)
    codes, row_of = given.previous.copy(), {face_id: row for row, face_id in enumerate(given.face_ids)}
    for number, members in enumerate(groups):
        for face_id in members:
            codes[row_of[face_id]] = len(given.keys) + number
    stored = store_clustering(connection, given, codes, np.where(codes == NONE, 0.0, 0.8))
    return [stored.new[len(given.keys) + number] for number in range(len(groups))]


def places(connection: Connection) -> dict[str, tuple[str, bool]]:
    """Return for each face in a cluster the key of the cluster, and whether a person put the face into the cluster."""
    rows = connection.execute(select(face_assignments))
    return {row.face_id: (row.cluster_key, row.pinned) for row in rows}


def members(connection: Connection, key: str) -> set[str]:
    return {face_id for face_id, (cluster, _) in places(connection).items() if cluster == key}


def said(connection: Connection) -> dict[str, Any]:
    """Return the changes of a person: names, merges, pinned faces and bans."""
    clusters = connection.execute(select(face_clusters)).all()
    return {
        "names": {row.cluster_key: (row.name, row.is_owner) for row in clusters if row.name is not None},
        "merges": {row.cluster_key: row.merged_into for row in clusters if row.merged_into is not None},
        "pins": {face_id: key for face_id, (key, pinned) in places(connection).items() if pinned},
        "bans": {(row.face_id, row.cluster_key) for row in connection.execute(select(face_bans))},
    }


def empty(connection: Connection) -> None:
    """Delete all faces, clusters, pictures and videos."""
    for table in (face_pictures, forgotten_faces, people_pictures, face_centroids, face_calibrations, face_clusters):
        connection.execute(delete(table))
    connection.execute(delete(channels))
