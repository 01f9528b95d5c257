"""Draw a plot of a library map for the metadata of its asset.

The plot shows the points, in the colour of their cluster, and the labels of the clusters. It shows no thumbnail and no
title of a video.
"""

from __future__ import annotations

import numpy as np

from thumblab_core.library_map.clusters import CLUSTERS, COARSE, read_clusters
from thumblab_core.library_map.map_figures import Cluster
from thumblab_core.library_map.points import POINTS, read_points
from thumblab_core.releases.release import Release
from thumblab_pipelines.previews.markdown import plot

_MOST_POINTS = 20_000
_NAMED = 12
"""The labels of this many clusters are drawn, and the table lists these clusters. The largest clusters are chosen."""


def map_preview(release: Release) -> str:
    """Return the map as a Markdown image, and a table of its largest clusters."""
    from matplotlib.figure import Figure

    points = read_points(release.path / POINTS)
    clusters = [cluster for cluster in read_clusters(release.read(CLUSTERS)) if cluster.level == COARSE]
    clusters = sorted(clusters, key=lambda cluster: -cluster.videos)[:_NAMED]
    rows = np.random.default_rng(0).permutation(len(points))[:_MOST_POINTS]
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    in_cluster = points.cluster[rows] >= 0
    size = float(np.clip(4_000 / len(rows), 1, 20))
    axes.scatter(points.x[rows][~in_cluster], points.y[rows][~in_cluster], s=size, c="0.8", linewidths=0)
    inside = rows[in_cluster]
    axes.scatter(points.x[inside], points.y[inside], s=size, c=points.cluster[inside] % 20, cmap="tab20", linewidths=0)
    for cluster in clusters:
        # Matplotlib would read a dollar sign as the start of a formula.
        words = " ".join(cluster.label[:2]).replace("$", "") or str(cluster.id)
        axes.annotate(words, (cluster.x, cluster.y), ha="center", fontsize=9, parse_math=False)
    axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=[], yticks=[])
    axes.set_title(f"{release.scope}: {len(points)} videos by similarity of their thumbnails")
    return "\n\n".join([plot("map", figure), *([_table(clusters)] if clusters else [])])


def _table(clusters: list[Cluster]) -> str:
    heads = "| cluster | words | videos | usual outlier multiple (95 %) | growth | traits |\n|---|---|---|---|---|---|"
    return "\n".join([heads, *map(_row, clusters)])


def _row(cluster: Cluster) -> str:
    multiple, growth = cluster.outlier_multiple, cluster.growth
    usual = "not known" if multiple is None else f"{multiple.median:.2f} ({multiple.low:.2f} to {multiple.high:.2f})"
    grows = "not known" if growth.ratio is None else f"{growth.ratio:.2f}" + (", rising" if growth.rising else "")
    words = " ".join(cluster.label) or "none"
    return f"| {cluster.id} | {words} | {cluster.videos} | {usual} | {grows} | {'; '.join(cluster.traits) or 'none'} |"
