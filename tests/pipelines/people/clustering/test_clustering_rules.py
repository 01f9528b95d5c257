"""Tests of the rules that every clustering obeys, whatever the faces are, and whatever changes a person has made."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_faces import CALIBRATION, messy_faces, partition
from hypothesis import given, settings
from hypothesis import strategies as st

from thumblab_pipelines.people.clustering.assign import assign_faces
from thumblab_pipelines.people.clustering.cluster import cluster_faces
from thumblab_pipelines.people.clustering.faces import (
    NONE,
    Clustering,
    ClusterSettings,
    Faces,
    FacesError,
    How,
    UnknownMethod,
)

SEEDS = st.integers(0, 1_000_000)
COUNTS = st.integers(1, 60)
METHODS = st.sampled_from(["hdbscan", "dbscan", "agglomerative"])
THRESHOLDS = st.sampled_from([0.3, 0.5, 0.7])


def check_constraints(faces: Faces, found: Clustering) -> None:
    """Check that no face is lost, and that no cluster has two faces of one picture. Check that pins and bans are
    obeyed.

    A pin keeps a face in a cluster, and a ban keeps a face out of a cluster.
    """
    assert len(found.clusters) == len(found.similarity) == len(found.how) == len(faces.vectors)
    pinned = faces.pinned >= 0
    assert np.array_equal(found.clusters[pinned], faces.pinned[pinned])
    assert np.all(found.clusters[faces.banned[:, 0]] != faces.banned[:, 1])
    inside = np.flatnonzero(found.clusters >= 0)
    places = np.column_stack([faces.pictures, found.clusters])[inside]
    assert len(np.unique(places, axis=0)) == len(places)
    assert np.array_equal(found.how == How.PINNED, pinned)
    assert np.array_equal(found.how == How.NONE, found.clusters == NONE)
    assert np.all((found.similarity >= -1 - 1e-6) & (found.similarity <= 1 + 1e-6))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(SEEDS, COUNTS, METHODS, THRESHOLDS)
def test_a_clustering_keeps_the_changes_of_people_and_a_second_one_changes_nothing(
    seed: int, count: int, method: UnknownMethod, threshold: float
) -> None:
    faces, chosen = messy_faces(seed, count), ClusterSettings(threshold, method)
    found = cluster_faces(faces, CALIBRATION, chosen)
    check_constraints(faces, found)
    labelled = np.union1d(faces.named, faces.pinned)
    good = found.how == How.GROUPED
    for code in set(found.clusters[good].tolist()) - set(faces.banned[:, 1].tolist()):
        assert code not in labelled
        members = found.clusters == code
        assert (faces.quality[members] >= chosen.founding_quality).sum() >= chosen.minimum_cluster_size
    assert np.all(np.isin(found.clusters[found.how == How.MATCHED], labelled))
    again = cluster_faces(replace(faces, previous=found.clusters), CALIBRATION, chosen)
    assert np.array_equal(again.clusters, found.clusters)
    assert np.array_equal(again.how, found.how)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(SEEDS, COUNTS, METHODS)
def test_the_order_of_the_faces_does_not_matter(seed: int, count: int, method: UnknownMethod) -> None:
    faces, chosen = messy_faces(seed, count), ClusterSettings(0.5, method)
    found = cluster_faces(faces, CALIBRATION, chosen)
    order = np.random.default_rng(seed).permutation(count)
    shuffled = faces.taken(order)
    shuffled = replace(shuffled, banned=np.random.default_rng(seed + 1).permutation(shuffled.banned))
    other = cluster_faces(shuffled, CALIBRATION, chosen)
    assert np.array_equal(other.clusters, found.clusters[order])
    assert np.array_equal(other.similarity, found.similarity[order])


@settings(max_examples=30, deadline=None)
@given(SEEDS, COUNTS, st.floats(0.0, 1.0))
def test_new_faces_never_change_the_cluster_of_an_old_one(seed: int, count: int, share: float) -> None:
    faces, random = messy_faces(seed, count), np.random.default_rng(seed)
    new = random.random(count) < share
    # The old clusters are made by `cluster_faces`, so the old clusters obey the rules.
    old = cluster_faces(faces, CALIBRATION, ClusterSettings(0.5))
    faces = replace(faces, previous=np.where(new, NONE, old.clusters))
    found = assign_faces(faces, new, CALIBRATION, ClusterSettings(0.3))
    check_constraints(faces, found)
    assert np.array_equal(found.clusters[~new], old.clusters[~new])
    known = {*faces.named.tolist(), *old.clusters[~new].tolist(), *faces.pinned.tolist(), NONE}
    assert set(found.clusters[new].tolist()) <= known


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(20, 60), st.lists(st.sampled_from(["pin", "ban", "name", "out", "cluster"]), max_size=10))
def test_any_sequence_of_corrections_and_clusterings_keeps_all_of_them(seed: int, count: int, steps: list[str]) -> None:
    faces, random = messy_faces(seed, count, said=False), np.random.default_rng(seed)
    for step in [*steps, "cluster"]:
        face, before = int(random.integers(count)), faces.before
        code = int(random.integers(0, 1 + max(before.max(), faces.pinned.max(), 0)))
        if step == "cluster":
            found = cluster_faces(faces, CALIBRATION, ClusterSettings(0.5))
            check_constraints(faces, found)
            faces = replace(faces, previous=found.clusters)
        elif step == "name":
            faces = replace(faces, named=np.union1d(faces.named, [code]).astype(np.intp))
        elif step == "pin":
            pinned = faces.pinned.copy()
            pinned[(faces.pictures == faces.pictures[face]) & (pinned == code)] = NONE
            pinned[face] = code
            kept = faces.banned[(faces.banned[:, 0] != face) | (faces.banned[:, 1] != code)]
            faces = replace(faces, pinned=pinned, banned=kept)
        elif before[face] >= 0 and faces.pinned[face] != before[face]:
            faces = replace(faces, banned=np.vstack([faces.banned, [face, before[face]]]))


def test_contradicting_inputs_of_a_clustering_are_refused() -> None:
    faces = replace(messy_faces(0, 10, said=False), pictures=np.zeros(10, np.intp))
    pinned = np.full(10, NONE)
    pinned[[2, 5]] = 3
    with pytest.raises(FacesError, match="Two faces of picture 0 are pinned to cluster 3"):
        replace(faces, pinned=pinned)
    pinned[5] = 4
    with pytest.raises(FacesError, match="Face 2 is pinned to cluster 3 and banned from it"):
        replace(faces, pinned=pinned, banned=np.array([[2, 3]]))
    with pytest.raises(FacesError, match="not unit vectors"):
        replace(faces, vectors=2 * faces.vectors)
    with pytest.raises(FacesError, match="quality has the shape"):
        replace(faces, quality=np.ones(9))
    with pytest.raises(FacesError, match="two numbers: the row of a face, and the code of a cluster"):
        replace(faces, banned=np.array([[10, 0]]))


@pytest.mark.parametrize(
    "wrong", [{"person_match_threshold": 0.1}, {"minimum_cluster_size": 1}, {"unknown_method": "kmeans"}]
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(FacesError, match="use "):
        ClusterSettings(**wrong)  # type: ignore[arg-type]


def test_no_faces_are_no_clusters() -> None:
    empty = messy_faces(0, 1, said=False).taken(np.arange(1))
    none = Faces(empty.vectors[:0], empty.pictures[:0], empty.quality[:0], empty.pinned[:0])
    assert len(cluster_faces(none, CALIBRATION).clusters) == 0
    assert len(assign_faces(none, np.zeros(0, np.bool_), CALIBRATION).clusters) == 0


def test_the_partition_ignores_the_codes_of_clusters() -> None:
    faces = messy_faces(4, 60, said=False)
    first = cluster_faces(faces, CALIBRATION, ClusterSettings(0.5))
    before = np.where(first.clusters >= 0, 90 - first.clusters, NONE)
    second = cluster_faces(replace(faces, previous=before), CALIBRATION, ClusterSettings(0.5))
    assert partition(first.clusters) == partition(second.clusters) != set()
    assert np.array_equal(second.clusters, before)


def test_a_clustering_tells_how_far_it_is() -> None:
    told: list[tuple[str, int, int]] = []
    cluster_faces(messy_faces(1, 60), CALIBRATION, ClusterSettings(0.5), progress=lambda *step: told.append(step))
    assert list(dict.fromkeys(what for what, _, _ in told)) == [
        "comparing faces",
        "grouping unknown faces",
        "improving clusters",
    ]
    assert all(0 <= done <= total for _, done, total in told)
    compared = [(done, total) for what, done, total in told if what == "comparing faces"]
    assert compared[0][0] == 0
    assert compared[-1][0] == compared[-1][1]
