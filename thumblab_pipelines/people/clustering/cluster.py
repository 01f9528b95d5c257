"""Cluster faces in two ways: match faces to known people, and group the remaining faces into new clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thumblab_core.arrays import Rows
from thumblab_core.recognition.match_scores import Calibration, false_accept_rate
from thumblab_pipelines.people.clustering.codes import codes_of
from thumblab_pipelines.people.clustering.faces import NONE, Clustering, ClusterSettings, Faces, How
from thumblab_pipelines.people.clustering.graph import Links, nearest_links
from thumblab_pipelines.people.clustering.members import Members
from thumblab_pipelines.people.clustering.refine import Work, assign, merge, split
from thumblab_pipelines.people.clustering.seeds import seed_groups
from thumblab_pipelines.people.clustering.similarity import similarities
from thumblab_pipelines.progress import Progress, silent

_PASSES = 4
"""Maximum number of times that the faces without a cluster are grouped."""
_ROUNDS = 4
"""Maximum number of times that clusters are improved after the faces without a cluster were grouped."""
_FEW_CHANGES = 0.001
"""If a round of improvement changes the cluster of at most this share of the faces, no further round follows."""
_LOOSER = 10.0
_FALSE_LINKS = 1.0
"""A face may on average have at most this many links with faces of other people."""


def cluster_faces(
    faces: Faces,
    calibration: Calibration,
    settings: ClusterSettings | None = None,
    first_new: int | None = None,
    progress: Progress = silent,
) -> Clustering:
    """Cluster faces.

    An anchor is a cluster that a person has changed: the person gave the cluster a name, pinned a face to the cluster,
    or banned a face from it. Anchors keep their codes (the numbers that identify clusters), and never merge with each
    other. The pinned faces of an anchor stay in the anchor. If an anchor has no pinned faces, all its previous faces
    stay, because a person has seen the anchor with these faces. Any other face joins the nearest matching cluster that
    it is allowed to join. All remaining faces are grouped into new clusters by their similarity alone. The result does
    not depend on the order of the faces.

    Parameters
    ----------
    first_new
        The first code for new clusters. No cluster may ever have had this code or a higher code. The default is 1 plus
        the highest code in `faces`.
    progress
        Called at each stage of the clustering. The same stages may be repeated several times.
    """
    settings = settings or ClusterSettings()
    order = faces.canonical_order()
    ordered = faces.taken(order)
    if first_new is None:
        first_new = 1 + max(int(codes.max(initial=NONE)) for codes in _codes(faces))
    links = _links(ordered, calibration, settings, progress)
    found = _clustered(ordered, links, calibration, settings, first_new, progress)
    # All faces of an anchor without pinned faces stay in this anchor at the next clustering, and move its centroid. So
    # the next clustering could give another result. To avoid this, the clustering is repeated here until no further
    # face joins such an anchor. The loop ends, because no face leaves such an anchor again.
    while True:
        next_time = replace(ordered, previous=found.clusters)
        if np.array_equal(_base(next_time)[1], _base(ordered)[1]):
            break
        ordered, found = next_time, _clustered(next_time, links, calibration, settings, first_new, progress)
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    return found.taken(place)


def _codes(faces: Faces) -> tuple[Rows, ...]:
    return faces.before, faces.pinned, faces.banned[:, 1], faces.named


def _links(faces: Faces, calibration: Calibration, settings: ClusterSettings, progress: Progress) -> Links:
    """Link similar faces. Only faces of good quality that no person has pinned are linked."""
    rows = np.flatnonzero((faces.quality >= settings.founding_quality) & (faces.pinned < 0))
    cut = _cut(calibration, settings, len(rows))
    links = nearest_links(faces.vectors[rows], faces.pictures[rows], cut, progress=progress)
    return Links(rows[links.first], rows[links.second], links.cosine)


def _cut(calibration: Calibration, settings: ClusterSettings, count: int) -> float:
    """Return the minimum cosine of two linked faces.

    The minimum is below the threshold for joining a cluster. With many faces, the minimum is higher, because among many
    faces more strangers look alike.
    """
    rate = min(_LOOSER * false_accept_rate(settings.person_match_threshold), _FALSE_LINKS / max(count, 1), 0.1)
    return calibration.cosine_at_rate(rate)


def _clustered(
    faces: Faces,
    links: Links,
    calibration: Calibration,
    settings: ClusterSettings,
    first_new: int,
    progress: Progress,
) -> Clustering:
    """Cluster faces that are in canonical order, see `Faces.canonical_order`."""
    anchors, base = _base(faces)
    work = Work(faces, faces.vectors.astype(np.float64), calibration, settings, anchors, base)
    # Faces are grouped before they are matched. So the faces of a stranger who looks like a known person can join the
    # stranger's own cluster.
    clusters, count = base, len(anchors)
    for number in range(_PASSES):
        grown, more = _with_seeds(work, clusters, count, links, progress)
        if more == count and (number or not count):
            break
        clusters, count = _improved(work, grown, more, progress)
    codes = codes_of(clusters, faces.before, work.anchors, first_new)
    matched = np.isin(codes, work.labelled)
    how = np.where(clusters < 0, How.NONE, np.where(matched, How.MATCHED, How.GROUPED))
    how = np.where(faces.pinned >= 0, How.PINNED, how).astype(np.intp)
    return Clustering(codes, similarities(work.vectors, clusters, work.centroids(clusters, count)), how)


def _base(faces: Faces) -> tuple[Rows, Rows]:
    """Return the codes [k] of the clusters that are anchors. For each face [n], also return the number of the anchor in
    which the face stays, or `NONE`."""
    anchors = np.unique(np.concatenate([faces.named, faces.pinned, faces.banned[:, 1]])).astype(np.intp)
    anchors = anchors[anchors >= 0]
    held = (faces.pinned < 0) & np.isin(faces.before, np.setdiff1d(anchors, faces.pinned))
    code = np.where(held, faces.before, faces.pinned)
    base = np.where(code >= 0, np.searchsorted(anchors, code), NONE).astype(np.intp)
    # A face cannot stay in its previous cluster if it is banned from this cluster, or if this cluster has another face
    # of its picture. `join` checks both conditions.
    members = Members(faces, anchors, len(anchors))
    for face in np.flatnonzero(base >= 0).tolist():
        members.join(face, int(base[face]))
    return anchors, members.clusters


def _with_seeds(work: Work, clusters: Rows, count: int, links: Links, progress: Progress) -> tuple[Rows, int]:
    """Make new clusters from faces that are in no cluster. Return the clusters and their number."""
    free = (clusters < 0) & work.founders
    rows = np.flatnonzero(free)
    inside = free[links.first] & free[links.second]
    among = Links(
        np.searchsorted(rows, links.first[inside]), np.searchsorted(rows, links.second[inside]), links.cosine[inside]
    )
    settings = work.settings
    reach = max(work.thresholds(1).join, float(links.cosine.min(initial=1.0)))
    clusters = clusters.copy()
    for group in seed_groups(
        work.faces.vectors[rows], among, reach, settings.unknown_method, settings.minimum_cluster_size, progress
    ):
        clusters[rows[group]] = count
        count += 1
    return clusters, count


def _improved(work: Work, clusters: Rows, count: int, progress: Progress) -> tuple[Rows, int]:
    """Split clusters, assign faces and merge clusters, at most `_ROUNDS` times, until few faces change. Return the
    clusters, numbered without gaps."""
    whole: set[bytes] = set()
    for number in range(_ROUNDS):
        progress("improving clusters", number, _ROUNDS)
        before = clusters
        clusters, count = split(work, clusters, count, whole)
        clusters = assign(work, clusters, count)
        clusters, count = _numbered(work, clusters)
        members = _members(work, clusters, count)
        merge(work, members)
        clusters, count = _numbered(work, members.clusters)
        if (clusters != before).sum() <= len(clusters) * _FEW_CHANGES:
            break
    clusters, count = _numbered(work, assign(work, clusters, count))
    return clusters, count


def _members(work: Work, clusters: Rows, count: int) -> Members:
    """Return the `Members` of these clusters. A face that must not be in its cluster is left out."""
    members = work.members(count)
    for face in np.flatnonzero((clusters >= 0) & (work.base < 0)).tolist():
        members.join(face, int(clusters[face]))
    return members


def _numbered(work: Work, clusters: Rows) -> tuple[Rows, int]:
    """Number the clusters without gaps. Anchors keep their numbers. All other clusters follow in their present
    order."""
    used = np.unique(np.concatenate([np.arange(len(work.anchors)), clusters[clusters >= 0]]))
    return np.where(clusters >= 0, np.searchsorted(used, clusters), NONE), len(used)
