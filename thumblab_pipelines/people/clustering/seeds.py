"""Group faces that nobody has labelled, by HDBSCAN, DBSCAN or agglomerative clustering inside connected components.

The groups are a first guess. `refine` adds missing faces to the groups, removes wrong faces, and merges parts of one
person.
"""

from __future__ import annotations

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Rows
from thumblab_pipelines.people.clustering.faces import UnknownMethod
from thumblab_pipelines.people.clustering.graph import Links, components
from thumblab_pipelines.progress import Progress, silent

_MOST = 1500
"""Maximum number of faces in a component. The matrix of the distances between so many faces has 18 MB."""


def seed_groups(
    vectors: Float32s, links: Links, cosine: float, method: UnknownMethod, least: int, progress: Progress = silent
) -> list[Rows]:
    """Return groups of `least` or more rows of `vectors` [n, d]. A row is in at most one group.

    Parameters
    ----------
    links
        Links between the rows.
    cosine
        The minimum cosine of two matching faces. HDBSCAN does not use this cosine, because it works without a fixed
        limit of similarity.
    """
    groups, done = [], 0
    parts = components(len(vectors), links, _MOST)
    total = sum(map(len, parts))
    for rows in parts:
        progress("grouping unknown faces", done, total)
        done += len(rows)
        if len(rows) < least:
            continue
        members = vectors[rows].astype(np.float64)
        distances = np.clip(1 - members @ members.T, 0, 2)
        np.fill_diagonal(distances, 0)
        labels = _labels(distances, 1 - cosine, method, least)
        groups += [rows[labels == label] for label in range(int(labels.max()) + 1)]
    return [group for group in groups if len(group) >= least]


def _labels(distances: Float64s, reach: float, method: UnknownMethod, least: int) -> Rows:
    """Return the group of each of m faces. A negative number means no group.

    `distances` [m, m]: the distances between the vectors of the faces.
    """
    if method == "agglomerative":
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        return np.asarray(fcluster(linkage(squareform(distances, checks=False), "average"), reach, "distance") - 1)
    if method == "dbscan":
        from sklearn.cluster import DBSCAN

        return np.asarray(DBSCAN(eps=max(reach, 1e-6), min_samples=least, metric="precomputed").fit_predict(distances))
    from sklearn.cluster import HDBSCAN

    if len(distances) == least:
        return np.zeros(least, np.intp)
    model = HDBSCAN(
        min_cluster_size=least, min_samples=min(2, least), metric="precomputed", allow_single_cluster=True, copy=False
    )
    return np.asarray(model.fit_predict(distances))
