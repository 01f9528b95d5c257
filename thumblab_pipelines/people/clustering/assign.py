"""Put new faces into existing clusters, without moving any other face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thumblab_core.arrays import Flags
from thumblab_core.recognition.match_scores import Calibration
from thumblab_pipelines.people.clustering.centroids import candidates
from thumblab_pipelines.people.clustering.faces import NONE, Clustering, ClusterSettings, Faces, How
from thumblab_pipelines.people.clustering.refine import Work
from thumblab_pipelines.people.clustering.similarity import similarities


def assign_faces(
    faces: Faces, new: Flags, calibration: Calibration, settings: ClusterSettings | None = None
) -> Clustering:
    """Put each new face into the nearest cluster that matches. Do not move any other face.

    No cluster is made, merged or split. A new face that matches no cluster is in no cluster. A pinned face is in the
    cluster to which a person pinned it. Any other old face stays in its previous cluster.

    Parameters
    ----------
    new
        Whether each face [n] is new.
    """
    settings = settings or ClusterSettings()
    order = faces.canonical_order()
    ordered, is_new = faces.taken(order), new[order]
    ordered = replace(ordered, previous=np.where(is_new, NONE, ordered.before))
    codes = np.where(ordered.pinned >= 0, ordered.pinned, ordered.before)
    anchors = np.union1d(ordered.named, codes[codes >= 0]).astype(np.intp)
    base = np.where(codes >= 0, np.searchsorted(anchors, codes), NONE).astype(np.intp)
    work = Work(ordered, ordered.vectors.astype(np.float64), calibration, settings, anchors, base)
    centroids = work.centroids(base, len(anchors))
    members = work.members(len(anchors))
    free = np.flatnonzero(is_new & (codes < 0))
    near = candidates(work.vectors, centroids, free, work.thresholds(len(anchors)).join)
    for face, cluster in zip(near.faces.tolist(), near.clusters.tolist(), strict=True):
        members.join(face, cluster)
    clusters = np.where(is_new, members.clusters, base)
    how = np.where(np.isin(anchors, work.labelled)[clusters] if len(anchors) else False, How.MATCHED, How.GROUPED)
    how = np.where(clusters < 0, How.NONE, np.where(ordered.pinned >= 0, How.PINNED, how))
    found = Clustering(
        np.append(anchors, NONE)[clusters], similarities(work.vectors, clusters, centroids), how.astype(np.intp)
    )
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    return found.taken(place)
