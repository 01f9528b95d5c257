"""Forget a person, a face or a picture: delete all rows about it, and store the places where no face may be recorded
again.

A forgotten face leaves a row in `forgotten_faces`: the SHA-256 of the picture and the box. Without this row, the next
search of the picture would record the face again. Forgetting cannot be undone.
"""

import re
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, case, delete, func, select, text, union_all, update

from thumblab_core.database.pictures import named_pictures
from thumblab_core.database.tables import (
    face_assignments,
    face_changes,
    face_clusters,
    face_pictures,
    faces,
    people_pictures,
)
from thumblab_core.people.boxes import WHOLE
from thumblab_core.people.cleaning import delete_face_pictures, delete_faces
from thumblab_core.people.clusters import in_use, merged_clusters, require_cluster
from thumblab_core.people.errors import UnknownFaceError
from thumblab_core.people.locking import changes_people
from thumblab_core.people.log import MERGE
from thumblab_core.people.names import name_key
from thumblab_core.people.pictures import delete_unshown
from thumblab_core.people.records import Forgotten

_SHOWN = 40

_NOTE_FACES = text("""
INSERT INTO forgotten_faces (sha256, x0, y0, x1, y1, forgotten_at)
SELECT sha256, x0, y0, x1, y1, now() FROM faces WHERE face_id = ANY(:face_ids) ON CONFLICT DO NOTHING
""")
_NOTE_PICTURE = text("""
INSERT INTO forgotten_faces (sha256, x0, y0, x1, y1, forgotten_at) VALUES (:sha256, :x0, :y0, :x1, :y1, now())
ON CONFLICT DO NOTHING
""")


@changes_people
def forget_person(connection: Connection, cluster_id: str) -> Forgotten:
    """Forget a person or an unknown cluster: its faces, its name, and the clusters that were merged into it.

    A picture that a person gave is taken off the list if it shows no other face. A given picture that stays on the list
    gets another file name in two cases: the picture showed the person, or its file name contains the name of the
    person. The names of other people stay, even if the faces of the forgotten person had such a name for a while by
    mistake. Raises `UnknownFaceError` if there is no such cluster.
    """
    cluster = require_cluster(connection, cluster_id)
    into = merged_clusters(connection)
    keys = [cluster.key, *(key for key in into if in_use(key, into) == cluster.key)]
    names = _names_to_wipe(connection, cluster.name, keys)
    face_ids = list(
        connection.scalars(select(face_assignments.c.face_id).where(face_assignments.c.cluster_key == cluster.key))
    )
    pictures = _note(connection, face_ids)
    dropped = delete_faces(connection, face_ids)
    # All clusters of the person are deleted in one statement, because a merged cluster refers to the cluster that it
    # was merged into.
    of_person = face_clusters.c.cluster_key.in_(keys)
    dropped += connection.scalars(delete(face_clusters).where(of_person).returning(face_clusters.c.cluster_key))
    _forget_names(connection, names, set(pictures))
    unnamed = _drop_given(connection, pictures)
    return Forgotten(tuple(face_ids), tuple(dropped), unnamed)


@changes_people
def forget_face(connection: Connection, face_id: str) -> Forgotten:
    """Forget one face. Its cluster stays if it has a name or other faces.

    Raises `UnknownFaceError` if the lab has no such face.
    """
    pictures = _note(connection, [face_id])
    if not pictures:
        raise UnknownFaceError(f"the lab has no face {face_id[:_SHOWN]!r}; use the id of a stored face")
    dropped = delete_faces(connection, [face_id])
    return Forgotten((face_id,), tuple(dropped), _drop_given(connection, pictures))


@changes_people
def forget_picture(connection: Connection, sha256: str) -> Forgotten:
    """Forget all faces of a picture, and never search the picture for faces again.

    If a person gave the lab this picture to search for faces, the picture is deleted from `people_pictures`.

    The picture stays in the store if a video shows it. Forgetting the picture again changes nothing. Raises
    `UnknownFaceError` if the lab has no such picture.
    """
    faces_of_known_picture(connection, sha256)
    box = dict(zip(("x0", "y0", "x1", "y1"), WHOLE, strict=True))
    connection.execute(_NOTE_PICTURE, {"sha256": sha256, **box})
    before = set(connection.scalars(select(face_clusters.c.cluster_key)))
    face_ids = delete_face_pictures(connection, [sha256])
    connection.execute(delete(people_pictures).where(people_pictures.c.sha256 == sha256))
    dropped = before - set(connection.scalars(select(face_clusters.c.cluster_key)))
    unnamed = () if sha256 in named_pictures(connection) else (sha256,)
    return Forgotten(tuple(face_ids), tuple(sorted(dropped)), unnamed)


