"""Record the faces that a detector found in pictures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import (
    face_assignments,
    face_bans,
    face_embeddings,
    face_pictures,
    faces,
    forgotten_faces,
)
from thumblab_core.people.boxes import SAME, WHOLE, clipped, covers, face_id_of, overlap
from thumblab_core.people.clusters import drop_empty_clusters
from thumblab_core.people.pictures import lock_shown
from thumblab_core.people.records import Box, FoundFace, Recorded, SearchedPicture

_UNUSABLE = "the network gives no usable vector of this face"
_NOT_FOUND = "the detector does not find this face any more"


@dataclass(frozen=True)
class _Known:
    """A stored face of a picture. `said`: whether a person put the face in a cluster or took it out of a cluster."""

    face_id: str
    box: Box
    detector: str
    said: bool


@dataclass
class _Plan:
    """The rows to write for all pictures, and the faces to delete."""

    pictures: list[dict[str, Any]] = field(default_factory=list)
    faces: list[dict[str, Any]] = field(default_factory=list)
    embeddings: list[dict[str, Any]] = field(default_factory=list)
    missing: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `face_embeddings` without a vector, for known faces that the detector did not find again. Such a row does
    not replace a stored vector.
    """
    changed: list[str] = field(default_factory=list)
    """Ids of faces whose stored rows come from another detector. Their stored vectors were made from other crops."""
    deleted: list[str] = field(default_factory=list)
    new: int = 0
    forgotten: int = 0


def record_detection(
    connection: Connection, searched: Sequence[SearchedPicture], detector: str, embedder: str
) -> Recorded:
    """Record which faces a detector found in the pictures, and the vectors that an embedder gave to these faces.

    `detector` and `embedder` are fingerprints. Recording the same faces again changes nothing. Another detector may
    find a stored face in a slightly different box. The face then keeps its id, its cluster and the changes by a person.
    Faces that only an earlier detector found are deleted. But a face that a person put in a cluster or took out of a
    cluster is kept.

    Faces that a person told the lab to forget are left out. Pictures that were deleted meanwhile are left out too.
    """
    by_picture = {picture.sha256: picture for picture in searched}
    shown = lock_shown(connection, by_picture)
    forgotten = _forgotten_boxes(connection, by_picture)
    recorded = [
        picture for sha256, picture in by_picture.items() if sha256 in shown and WHOLE not in forgotten.get(sha256, ())
    ]
    known = _known_faces(connection, [picture.sha256 for picture in recorded])
    plan = _Plan()
    for picture in recorded:
        before = known.get(picture.sha256, [])
        _plan_picture(plan, picture, before, forgotten.get(picture.sha256, ()), (detector, embedder))
    _write(connection, plan)
    return Recorded(
        pictures=len(recorded),
        new=plan.new,
        known=len(plan.faces) - plan.new,
        forgotten=plan.forgotten,
        gone=len(by_picture) - len(recorded),
        replaced=len(plan.deleted),
    )


@dataclass(frozen=True)
class Places:
    """The boxes of the forgotten faces of a picture, and the boxes of the faces that the lab has stored for this
    picture.
    """

    forgotten: Sequence[Box] = ()
    known: Sequence[Box] = ()

    def is_forgotten(self, box: Sequence[float]) -> bool:
        """Return whether a face that was found in `box` was forgotten.

        If `box` fits a stored face, the result is False, even if a forgotten face was at the same place. A stored face
        cannot be a forgotten face, because forgetting deletes the face. For a box outside the picture, the result is
        False.
        """
        inside = clipped(box)
        if inside is None or not any(covers(each, inside) for each in self.forgotten):
            return False
        return not any(overlap(inside, each) >= SAME for each in self.known)


def forgotten_places(connection: Connection, pictures: Sequence[str]) -> dict[str, Places]:
    """Return the `Places` of each picture that has a forgotten face. With these places, a search can leave out the
    vector of the forgotten face.
    """
    forgotten = _forgotten_boxes(connection, dict.fromkeys(pictures))
    known = _known_faces(connection, list(forgotten)) if forgotten else {}
    return {sha256: Places(boxes, [face.box for face in known.get(sha256, ())]) for sha256, boxes in forgotten.items()}


def _forgotten_boxes(connection: Connection, pictures: Mapping[str, object]) -> dict[str, list[Box]]:
    rows = connection.execute(select(forgotten_faces).where(forgotten_faces.c.sha256 == func.any(list(pictures))))
    boxes: dict[str, list[Box]] = defaultdict(list)
    for row in rows:
        boxes[row.sha256].append((row.x0, row.y0, row.x1, row.y1))
    return boxes


def _known_faces(connection: Connection, pictures: Sequence[str]) -> dict[str, list[_Known]]:
    pinned = select(face_assignments.c.face_id).where(face_assignments.c.pinned)
    banned = select(face_bans.c.face_id)
    said = (faces.c.face_id.in_(pinned) | faces.c.face_id.in_(banned)).label("said")
    rows = connection.execute(select(faces, said).where(faces.c.sha256 == func.any(list(pictures))))
    known: dict[str, list[_Known]] = defaultdict(list)
    for row in rows:
        known[row.sha256].append(_Known(row.face_id, (row.x0, row.y0, row.x1, row.y1), row.detector, row.said))
    return known


