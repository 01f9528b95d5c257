"""Describe the clusters of a map: labels, traits, medoids and figures."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from thumblab_core.arrays import Float64s, Rows
from thumblab_core.library_map.clusters import COARSE, FINE
from thumblab_core.library_map.map_figures import Cluster
from thumblab_pipelines.library_map.clustering import NONE, Clusters
from thumblab_pipelines.library_map.figures import growth_of, multiple_of, newest_day
from thumblab_pipelines.library_map.labels import label_clusters
from thumblab_pipelines.library_map.read import EPOCH, MappedVideos, published_days
from thumblab_pipelines.library_map.traits import find_traits
from thumblab_pipelines.niche_report.features import measure


def describe(videos: MappedVideos, places: Float64s, clusters: Clusters) -> list[Cluster]:
    """Return the descriptions of the coarse clusters, then of the fine clusters. Each level is ordered by cluster
    number.
    """
    texts = [f"{title} {words or ''}" for title, words in zip(videos.facts.title, videos.facts.words, strict=True)]
    names = videos.facts.channel.tolist()
    channels = np.unique(names, return_inverse=True)[1].astype(np.intp)
    values = measure(videos.facts)
    days = published_days(videos.items).astype(np.intp)
    newest = newest_day(days, (datetime.now(UTC).date() - EPOCH).days)
    multiples = np.array([_number(item.outlier_multiple) for item in videos.items])
    described = []
    for level, numbers in ((COARSE, clusters.coarse), (FINE, clusters.fine)):
        labels = label_clusters(texts, names, numbers)
        traits = find_traits(values, channels, numbers)
        present = np.unique(numbers[numbers != NONE]).tolist()
        for number in present:
            inside = numbers == number
            rows = np.flatnonzero(inside)
            described.append(
                Cluster(
                    level=level,
                    id=number,
                    parent=None if level == COARSE else int(clusters.coarse[rows[0]]),
                    label=labels[number],
                    traits=traits[number],
                    medoid=videos.items[_medoid(videos, rows)].video_id,
                    x=float(np.median(places[rows, 0])),
                    y=float(np.median(places[rows, 1])),
                    videos=len(rows),
                    channels=len(np.unique(channels[rows])),
                    outlier_multiple=multiple_of(multiples[rows], channels[rows]),
                    growth=growth_of(days, inside, channels, newest, len(present)),
                )
            )
    return described


def _medoid(videos: MappedVideos, rows: Rows) -> int:
    """Return the row of the cluster's medoid, the video whose picture vector has the largest mean cosine to all vectors
    of the cluster.
    """
    vectors = videos.vectors[rows]
    return int(rows[int(np.argmax(vectors @ vectors.mean(0)))])


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
