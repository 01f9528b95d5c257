"""Group the embedded faces: match faces to named people, and group the remaining faces into unknown clusters."""

import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from thumblab_core.arrays import Float32s, Rows
from thumblab_core.people.clustering import NONE, FacesToCluster, faces_for_clustering, store_clustering
from thumblab_core.people.learned import delete_other_spaces, faces_wait, save_calibration, save_centroids
from thumblab_core.people.pictures import scope_of
from thumblab_core.recognition.match_scores import Calibration
from thumblab_core.recognition.space import FaceSpace, face_space
from thumblab_core.settings import Settings
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.clustering import assign as clustering_assign
from thumblab_pipelines.people.clustering.calibration import calibrate
from thumblab_pipelines.people.clustering.centroids import centroids_of
from thumblab_pipelines.people.clustering.cluster import cluster_faces
from thumblab_pipelines.people.clustering.faces import ClusterSettings, Faces
from thumblab_pipelines.people.clustering.histogram import Histogram, histogram
from thumblab_pipelines.people.clustering.thresholds import Thresholds
from thumblab_pipelines.progress import Progress, silent

_NO_FACES_DIMENSION = 128
"""In a lab without faces, the calibration assumes that face vectors have this dimension."""


@dataclass(frozen=True)
class Grouped:
    """The result of a grouping.

    Attributes:
        space: the fingerprint of the embedder, followed by the fingerprint of the served head if a head is served.
        faces: number of faces that have a vector.
        left_for_later: number of faces without a cluster that were left out, because the caller set a limit.
        people, unknown_clusters: number of clusters with a name, and without a name. Clusters without faces are not
            counted.
        in_people, in_unknown, in_none: number of faces in named clusters, in unknown clusters, and in no cluster.
        moved: number of faces that changed or left their cluster.
        new, dropped: number of unknown clusters that were made, and that were deleted.
        overruled: number of faces that a person moved while the grouping ran. These faces stay where the person put
            them.
        calibration: the distribution of the similarities of different people for this embedder.
        distances: a histogram of the similarities of pairs of faces. It also has the threshold.
        seconds: how long the grouping took.
    """

    space: str
    faces: int
    left_for_later: int
    people: int
    unknown_clusters: int
    in_people: int
    in_unknown: int
    in_none: int
    moved: int
    new: int
    dropped: int
    overruled: int
    calibration: Calibration
    distances: Histogram
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the figures and the threshold of the histogram, but not the bins of the histogram."""
        shown = {name: value for name, value in vars(self).items() if name not in ("calibration", "distances")}
        calibration = json.loads(self.calibration.to_json())
        return shown | {"calibration": calibration, "threshold_cosine": self.distances.threshold}


def cluster_settings(
    settings: Settings, threshold: float | None = None, method: str | None = None, min_cluster_size: int | None = None
) -> ClusterSettings:
    """Return the settings of a clustering. A value that is not given comes from the lab's settings.

    Raises `LabError` if a value is not allowed.
    """
    return ClusterSettings(
        settings.face_person_match_threshold if threshold is None else threshold,
        settings.face_unknown_clustering_method if method is None else method,  # type: ignore[arg-type]
        settings.face_unknown_min_cluster_size if min_cluster_size is None else min_cluster_size,
    )


def group_faces(
    lab: Lab, how: ClusterSettings | None = None, max_faces: int | None = None, progress: Progress = silent
) -> Grouped:
    """Group all faces that the present embedder has embedded, and store the clusters.

    Everything that a person said stays: names, faces that a person put into a cluster, and the answer "not this
    person". Without new faces, a second call changes nothing. `how`: the settings of the clustering, by default from
    the lab's settings. `max_faces`: maximum number of faces without a cluster that are grouped. The faces of the best
    quality come first. Raises `LabError` if the setting `people` is off.
    """
    return _run(lab, how, max_faces, False, progress)


def assign_faces(lab: Lab, how: ClusterSettings | None = None, max_faces: int | None = None) -> Grouped:
    """Put faces that are in no cluster into existing clusters, and store the result.

    A face that is in a cluster does not move, and no cluster is made. `group_faces` explains the arguments.
    """
    return _run(lab, how, max_faces, True, silent)


def _run(
    lab: Lab, how: ClusterSettings | None, max_faces: int | None, assign_only: bool, progress: Progress
) -> Grouped:
    how = how or cluster_settings(lab.settings)
    space = face_space(lab.settings, lab.releases)
    start = time.perf_counter()
    scope = scope_of(lab.settings.people, lab.releases)
    with lab.engine.connect() as connection:
        given = faces_for_clustering(connection, space.embedder, scope)
    vectors = space.apply(given.vectors) if given.face_ids else np.empty((0, _NO_FACES_DIMENSION), np.float32)
    # A matching head separates the people that it was trained on better than it separates other people. With pairs of
    # the trained people, the calibration would be wrong for all other people. So if there is a head, the faces that a
    # person put into clusters are not used.
    labels = given.pinned if space.head is None else np.full_like(given.pinned, NONE)
    calibration = calibrate(vectors, given.pictures, labels)
    rows = _considered(given, max_faces)
    codes, similarity = given.previous.copy(), np.zeros(len(given.face_ids))
    if len(rows):
        faces = _faces(given, vectors, rows)
        if assign_only:
            result = clustering_assign.assign_faces(faces, faces.before == NONE, calibration, how)
        else:
            result = cluster_faces(faces, calibration, how, len(given.keys), progress)
        codes[rows], similarity[rows] = result.clusters, result.similarity
    with lab.engine.begin() as connection:
        stored = store_clustering(connection, given, codes, similarity)
        if given.face_ids:
            # The caller may have given another threshold than the settings. The threshold is stored, because faces of
            # new pictures are later compared with the same threshold.
            learned = json.loads(calibration.to_json()) | {"threshold": how.person_match_threshold}
            save_calibration(connection, space.fingerprint, learned)
        # A person may have moved faces, or made the lab forget faces, while this function ran. So the centroids are
        # computed from the clusters that are stored now. `store_clustering` has locked the clusters until the
        # transaction ends.
        save_centroids(connection, space.fingerprint, _stored_centroids(connection, space, calibration, how))
        if not faces_wait(connection, space.embedder, scope):
            delete_other_spaces(connection, [space.embedder, space.fingerprint])
    is_named = np.zeros(max(len(given.keys), int(codes.max(initial=NONE)) + 1), np.bool_)
    is_named[: len(given.named)] = given.named
    placed = codes[codes != NONE]
    used = np.unique(placed)
    in_people = int(is_named[placed].sum())
    return Grouped(
        space=space.fingerprint,
        faces=len(codes),
        left_for_later=len(codes) - len(rows),
        people=int(is_named[used].sum()),
        unknown_clusters=int((~is_named[used]).sum()),
        in_people=in_people,
        in_unknown=len(placed) - in_people,
        in_none=len(codes) - len(placed),
        moved=stored.moved,
        new=len(stored.new),
        dropped=len(stored.dropped),
        overruled=stored.left_out,
        calibration=calibration,
        distances=histogram(vectors, given.pictures, given.pinned, Thresholds.of(calibration, how, len(used)).join),
        seconds=time.perf_counter() - start,
    )


def _considered(given: FacesToCluster, max_faces: int | None) -> Rows:
    """Return the rows of the faces to group: all faces in a cluster, and the best `max_faces` of all other faces."""
    if max_faces is None:
        return np.arange(len(given.face_ids))
    free = np.flatnonzero(given.previous == NONE)
    best = free[np.argsort(-given.quality[free], kind="stable")][:max_faces]
    return np.sort(np.concatenate([np.flatnonzero(given.previous != NONE), best]))


def _faces(given: FacesToCluster, vectors: Float32s, rows: Rows) -> Faces:
    place = np.full(len(given.face_ids), NONE, np.intp)
    place[rows] = np.arange(len(rows))
    banned = given.banned[place[given.banned[:, 0]] != NONE]
    return Faces(
        vectors=vectors[rows],
        pictures=given.pictures[rows],
        quality=given.quality[rows],
        pinned=given.pinned[rows],
        banned=np.column_stack([place[banned[:, 0]], banned[:, 1]]),
        named=np.flatnonzero(given.named),
        previous=given.previous[rows],
    )


def _stored_centroids(
    connection: Connection, space: FaceSpace, calibration: Calibration, how: ClusterSettings
) -> dict[str, tuple[Float32s, list[int]]]:
    """Return for each stored cluster, by its key, the centroids (float32 [c, d]) and the number of faces of each
    centroid.

    A cluster has several centroids if the faces that a person put into the cluster differ much. Faces of low quality
    are not used, unless all faces of the cluster have low quality.
    """
    given = faces_for_clustering(connection, space.embedder)
    codes, used = given.previous, np.unique(given.previous[given.previous != NONE])
    if not len(used):
        return {}
    place = np.searchsorted(used, codes)
    good = given.quality >= how.founding_quality
    has_good = np.bincount(place[(codes != NONE) & good], minlength=len(used)) > 0
    counted = np.where((codes != NONE) & (good | ~has_good[np.minimum(place, len(used) - 1)]), place, NONE)
    cosine = calibration.cosine(how.person_match_threshold)
    wide = space.apply(given.vectors).astype(np.float64)
    centroids = centroids_of(wide, counted, len(used), given.pinned != NONE, how.minimum_cluster_size, cosine)
    directions = centroids.directions().astype(np.float32)
    sizes = np.bincount(centroids.of_face[centroids.of_face >= 0], minlength=len(directions))
    result: dict[str, tuple[Float32s, list[int]]] = {}
    for number, code in enumerate(used.tolist()):
        rows = np.flatnonzero(centroids.owners == number)
        result[given.keys[code]] = directions[rows], sizes[rows].tolist()
    return result


def check_groups(lab: Lab, grouped: Grouped) -> list[CheckResult]:
    """Check that faces stay where a person put them, and that the calibration was measured on pairs of faces."""
    with lab.engine.connect() as connection:
        given = faces_for_clustering(connection, face_space(lab.settings, lab.releases).embedder)
    pinned = given.pinned != NONE
    moved = int((given.pinned[pinned] != given.previous[pinned]).sum())
    pairs = np.stack([given.previous, given.pictures], axis=1)[given.previous != NONE]
    twice = len(pairs) - len(np.unique(pairs, axis=0))
    measured = grouped.calibration.known_pairs + grouped.calibration.random_pairs
    return [
        CheckResult(
            "kept",
            moved == 0 and twice == 0,
            f"{moved} faces are not where a person put them; {twice} faces are in one cluster with another face of the "
            "same picture",
            advisory=True,
            figures={"moved": moved, "twice_in_a_picture": twice},
        ),
        CheckResult(
            "calibrated",
            grouped.calibration.method != "dimension",
            f"from {measured} pairs ({grouped.calibration.method})",
            advisory=True,
            figures={"pairs": measured},
        ),
    ]