def _plan_picture(
    plan: _Plan,
    picture: SearchedPicture,
    known: Sequence[_Known],
    forgotten: Sequence[Box],
    models: tuple[str, str],
) -> None:
    """Add the rows of one picture to the plan. `models`: the fingerprints of the detector and of the embedder."""
    detector, embedder = models
    found: dict[str, tuple[Box, FoundFace]] = {}
    for face in picture.faces:
        box = clipped(face.box)
        if box is None:
            continue
        found[face_id_of(picture.sha256, detector, box)] = (box, face)
    matches = _match({face_id: box for face_id, (box, _) in found.items()}, known)
    # A face that matches a stored face is kept, even if it lies in the box of a forgotten face. A stored face cannot be
    # a forgotten face, because forgetting deletes the face.
    gone = [
        face_id
        for face_id, (box, _) in found.items()
        if face_id not in matches and any(covers(each, box) for each in forgotten)
    ]
    plan.forgotten += len(gone)
    for face_id in gone:
        del found[face_id]
    by_id = {face.face_id: face for face in known}
    for face_id, (box, face) in found.items():
        before = matches.get(face_id)
        plan.new += before is None
        if before is not None and by_id[before].detector != detector:
            plan.changed.append(before)
        plan.faces.append(_face_row(before or face_id, picture.sha256, detector, box, face))
        plan.embeddings.append(_embedding_row(before or face_id, embedder, face.vector))
    unmatched = [face for face in known if face.face_id not in matches.values()]
    kept = [face for face in unmatched if face.said or face.detector == detector or picture.problem is not None]
    plan.deleted += [face.face_id for face in unmatched if face not in kept]
    # The detector did not find these kept faces, so they get no vector by this embedder. These rows store that fact.
    # Otherwise, every run would search the picture again for the missing vectors.
    if picture.problem is None:
        plan.missing += [
            {"face_id": face.face_id, "embedder": embedder, "vector": None, "problem": _NOT_FOUND} for face in kept
        ]
    count = None if picture.problem is not None else len(found) + len(kept)
    plan.pictures.append(
        {"sha256": picture.sha256, "detector": detector, "face_count": count, "problem": picture.problem}
    )


def _match(found: Mapping[str, Box], known: Sequence[_Known]) -> dict[str, str]:
    """Return a dictionary from the id of a found face to the id of the known face that it matches. The pairs of faces
    with the largest overlap are matched first.
    """
    matches = {face.face_id: face.face_id for face in known if face.face_id in found}
    pairs = sorted(
        ((overlap(box, face.box), face_id, face.face_id) for face_id, box in found.items() for face in known),
        reverse=True,
    )
    taken = set(matches.values())
    for share, face_id, known_id in pairs:
        if share >= SAME and face_id not in matches and known_id not in taken:
            matches[face_id] = known_id
            taken.add(known_id)
    return matches


def _face_row(face_id: str, sha256: str, detector: str, box: Box, face: FoundFace) -> dict[str, Any]:
    edges = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
    scores = {name: min(1.0, max(0.0, float(getattr(face, name)))) for name in ("confidence", "quality")}
    landmarks = np.asarray(face.landmarks, float).reshape(10).tolist()
    return {"face_id": face_id, "sha256": sha256, "detector": detector, "landmarks": landmarks, **edges, **scores}


def _embedding_row(face_id: str, embedder: str, vector: Any) -> dict[str, Any]:
    row = {"face_id": face_id, "embedder": embedder, "vector": None, "problem": None}
    length = 0.0 if vector is None else float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0.0:
        return row | {"problem": _UNUSABLE}
    return row | {"vector": (np.asarray(vector, np.float32) / length).tolist()}


def _write(connection: Connection, plan: _Plan) -> None:
    if plan.pictures:
        upsert = insert(face_pictures).values(searched_at=func.now())
        given = {name: upsert.excluded[name] for name in ("detector", "face_count", "problem", "searched_at")}
        connection.execute(upsert.on_conflict_do_update(index_elements=["sha256"], set_=given), plan.pictures)
    if plan.deleted:
        connection.execute(delete(faces).where(faces.c.face_id == func.any(plan.deleted)))
        drop_empty_clusters(connection)
    if plan.changed:
        connection.execute(delete(face_embeddings).where(face_embeddings.c.face_id == func.any(plan.changed)))
    if plan.faces:
        upsert = insert(faces).values(detected_at=func.now())
        names = ("detector", "x0", "y0", "x1", "y1", "landmarks", "confidence", "quality")
        given = {name: upsert.excluded[name] for name in names}
        connection.execute(upsert.on_conflict_do_update(index_elements=["face_id"], set_=given), plan.faces)
    if plan.embeddings:
        upsert = insert(face_embeddings)
        given = {name: upsert.excluded[name] for name in ("vector", "problem")}
        both = ["face_id", "embedder"]
        connection.execute(upsert.on_conflict_do_update(index_elements=both, set_=given), plan.embeddings)
    if plan.missing:
        connection.execute(insert(face_embeddings).on_conflict_do_nothing(), plan.missing)
