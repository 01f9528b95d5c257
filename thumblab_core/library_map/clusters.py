"""Write and read the file `clusters.json` of a library map."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from thumblab_core.library_map.map_figures import Cluster

CLUSTERS = "clusters.json"
COARSE, FINE = 0, 1
"""The two levels of clusters. Each cluster of the level `FINE` is a part of a cluster of the level `COARSE`."""

_LIST = TypeAdapter(tuple[Cluster, ...])


def clusters_json(clusters: Sequence[Cluster]) -> bytes:
    """Return the content of `clusters.json`."""
    return _LIST.dump_json(tuple(clusters), indent=1)


def read_clusters(content: bytes) -> tuple[Cluster, ...]:
    """Return the clusters of `clusters.json`. Raises `ValueError` if `content` is not a list of clusters."""
    return _LIST.validate_json(content)
