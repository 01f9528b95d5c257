"""Test the releases of matching heads: what a release contains, which head is served, and how a person is forgotten."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_labels import EMBEDDER, planted

from thumblab_core.errors import LabError
from thumblab_core.faces.head import (
    FaceHead,
    heads_that_learnt_from,
    learnt_from,
    remove_heads_of,
    served_head,
)
from thumblab_core.releases.release import FACE_HEAD, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.people.matching import verification
from thumblab_pipelines.people.matching.fitting import HeadConfig
from thumblab_pipelines.people.matching.labelled_faces import LabelledFaces
from thumblab_pipelines.people.matching.publishing import train_and_publish

CONFIG = HeadConfig(epochs=3)


@pytest.fixture(autouse=True)
def short_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bootstrap make few draws. The intervals are less exact, but these tests check only which head is served."""
    monkeypatch.setattr(verification, "_DRAWS", 100)


def of_people(faces: LabelledFaces, people: list[str]) -> LabelledFaces:
    rows = [row for row, person in enumerate(faces.people) if person in people]
    parts = ([keys[row] for row in rows] for keys in (faces.faces, faces.people, faces.pictures))
    return LabelledFaces(faces.vectors[rows], *parts)


def without(faces: LabelledFaces, person: str) -> LabelledFaces:
    return of_people(faces, sorted(set(faces.people) - {person}))


def current(heads: ReleaseStore) -> str | None:
    return heads.serving.current_id(FACE_HEAD, EMBEDDER)


