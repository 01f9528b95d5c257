"""The layout methods that this benchmark compares. The module also measures the quality of the maps that these methods
make.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from thumblab_core.arrays import Float32s, Float64s
from thumblab_pipelines.library_map.layout import lay_out, reduced
from thumblab_pipelines.library_map.quality import Quality, neighbourhoods


def _pca(vectors: Float32s) -> Float64s:
    return reduced(vectors, 2)


def _lab(vectors: Float32s) -> Float64s:
    return lay_out(vectors).places


def _sklearn(vectors: Float32s) -> Float64s:
    from sklearn.manifold import TSNE

    return np.asarray(TSNE(random_state=0).fit_transform(reduced(vectors)), np.float64)


def _umap(vectors: Float32s) -> Float64s:
    import umap

    return np.asarray(umap.UMAP(random_state=0).fit_transform(reduced(vectors)), np.float64)


def _pacmap(vectors: Float32s) -> Float64s:
    import pacmap

    model = pacmap.PaCMAP(random_state=0, apply_pca=False)
    return np.asarray(model.fit_transform(reduced(vectors), init="pca"), np.float64)


METHODS: dict[str, tuple[str, Callable[[Float32s], Float64s]]] = {
    "two principal components": ("sklearn", _pca),
    "openTSNE, as the lab uses it": ("openTSNE", _lab),
    "t-SNE of scikit-learn": ("sklearn", _sklearn),
    "UMAP (umap-learn)": ("umap", _umap),
    "PaCMAP": ("pacmap", _pacmap),
}
"""The layout methods by name, each with the module that it needs. The lab does not need umap and pacmap. Install these
two modules to compare their methods.
"""


def measured(name: str, vectors: Float32s) -> tuple[Quality | None, float] | None:
    """Place the vectors on a plane with one method. Return the quality and the processor time in seconds.

    Return None if the package of the method is not installed. The method runs in its own process, because umap-learn
    and PaCMAP abort if other libraries have started threads.
    """
    if importlib.util.find_spec(METHODS[name][0]) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, vectors)
        command = [sys.executable, "-m", "benchmarks.library_map.methods", name, str(path)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return None if found["quality"] is None else Quality(**found["quality"]), found["seconds"]


def main(name: str, path: str) -> None:
    """Place the vectors in a file on a plane, and print the quality and the processor time as JSON.

    The method first runs on a few vectors, so that the time to compile its code is not counted.
    """
    vectors = np.load(path)
    method = METHODS[name][1]
    method(vectors[:100])
    start = time.process_time()
    places = method(vectors)
    seconds = time.process_time() - start
    quality = neighbourhoods(vectors, places)
    print(json.dumps({"quality": None if quality is None else vars(quality), "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
