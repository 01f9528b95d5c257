"""A matching head is a small trained matrix. It transforms face vectors so that the vectors of one person are closer
together.

    face_head/<embedder>/<release_id>/head.safetensors    the matrix
    face_head/<embedder>/<release_id>/trained_on.npy      salted digests of the people and faces of its training

A head belongs to one face embedder. The fingerprint of the embedder is the scope of the head's releases.
`remove_heads_of` deletes the heads that learnt from a forgotten person.
"""

import hashlib
import hmac
import io
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Floats
from thumblab_core.errors import LabError
from thumblab_core.releases.release import FACE_HEAD, Release, ReleaseError, UnreadError
from thumblab_core.releases.release_store import ReleaseStore

WEIGHTS, TRAINED_ON = "head.safetensors", "trained_on.npy"
_FINGERPRINT = re.compile("[A-Za-z0-9_-]{1,100}")
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class FaceHead:
    """A linear map of the face vectors of one embedder.

    `embedder`: the fingerprint of the embedder. `matrix`: float32 [d', d], for face vectors of length d and mapped
    vectors of length d'.
    """

    embedder: str
    matrix: Float32s

    @cached_property
    def fingerprint(self) -> str:
        """A name for the embedder together with this head. Two mapped vectors can be compared only if both were mapped
        by a head with this fingerprint.
        """
        shape = f"{self.embedder} {self.matrix.shape}".encode()
        return f"{self.embedder}-head-{hashlib.sha256(shape + self.matrix.tobytes()).hexdigest()[:12]}"

    def apply(self, vectors: Floats) -> Float32s:
        """Return the mapped vectors, float32 [n, d'], of length 1. `vectors` [n, d] are from the head's embedder.

        Raises `LabError` for vectors of another dimension, and for vectors whose length is zero after they are mapped.
        """
        given = np.asarray(vectors, np.float32)
        if given.ndim != 2 or given.shape[1] != self.matrix.shape[1]:
            raise LabError(
                f"the head maps face vectors [n, {self.matrix.shape[1]}], not {list(given.shape)}; embed the faces with "
                f"{self.embedder}"
            )
        mapped = given @ self.matrix.T
        lengths = np.linalg.norm(mapped, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths < 1e-9).any():
            raise LabError("a face vector is zero or not finite; embed this face again")
        return np.asarray(mapped / lengths, np.float32)

    def save(self, folder: Path) -> None:
        """Write the matrix into the folder of a release."""
        from safetensors.numpy import save_file

        save_file({"matrix": np.ascontiguousarray(self.matrix, np.float32)}, folder / WEIGHTS)

    @classmethod
    def load(cls, release: Release) -> Self:
        """Verify a release and read its head. Raises `ReleaseError` if the release is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        release.verify()
        try:
            head = cls(str(release.info["embedder"]), load(release.read(WEIGHTS))["matrix"])
        except (KeyError, SafetensorError) as error:
            raise ReleaseError(f"{release} contains no matching head ({error}); train the head again") from None
        valid = head.matrix.ndim == 2 and head.matrix.dtype == np.float32 and bool(np.isfinite(head.matrix).all())
        if not valid or head.fingerprint != release.info.get("head") or head.embedder != release.scope:
            raise ReleaseError(f"{release} is not the head that its manifest describes; train the head again")
        return head


def head_scope(embedder: str) -> str:
    """Return the scope of the heads of an embedder. The scope is the fingerprint of the embedder.

    Raises `LabError` if the fingerprint cannot be the name of a folder.
    """
    if not _FINGERPRINT.fullmatch(embedder):
        raise LabError(f"{embedder[:80]!r} is not the fingerprint of a face embedder; use letters, digits, - and _")
    return embedder


def served_head(store: ReleaseStore, embedder: str) -> FaceHead | None:
    """Return the served head of an embedder, or None if none is served. Raises `ReleaseError` if the head is damaged."""
    release = store.serving.current(FACE_HEAD, head_scope(embedder))
    return None if release is None else FaceHead.load(release)


def save_trained_on(folder: Path, salt: str, people: Collection[str], faces: Collection[str]) -> None:
    """Write salted digests of cluster keys and face ids into the folder of a release. `salt`: hex digits."""
    digests = sorted(_digests(salt, people, faces))
    rows = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_BYTES)
    np.save(folder / TRAINED_ON, rows, allow_pickle=False)


def learnt_from(release: Release, people: Collection[str] = (), faces: Collection[str] = ()) -> bool:
    """Return whether a head learnt from any of these people (cluster keys) or faces (face ids).

    The result is True for a damaged release, because the record of what it learnt from cannot be read. Raises
    `UnreadError` if a file cannot be read now.
    """
    known = _trained_on(release)
    return known is None or not known.isdisjoint(_digests(str(release.info["salt"]), people, faces))


def _trained_on(release: Release) -> set[bytes] | None:
    """Return the digests of the people and faces that a head learnt from, or None if the release is damaged."""
    try:
        release.verify()
        rows: npt.NDArray[np.uint8] = np.load(io.BytesIO(release.read(TRAINED_ON)), allow_pickle=False)
        bytes.fromhex(str(release.info["salt"]))
        return {row.tobytes() for row in rows}
    except UnreadError:
        raise
    except (ReleaseError, KeyError, ValueError, TypeError):
        return None


def heads_that_learnt_from(
    store: ReleaseStore, people: Collection[str] = (), faces: Collection[str] = ()
) -> list[Release]:
    """Return all heads that learnt from any of these people or faces. The heads of every embedder are searched."""
    return [r for scope in _scopes(store) for r in store.all(FACE_HEAD, scope) if learnt_from(r, people, faces)]


@dataclass(frozen=True)
class RemovedHeads:
    """The result of `remove_heads_of`.

    `removed`: ids of the deleted releases. `served`: for each embedder whose served head was deleted, the id of the
    head that is served now, or None if no head is served.
    """

    removed: list[str]
    served: dict[str, str | None]


def remove_heads_of(store: ReleaseStore, people: Collection[str] = (), faces: Collection[str] = ()) -> RemovedHeads:
    """Delete every head that learnt from any of these people (cluster keys) or faces (face ids).

    If a deleted head was served, an older head is served instead: the newest head that was promoted and is not deleted.
    Without such an older head, no head is served. Releases whose manifest is damaged are deleted too, because they may
    have learnt from these people or faces.

    Delete the faces from the database before this call. Then a training that is still running detects the deletion when
    it publishes its head. If the process crashes during this call, call this function again.
    """
    return _remove_heads(store, lambda release: learnt_from(release, people, faces))


def _remove_heads(store: ReleaseStore, must_go: Callable[[Release], bool]) -> RemovedHeads:
    removed: list[str] = []
    served: dict[str, str | None] = {}
    for scope in _scopes(store):
        with store.serving.changing(FACE_HEAD, scope):
            before = store.serving.current_id(FACE_HEAD, scope)
            older = store.serving.served_before(FACE_HEAD, scope)
            removed += store.discard_unreadable(FACE_HEAD, scope)
            releases = store.all(FACE_HEAD, scope)
            used = [release for release in releases if must_go(release)]
            gone = {*removed, *(release.release_id for release in used)}
            if before in gone:
                served[scope] = _serve_newest(store, scope, [r for r in older if r.release_id not in gone])
            for release in used:
                store.remove(release)
                removed.append(release.release_id)
            # This call deletes no complete release. It deletes the incomplete releases that a crash left, because these
            # releases may also have learnt from the deleted people or faces.
            store.prune(FACE_HEAD, scope, keep=len(releases) + 1)
    return RemovedHeads(removed, served)


def remove_heads_of_deleted(store: ReleaseStore, present_faces: Collection[str]) -> RemovedHeads:
    """Delete every head that learnt from a face that is no longer stored. `present_faces`: the ids of all stored faces.

    Faces are deleted when their video expires or is deleted. Damaged heads are deleted too. If the served head is
    deleted, an older head is served instead, see `remove_heads_of`.
    """

    def has_deleted(release: Release) -> bool:
        known, faces = _trained_on(release), release.info.get("faces")
        if known is None or not isinstance(faces, int):
            return True
        return len(known & _digests(str(release.info["salt"]), (), present_faces)) < faces

    return _remove_heads(store, has_deleted)


def _serve_newest(store: ReleaseStore, scope: str, releases: list[Release]) -> str | None:
    """Serve the last of the verified `releases`, and return its id. If there are no releases, serve no head and return
    None.
    """
    if not releases:
        store.serving.withdraw(FACE_HEAD, scope)
        return None
    store.serving.promote(releases[-1])
    return releases[-1].release_id


def _scopes(store: ReleaseStore) -> list[str]:
    return [scope for _, scope in store.scopes(FACE_HEAD)]


def _digests(salt: str, people: Collection[str], faces: Collection[str]) -> set[bytes]:
    key = bytes.fromhex(salt)
    named = [*(f"person:{person}" for person in people), *(f"face:{face}" for face in faces)]
    return {hmac.digest(key, name.encode(), "sha256")[:_DIGEST_BYTES] for name in named}