def test_a_published_head_is_served_and_read_back(heads: ReleaseStore) -> None:
    assert served_head(heads, EMBEDDER) is None
    published = train_and_publish(heads, planted(), EMBEDDER, CONFIG)
    assert published.served
    assert published.trained is not None
    head = served_head(heads, EMBEDDER)
    assert head is not None
    assert head.fingerprint == published.release.info["head"] == published.trained.head.fingerprint
    assert head.fingerprint.startswith(EMBEDDER)
    vectors = planted(seed=2).vectors
    mapped = head.apply(vectors)
    assert mapped.dtype == np.float32
    assert np.linalg.norm(mapped, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(mapped, published.trained.head.apply(vectors))
    assert not np.allclose(mapped, vectors, atol=0.1)


def test_a_second_run_with_nothing_new_trains_nothing(heads: ReleaseStore) -> None:
    faces = planted()
    first = train_and_publish(heads, faces, EMBEDDER, CONFIG)
    again = train_and_publish(heads, faces, EMBEDDER, CONFIG)
    assert again.trained is None
    assert again.served
    assert again.release == first.release
    one_label = replace(faces, people=[faces.people[-1], *faces.people[1:]])
    assert train_and_publish(heads, one_label, EMBEDDER, CONFIG).trained is not None


def test_a_run_that_died_before_it_promoted_is_completed_by_the_next(heads: ReleaseStore) -> None:
    first = train_and_publish(heads, planted(), EMBEDDER, CONFIG)
    folder = heads.root / FACE_HEAD / EMBEDDER
    (folder / "CURRENT").unlink()
    (folder / "SERVED").unlink()
    again = train_and_publish(heads, planted(), EMBEDDER, CONFIG)
    assert again.trained is None
    assert current(heads) == first.release.release_id


def test_a_head_that_may_not_be_served_leaves_the_old_one_served(heads: ReleaseStore) -> None:
    first = train_and_publish(heads, planted(), EMBEDDER, CONFIG)
    faces = planted(seed=3, lighting=0.3)
    order = np.random.default_rng(0).permutation(len(faces.people))
    shuffled = replace(faces, people=[faces.people[row] for row in order])
    second = train_and_publish(heads, shuffled, EMBEDDER, CONFIG)
    assert not second.served
    assert second.release.info["promotion"] == {"promote": False, "reason": second.reason}
    assert current(heads) == first.release.release_id


def test_a_head_that_a_person_holds_stays_served(heads: ReleaseStore) -> None:
    first = train_and_publish(heads, planted(), EMBEDDER, CONFIG)
    heads.serving.hold(first.release, "it knows my friends")
    second = train_and_publish(heads, planted(seed=4), EMBEDDER, CONFIG)
    assert not second.served
    assert "it knows my friends" in second.reason
    assert current(heads) == first.release.release_id


def test_no_file_of_a_release_holds_a_key_of_a_person_or_of_a_face(heads: ReleaseStore) -> None:
    faces = planted()
    release = train_and_publish(heads, faces, EMBEDDER, CONFIG).release
    content = b"".join(path.read_bytes() for path in (heads.root / FACE_HEAD).rglob("*") if path.is_file())
    assert release.info["head"].encode() in content  # The files in `content` include the manifest.
    for key in {*faces.people, *faces.faces, *faces.pictures}:
        assert key.encode() not in content
    assert json.loads((release.path / "manifest.json").read_text())["info"]["people"] == 8
    # Two releases have different digests of the same key. The digests in one release therefore do not reveal a person
    # in another release.
    other = train_and_publish(heads, planted(seed=4), EMBEDDER, CONFIG).release
    rows = [{row.tobytes() for row in np.load(r.path / "trained_on.npy")} for r in (release, other)]
    assert len(rows[0]) == len(rows[1]) == 8 + 96
    assert not rows[0] & rows[1]


def test_a_release_says_whether_it_learnt_from_a_face(heads: ReleaseStore) -> None:
    faces = planted()
    held_back = faces.people[0]
    release = train_and_publish(heads, without(faces, held_back), EMBEDDER, CONFIG).release
    assert not learnt_from(release, people=[held_back], faces=faces.faces[:12])
    for person in set(faces.people) - {held_back}:
        assert heads_that_learnt_from(heads, people=[person]) == [release]
    assert heads_that_learnt_from(heads, faces=[faces.faces[-1]]) == [release]
    # This id belongs to a face, so it is not the id of a person.
    assert not heads_that_learnt_from(heads, people=[faces.faces[-1]])


def test_forgetting_a_person_serves_the_newest_head_that_did_not_learn_from_them(heads: ReleaseStore) -> None:
    faces = planted()
    forgotten = faces.people[0]
    clean, tainted, also = (
        train_and_publish(heads, part, EMBEDDER, CONFIG).release
        for part in (without(faces, forgotten), faces, without(faces, faces.people[-1]))
    )
    assert current(heads) == also.release_id
    removed = remove_heads_of(heads, people=[forgotten])
    assert set(removed.removed) == {tainted.release_id, also.release_id}
    assert removed.served == {EMBEDDER: clean.release_id}
    assert current(heads) == clean.release_id
    assert not tainted.path.exists()
    assert not also.path.exists()
    head = served_head(heads, EMBEDDER)
    assert head is not None
    assert head.fingerprint == clean.info["head"]
    assert remove_heads_of(heads, people=[forgotten]).removed == []


def test_no_head_is_served_after_forgetting_a_person_in_all_heads(heads: ReleaseStore) -> None:
    faces = planted()
    train_and_publish(heads, faces, EMBEDDER, CONFIG)
    removed = remove_heads_of(heads, faces=faces.faces[:1])
    assert removed.served == {EMBEDDER: None}
    assert heads.serving.withdrawn(FACE_HEAD, EMBEDDER)
    assert heads.all(FACE_HEAD, EMBEDDER) == []
    assert remove_heads_of(ReleaseStore(heads.root / "empty"), people=["anybody"]).removed == []


def test_a_damaged_head_is_removed_because_its_training_faces_are_unknown(heads: ReleaseStore) -> None:
    one, two, three = (train_and_publish(heads, planted(seed=seed), EMBEDDER, CONFIG).release for seed in (1, 2, 3))
    left_over = one.path.with_name(".staging-of-a-crash")
    left_over.mkdir()
    (left_over / "head.safetensors").write_bytes(b"weights")
    (three.path / "manifest.json").write_text("{")
    (two.path / "trained_on.npy").unlink()
    removed = remove_heads_of(heads, people=["nobody in the lab"])
    assert set(removed.removed) == {two.release_id, three.release_id}
    assert current(heads) == one.release_id
    assert not left_over.exists()


def test_a_person_who_is_forgotten_during_a_training_is_not_in_the_release(heads: ReleaseStore) -> None:
    def forgotten() -> None:
        raise LabError("a face was deleted; train again")

    with pytest.raises(LabError, match="train again"):
        train_and_publish(heads, planted(), EMBEDDER, CONFIG, confirm=forgotten)
    assert heads.all(FACE_HEAD, EMBEDDER) == []


def test_a_damaged_or_foreign_head_is_not_applied(heads: ReleaseStore, tmp_path: Path) -> None:
    release = train_and_publish(heads, planted(), EMBEDDER, CONFIG).release
    head = FaceHead.load(release)
    other = heads.publish(FACE_HEAD, "face-other", head.save, release.info)
    with pytest.raises(ReleaseError, match="not the head that its manifest describes"):
        FaceHead.load(other)
    changed = heads.publish(FACE_HEAD, EMBEDDER, FaceHead(EMBEDDER, head.matrix * 2).save, release.info)
    with pytest.raises(ReleaseError, match="not the head that its manifest describes"):
        FaceHead.load(changed)
    empty = heads.publish(FACE_HEAD, EMBEDDER, lambda folder: None, release.info)
    with pytest.raises(ReleaseError):
        FaceHead.load(empty)
    path = release.path / "head.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ReleaseError, match="does not match its checksum"):
        FaceHead.load(release)


def test_a_head_refuses_vectors_that_it_cannot_map() -> None:
    head = FaceHead(EMBEDDER, np.eye(4, dtype=np.float32)[:2])
    assert head.apply(np.array([[3.0, 4.0, 5.0, 6.0]])).tolist() == [pytest.approx([0.6, 0.8])]
    assert head.apply(np.zeros((0, 4))).shape == (0, 2)
    for wrong in (np.zeros((2, 3)), np.zeros(4)):
        with pytest.raises(LabError, match=r"face vectors \[n, 4\]"):
            head.apply(wrong)
    for wrong in ([[0.0, 0.0, 1.0, 0.0]], [[np.nan, 1.0, 0.0, 0.0]]):
        with pytest.raises(LabError, match="zero or not finite"):
            head.apply(np.array(wrong))
