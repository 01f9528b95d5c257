"""Cluster faces in two modes: match them to known people, and group the rest."""

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

_PASSES = 4
"""How often the faces that are left are grouped again."""
_ROUNDS = 4
"""How often clusters are improved after each pass."""
_FEW_CHANGES = 0.001
"""The share of faces that may still change when the rounds end."""
_LOOSER = 10.0
_FALSE_LINKS = 1.0
"""How many links with strangers a face has on average, at most."""


def cluster_faces(
    faces: Faces, calibration: Calibration, settings: ClusterSettings | None = None, first_new: int | None = None
) -> Clustering:
    """Cluster faces.

    An anchor is a cluster about which a person said something: it has a name or pinned faces, or a face was banned from
    it. Anchors keep their codes, and never merge with each other. Pinned faces stay in them. If an anchor has no pinned
    faces, then all its previous faces stay, because a person has seen it with these. Other faces join the nearest cluster
    that matches and that they may join. The rest is grouped without labels. The order of the faces does not matter.

    Parameters
    ----------
    first_new
        The first code for new clusters. Give one that no cluster ever had. The default is the first one above all codes
        in `faces`.
    """
    settings = settings or ClusterSettings()
    order = faces.canonical_order()
    ordered = faces.taken(order)
    if first_new is None:
        first_new = 1 + max(int(codes.max(initial=NONE)) for codes in _codes(faces))
    links = _links(ordered, calibration, settings)
    found = _clustered(ordered, links, calibration, settings, first_new)
    # Faces that joined an anchor without pins would stay in it the next time, and move its centroid. So they stay from
    # now on, until no other face joins. Then clustering again changes nothing. This ends, because none of them leaves.
    while True:
        next_time = replace(ordered, previous=found.clusters)
        if np.array_equal(_base(next_time)[1], _base(ordered)[1]):
            break
        ordered, found = next_time, _clustered(next_time, links, calibration, settings, first_new)
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    return found.taken(place)


def _codes(faces: Faces) -> tuple[Rows, ...]:
    return faces.before, faces.pinned, faces.banned[:, 1], faces.named


def _links(faces: Faces, calibration: Calibration, settings: ClusterSettings) -> Links:
    """Link the faces that may found clusters."""
    rows = np.flatnonzero((faces.quality >= settings.founding_quality) & (faces.pinned < 0))
    links = nearest_links(faces.vectors[rows], faces.pictures[rows], _cut(calibration, settings, len(rows)))
    return Links(rows[links.first], rows[links.second], links.cosine)


def _cut(calibration: Calibration, settings: ClusterSettings, count: int) -> float:
    """Return the cosine from which faces are linked.

    It is looser than the threshold. With many faces it is stricter, because each face has many strangers to be mistaken for.
    """
    rate = min(_LOOSER * false_accept_rate(settings.person_match_threshold), _FALSE_LINKS / max(count, 1), 0.1)
    return calibration.cosine_at_rate(rate)


def _clustered(
    faces: Faces, links: Links, calibration: Calibration, settings: ClusterSettings, first_new: int
) -> Clustering:
    """Cluster faces in canonical order."""
    anchors, base = _base(faces)
    work = Work(faces, faces.vectors.astype(np.float64), calibration, settings, anchors, base)
    # Faces are grouped before they are matched. So a stranger who looks like somebody has a cluster of his own to go to.
    clusters, count = base, len(anchors)
    for number in range(_PASSES):
        grown, more = _with_seeds(work, clusters, count, links)
        if more == count and (number or not count):
            break
        clusters, count = _improved(work, grown, more)
    codes = codes_of(clusters, faces.before, work.anchors, first_new)
    matched = np.isin(codes, work.labelled)
    how = np.where(clusters < 0, How.NONE, np.where(matched, How.MATCHED, How.GROUPED))
    how = np.where(faces.pinned >= 0, How.PINNED, how).astype(np.intp)
    return Clustering(codes, similarities(work.vectors, clusters, work.centroids(clusters, count)), how)


def _base(faces: Faces) -> tuple[Rows, Rows]:
    """Return the codes of the anchors [k], and the number of the anchor in which each face stays [n], or `NONE`."""
    anchors = np.unique(np.concatenate([faces.named, faces.pinned, faces.banned[:, 1]])).astype(np.intp)
    anchors = anchors[anchors >= 0]
    held = (faces.pinned < 0) & np.isin(faces.before, np.setdiff1d(anchors, faces.pinned))
    code = np.where(held, faces.before, faces.pinned)
    base = np.where(code >= 0, np.searchsorted(anchors, code), NONE).astype(np.intp)
    # A face may be banned from its previous cluster, and its picture may have another one there.
    members = Members(faces, anchors, len(anchors))
    for face in np.flatnonzero(base >= 0).tolist():
        members.join(face, int(base[face]))
    return anchors, members.clusters


def _with_seeds(work: Work, clusters: Rows, count: int, links: Links) -> tuple[Rows, int]:
    """Add clusters of faces that are in no cluster."""
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
        work.faces.vectors[rows], among, reach, settings.unknown_method, settings.minimum_cluster_size
    ):
        clusters[rows[group]] = count
        count += 1
    return clusters, count


def _improved(work: Work, clusters: Rows, count: int) -> tuple[Rows, int]:
    """Split, assign and merge `_ROUNDS` times, or until little changes. Return the clusters, numbered without gaps."""
    whole: set[bytes] = set()
    for _ in range(_ROUNDS):
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
    """Return the members of clusters that have no conflicts."""
    members = work.members(count)
    for face in np.flatnonzero((clusters >= 0) & (work.base < 0)).tolist():
        members.join(face, int(clusters[face]))
    return members


def _numbered(work: Work, clusters: Rows) -> tuple[Rows, int]:
    """Number the clusters without gaps. Anchors keep their numbers, and the others follow in their order."""
    used = np.unique(np.concatenate([np.arange(len(work.anchors)), clusters[clusters >= 0]]))
    return np.where(clusters >= 0, np.searchsorted(used, clusters), NONE), len(used)
