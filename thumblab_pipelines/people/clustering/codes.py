"""Give clusters the codes that the same clusters had in the previous clustering."""

from __future__ import annotations

import numpy as np

from thumblab_core.arrays import Rows
from thumblab_pipelines.people.clustering.faces import NONE


def codes_of(clusters: Rows, before: Rows, anchors: Rows, first_new: int) -> Rows:
    """Return the code of each face [n].

    The first clusters are the anchors, which already have codes. Any other cluster gets the code of the previous
    cluster with which it shares the most faces. If several clusters would get the same code, the cluster with the
    most shared faces gets it. Clusters that get no previous code get new codes, largest cluster first. The first new
    code is `first_new`. If a previous code is not below `first_new`, new codes start above the highest previous code.

    Parameters
    ----------
    clusters, before
        For each face [n], the number of its cluster, and the code of its cluster in the last clustering. `NONE` if the
        face is in no cluster.
    """
    count = int(clusters.max(initial=NONE)) + 1
    sizes = np.bincount(clusters[clusters >= 0], minlength=count)
    codes = np.full(max(count, len(anchors)), NONE, np.intp)
    codes[: len(anchors)] = anchors
    both = (clusters >= len(anchors)) & (before >= 0) & ~np.isin(before, anchors)
    pairs, shared = np.unique(np.column_stack([clusters, before])[both], axis=0, return_counts=True)
    taken: set[int] = set()
    for row in np.lexsort((pairs[:, 0], pairs[:, 1], -shared)).tolist():
        cluster, code = pairs[row].tolist()
        if codes[cluster] == NONE and code not in taken:
            codes[cluster] = code
            taken.add(code)
    new = np.flatnonzero((codes[:count] == NONE) & (sizes > 0))
    new = new[np.lexsort((new, -sizes[new]))]
    codes[new] = max(first_new, int(before.max(initial=NONE)) + 1) + np.arange(len(new))
    return np.append(codes, NONE)[clusters]