def faces_of_known_picture(connection: Connection, sha256: str) -> int:
    """Return how many faces a picture has. Raises `UnknownFaceError` if the lab has no such picture."""
    known = select(face_pictures.c.sha256).where(face_pictures.c.sha256 == sha256)
    if connection.scalar(known) is None and sha256 not in named_pictures(connection):
        raise UnknownFaceError(f"the lab has no picture {sha256[:_SHOWN]!r}; give the SHA-256 of a stored picture")
    return int(connection.scalar(select(func.count()).where(faces.c.sha256 == sha256)) or 0)


def _note(connection: Connection, face_ids: Sequence[str]) -> list[str]:
    """Store the places of the faces, so that a later search of their pictures leaves them out. Return the pictures."""
    connection.execute(_NOTE_FACES, {"face_ids": list(face_ids)})
    return list(
        connection.scalars(select(faces.c.sha256).where(faces.c.face_id == func.any(list(face_ids))).distinct())
    )


def _names_to_wipe(connection: Connection, name: str | None, keys: Collection[str]) -> set[str]:
    """Return the present and the earlier names of a person, in the form in which names are compared.

    `name`: the present name. `keys`: the clusters of the person. An earlier name is left out if another cluster has or
    had this name. Such a name belongs to somebody else, and the person had it only by mistake.
    """
    # The `name_before` of a merge is a name of the merged cluster. The `name_before` of any other change is a name of
    # the changed cluster.
    holder = case((face_changes.c.kind == MERGE, face_changes.c.other_key), else_=face_changes.c.cluster_key)
    named = union_all(
        select(face_clusters.c.cluster_key.label("holder"), face_clusters.c.name.label("name")),
        select(holder, face_changes.c.name_before),
    ).subquery()
    own: set[str] = set()
    others: set[str] = set()
    for row in connection.execute(select(named).where(named.c.name.is_not(None))):
        (own if row.holder in keys else others).add(name_key(row.name))
    return (own - others) | ({name_key(name)} if name is not None else set())


def _forget_names(connection: Connection, names: set[str], pictures: Collection[str]) -> None:
    """Remove people's names from the log of changes, and from the file names of the pictures that a person gave.

    Each of `pictures` gets a new file name, even if the old file name contains none of the names. It may contain the
    person's name in another form.
    """
    logged = connection.scalars(select(face_changes.c.name_before).where(face_changes.c.name_before.is_not(None)))
    gone = [name for name in set(logged) if name_key(name) in names]
    if gone:
        with_name = face_changes.c.name_before.in_(gone)
        connection.execute(update(face_changes).where(with_name).values(name_before=None))
    words = [_words(name) for name in names]
    for row in connection.execute(select(people_pictures.c.sha256, people_pictures.c.name)).all():
        in_file = _words(row.name.rpartition(".")[0] or row.name)
        if row.sha256 in pictures or any(_holds(in_file, each) for each in words):
            of_picture = people_pictures.c.sha256 == row.sha256
            connection.execute(update(people_pictures).where(of_picture).values(name=row.sha256[:12]))


def _words(name: str) -> list[str]:
    """Return the words of a name or of the path of a file. A word consists of letters and digits."""
    return re.findall(r"[^\W_]+", name_key(name))


def _holds(words: Sequence[str], some: Sequence[str]) -> bool:
    """Return whether `words` contains the words `some`, one after the other or written as one word.

    A name without letters and digits, such as an emoji, has no words. For such a name, the result is False.
    """
    joined = "".join(some)
    return bool(some) and any(
        list(words[start : start + len(some)]) == list(some) or words[start] == joined for start in range(len(words))
    )


def _drop_given(connection: Connection, pictures: Sequence[str]) -> tuple[str, ...]:
    """Remove the `pictures` without faces from the list of given pictures.

    Return the pictures to which no row refers any more.
    """
    some = people_pictures.c.sha256 == func.any(list(pictures))
    with_faces = select(faces.c.sha256)
    connection.execute(delete(people_pictures).where(some, people_pictures.c.sha256.not_in(with_faces)))
    delete_unshown(connection, pictures)
    return tuple(sorted(set(pictures) - named_pictures(connection)))
