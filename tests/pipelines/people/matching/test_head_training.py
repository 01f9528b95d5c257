"""Test that a matching head is served only if it improves the recognition of people outside its training data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_labels import EMBEDDER, labelled, planted, planted_vectors, unit

from thumblab_core.arrays import Float64s
from thumblab_core.errors import LabError
from thumblab_pipelines.people.matching import cross_fitting, fitting
from thumblab_pipelines.people.matching.cross_fitting import cross_fit, judge
from thumblab_pipelines.people.matching.fitting import HeadConfig, fit_head
from thumblab_pipelines.people.matching.labelled_faces import CodedFaces, LabelledFaces
from thumblab_pipelines.people.matching.training import MOST_LOSS, decide, train_head
from thumblab_pipelines.people.matching.verification import verify


def shuffled(faces: LabelledFaces, seed: int = 0) -> LabelledFaces:
    order = np.random.default_rng(seed).permutation(len(faces.people))
    return replace(faces, people=[faces.people[row] for row in order])


def test_a_head_learns_to_ignore_the_light_on_unseen_people() -> None:
    trained = train_head(planted(), EMBEDDER)
    print(*trained.verification.lines(), f"{trained.seconds:.1f} s", sep="\n")
    assert trained.verification.tar.difference.low > 0.3
    assert trained.verification.eer.difference.high < -0.1
    assert trained.decision.promote
    vectors, person = planted_vectors(people=20, each=10, seed=2)  # None of these people is in the training data.
    others = judge(labelled(vectors, person).coded(), trained.head.matrix, np.random.default_rng(0))
    assert verify(others, seed=1).tar.difference.low > 0.3


def test_the_same_faces_in_any_order_give_the_same_head() -> None:
    faces = planted(people=6, each=10)
    order = np.random.default_rng(3).permutation(len(faces.faces))
    mixed = LabelledFaces(
        faces.vectors[order], *([keys[row] for row in order] for keys in (faces.faces, faces.people, faces.pictures))
    )
    config, told = HeadConfig(epochs=4), list[tuple[str, int, int]]()
    one = train_head(faces, EMBEDDER, config, lambda *step: told.append(step))
    two = train_head(mixed, EMBEDDER, config)
    assert [step[1:] for step in told] == [(epoch, 44) for epoch in range(44)], (
        "ten heads are judged, and one is served"
    )
    assert one.fitted.best_epoch > 0
    assert one.head.fingerprint == two.head.fingerprint
    assert one.verification == two.verification
    other = train_head(faces, EMBEDDER, HeadConfig(epochs=4, seed=8))
    assert other.head.fingerprint != one.head.fingerprint


def test_the_training_of_a_head_stops_by_held_out_people(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = planted(people=8, each=10).coded()
    learnt: set[bytes] = set()
    loss = fitting.triplet_loss

    def spied(matrix: Float64s, vectors: Float64s, *rest: object) -> object:
        learnt.update(vector.tobytes() for vector in vectors)
        return loss(matrix, vectors, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(fitting, "triplet_loss", spied)
    fit_head(faces, HeadConfig(), seed=1)
    seen = [vector.tobytes() in learnt for vector in faces.vectors]
    by_person = [{seen[row] for row in np.nonzero(faces.people == person)[0]} for person in range(8)]
    assert sorted(map(sorted, by_person)) == [[False], [False], *[[True]] * 6]


def test_each_pair_of_people_is_judged_by_heads_that_have_seen_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = planted(people=7, each=10).coded()
    training: list[set[int]] = []
    fit = cross_fitting.fit_head

    def spied(part: CodedFaces, *rest: object) -> object:
        training.append(set(part.people.tolist()))
        return fit(part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cross_fitting, "fit_head", spied)
    judged: list[set[int]] = []
    judge_ = cross_fitting.judge

    def spied_judge(part: CodedFaces, *rest: object) -> object:
        judged.append(set(part.people.tolist()))
        return judge_(part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cross_fitting, "judge", spied_judge)
    pairs = cross_fit(faces, HeadConfig(epochs=1))
    assert len(training) == len(judged) == 10
    assert all(
        not seen & unseen and seen | unseen == set(range(7)) for seen, unseen in zip(training, judged, strict=True)
    )
    total = np.zeros((7, 7))
    np.add.at(total, (pairs.first, pairs.second), pairs.weight)
    total = np.triu(total + np.tril(total, -1).T)
    assert total == pytest.approx(np.triu(np.full((7, 7), 100.0), 1) + np.eye(7) * 45)


def test_shuffled_labels_give_a_head_that_is_refused() -> None:
    decision = train_head(shuffled(planted(lighting=0.3)), EMBEDDER).decision
    assert not decision.promote


def test_a_head_that_learnt_from_wrong_labels_is_refused_on_right_ones() -> None:
    """Fit a head to wrong labels, which depend on the light and not on the person. Then test the head with right
    labels.
    """
    vectors = planted_vectors(people=12, each=20, lighting=0.5)[0]
    light = unit(np.random.default_rng(99).normal(size=(1, 64)))[0]
    by_light = np.argsort(np.argsort(vectors @ light)) // 20
    wrong = fit_head(labelled(vectors, by_light.tolist()).coded(), HeadConfig(), seed=1)
    assert wrong.best_epoch > 0
    unseen = labelled(*planted_vectors(people=12, each=12, lighting=0.5, seed=2)).coded()
    verification = verify(judge(unseen, wrong.matrix, np.random.default_rng(0)), seed=1)
    decision = decide(verification, wrong.best_epoch)
    assert not decision.promote
    assert "gets worse" in decision.reason


def test_a_head_that_may_be_worse_is_refused_although_it_looks_no_worse() -> None:
    verification = verify(cross_fit(planted().coded(), HeadConfig()), seed=1)
    tar = verification.tar
    assert decide(verification, 1).promote

    def decided(value: float, low: float) -> bool:
        difference = replace(tar.difference, value=value, low=low)
        return decide(replace(verification, tar=replace(tar, difference=difference)), 1).promote

    assert decided(0.0, -MOST_LOSS)
    assert not decided(0.02, -MOST_LOSS - 0.001)
    assert not decided(-0.001, -0.002)
    assert not decide(verification, best_epoch=0).promote


def test_vectors_that_training_cannot_improve_keep_the_identity() -> None:
    trained = train_head(planted(lighting=0.0), EMBEDDER)
    assert trained.verification.tar.difference.low >= -MOST_LOSS
    assert trained.fitted.best_epoch == 0
    assert np.array_equal(trained.head.matrix, np.eye(64))
    assert trained.decision.reason.startswith("Nothing is wrong")
    assert "so this head is not used" in trained.decision.reason


@pytest.mark.parametrize(
    ("people", "each", "said"),
    [(4, 12, "there are 4. Label"), (6, 9, "there are 0; the largest of 6 others have 9, 9, 9, 9, 9. Label")],
)
def test_too_few_labels_are_refused_with_the_missing_number(people: int, each: int, said: str) -> None:
    with pytest.raises(LabError, match="5 people with at least 10 labelled faces each") as refused:
        train_head(planted(people, each), EMBEDDER)
    assert said in str(refused.value)


def test_people_with_few_faces_are_left_out() -> None:
    faces = planted(people=6, each=12)
    few = LabelledFaces(faces.vectors[3:], faces.faces[3:], faces.people[3:], faces.pictures[3:])
    assert set(few.with_enough(10).people) == set(faces.people[12:])
    assert set(few.with_enough(9).people) == set(faces.people)


def test_wrong_arrays_and_settings_are_refused() -> None:
    faces = planted(people=5, each=10)
    broken = faces.vectors.copy()
    broken[3], broken[7, 0] = 0.0, np.nan
    with pytest.raises(LabError, match="the vectors of 2 faces are zero or not finite"):
        replace(faces, vectors=broken)
    with pytest.raises(LabError, match=r"shape \[49, 64\], for 50 faces"):
        replace(faces, vectors=faces.vectors[1:])
    with pytest.raises(LabError, match=r"shape \[50\]"):
        replace(faces, vectors=faces.vectors[:, 0])
    with pytest.raises(LabError, match="a face is given twice"):
        replace(faces, faces=[*faces.faces[:-1], faces.faces[0]])
    with pytest.raises(LabError, match="not the fingerprint"):
        train_head(faces, "../elsewhere")
    for wrong in ({"epochs": 0}, {"margin": 0.0}, {"margin": float("nan")}, {"min_faces": 2}, {"penalty": 2.0}):
        with pytest.raises(LabError, match=f"{next(iter(wrong))} is"):
            HeadConfig(**wrong)  # type: ignore[arg-type]


def test_one_picture_for_all_faces_leaves_nothing_to_judge() -> None:
    vectors, person = planted_vectors(people=5, each=10)
    with pytest.raises(LabError, match="label more people in more pictures"):
        train_head(labelled(vectors, person, pictures=["one"] * 50), EMBEDDER)


@pytest.fixture(scope="module")
def real_faces(shared_data: Path) -> CodedFaces:
    """The vectors that the network mobilefacenet computes for 240 faces: 20 faces of each of 12 people."""
    import cv2
    import openvino

    folder, network = shared_data / "faces" / "people", shared_data.parent / "models" / "mobilefacenet.onnx"
    if not folder.is_dir() or not network.is_file():
        pytest.skip("there are no real faces")
    embed = openvino.Core().compile_model(network, "CPU", {"INFERENCE_NUM_THREADS": 1})
    paths = sorted(folder.glob("person_*/*.png"))
    crops = (cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths)
    inputs = (((crop.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None] for crop in crops)
    vectors = unit(np.array([embed(one)[0].ravel() for one in inputs], np.float64))
    names = sorted({path.parent.name for path in paths})
    assert (len(paths), len(names)) == (240, 12)
    return labelled(vectors, [names.index(path.parent.name) for path in paths]).coded()


@pytest.mark.slow
def test_training_on_six_real_people_does_not_lower_verification_of_the_six_others(real_faces: CodedFaces) -> None:
    for seed in range(3):
        people = np.random.default_rng(seed).permutation(12)
        fitted = fit_head(real_faces.of(people[:6]), HeadConfig(), seed)
        pairs = judge(real_faces.of(people[6:]), fitted.matrix, np.random.default_rng(0))
        verification = verify(pairs, seed=1)
        print(f"best epoch {fitted.best_epoch}", *verification.lines(), sep="\n")
        assert verification.tar.difference.low >= -MOST_LOSS
        assert verification.auc.after.value > 0.95


def test_training_on_six_real_people_in_strange_light_helps_the_six_others(real_faces: CodedFaces) -> None:
    rng = np.random.default_rng(5)
    light = unit(rng.normal(size=(1, 128)))
    lit = replace(real_faces, vectors=unit(real_faces.vectors + 1.5 * rng.normal(size=(240, 1)) * light))
    fitted = fit_head(lit.of(np.arange(0, 12, 2)), HeadConfig(), seed=1)
    pairs = judge(lit.of(np.arange(1, 12, 2)), fitted.matrix, np.random.default_rng(0))
    verification = verify(pairs, seed=1)
    print(*verification.lines(), sep="\n")
    assert verification.tar.difference.low > 0
