"""Build an index of `vectors.npy` with autofaiss, and search it with `queries.npy`.

    python -m benchmarks.autofaiss_child FOLDER TARGET

Run this module in the Python environment in which autofaiss is installed. FOLDER contains the two files. The module
writes its measurements to `autofaiss.json`: the seconds of the build, the kind of the index, and the recall and the
time of a search.

The search uses the search parameter that autofaiss chose. If the index has a search parameter, a second search is
measured. The second search uses the smallest value of the parameter with which the recall reaches TARGET.
"""

import json
import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.autofaiss_points import K, cheapest, recall, rising, timed


def main(folder: Path, target: float) -> None:
    import autofaiss  # type: ignore[import-not-found]
    import faiss

    logging.disable(logging.WARNING)
    vectors, queries, truth = (np.load(folder / f"{name}.npy") for name in ("vectors", "queries", "truth"))
    start = time.perf_counter()
    index, info = autofaiss.build_index(
        vectors, save_on_disk=False, min_nearest_neighbors_to_retrieve=K, nb_cores=os.cpu_count(), verbose=logging.ERROR
    )
    seconds = time.perf_counter() - start
    faiss.omp_set_num_threads(1)

    def search(query: Any) -> Any:
        return index.search(query[None], K)[1][0]

    def recall_at(value: int) -> float:
        faiss.ParameterSpace().set_index_parameter(index, name, value)
        return recall(search, queries, truth)

    points = [timed(search, queries, truth, info["index_param"])]
    name = info["index_param"].partition("=")[0]
    if name:
        value = cheapest(rising(16, 16_384) if name == "efSearch" else rising(1, index.nlist), recall_at, target)
        recall_at(value)
        points.append(timed(search, queries, truth, f"{name}={value}"))
    result = {"seconds": seconds, "kind": info["index_key"], "points": [asdict(point) for point in points]}
    (folder / "autofaiss.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
