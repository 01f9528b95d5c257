"""Print the clusters of a library map."""

from collections.abc import Sequence

from rich.console import Console

from thumblab_cli.printing.printable import cell
from thumblab_cli.printing.tables import table
from thumblab_core.library_map.map_figures import Cluster
from thumblab_core.releases.release import Release


def print_clusters(console: Console, release: Release, clusters: Sequence[Cluster]) -> None:
    """Print the coarse clusters, the largest first, each with its fine clusters below it."""
    shown = table(
        "cluster",
        "words",
        "videos",
        "channels",
        "outlier multiple (95 %)",
        "growth",
        "traits",
        words=("words", "traits"),
    )
    coarse = sorted((one for one in clusters if one.parent is None), key=lambda one: -one.videos)
    for cluster in coarse:
        shown.add_row(*_cells(cluster, str(cluster.id)))
        parts = sorted((one for one in clusters if one.parent == cluster.id), key=lambda one: -one.videos)
        for part in parts:
            shown.add_row(*_cells(part, f"{cluster.id}/{part.id}"))
    in_cluster = sum(cluster.videos for cluster in coarse)
    console.print(
        f"{release.info['videos']} videos, {in_cluster} of them in {len(coarse)} clusters (map {release.release_id})"
    )
    if coarse:
        console.print(shown)


def _cells(cluster: Cluster, name: str) -> list[str]:
    multiple, growth = cluster.outlier_multiple, cluster.growth
    usual = "not known" if multiple is None else f"{multiple.median:.2f} ({multiple.low:.2f} to {multiple.high:.2f})"
    grows = "not known" if growth.ratio is None else f"{growth.ratio:.2f}x" + (" rising" if growth.rising else "")
    words, traits = cell(" ".join(cluster.label)) or "none", cell("; ".join(cluster.traits)) or "none"
    return [name, words, str(cluster.videos), str(cluster.channels), usual, grows, traits]
