"""Measure library maps on a catalogue. A map shows the videos of a library as points on a plane, and places similar
videos near each other.

    python -m benchmarks.library_map CATALOGUE

Three things are measured: the run time, the quality of the maps compared with other methods, and how far videos move
when the library changes.

CATALOGUE is a folder with `videos.csv` and `images/`. The seconds depend on the machine and on other work on it. A lab
in a temporary folder encodes the pictures with the built-in encoder first. This takes most of the time, and is not
measured.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.library_map.methods import METHODS, measured
from thumblab_core.arrays import Float32s
from thumblab_core.encoders.load import image_encoder
from thumblab_core.errors import LabError
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.releases.release import ALL
from thumblab_core.settings import Settings
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.build import build_map, check_map, promote_map
from thumblab_pipelines.library_map.layout import Earlier, lay_out
from thumblab_pipelines.library_map.quality import neighbourhoods
from thumblab_pipelines.library_map.read import read_videos

CHANGED = 0.05
"""The share of a library's videos that is removed in a change. The same number of new videos is added."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    chosen = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        lab = _filled(Path(folder) / "lab", chosen.catalogue)
        console.print(_built(lab))
        vectors = {
            scope: read_videos(lab, scope, image_encoder(lab.settings).fingerprint).vectors for scope in _scopes()
        }
    console.print(_moved(vectors))
    largest = max(DEFAULT_NAMES, key=lambda niche: len(vectors[niche]))
    console.print(_compared({largest: vectors[largest], ALL: vectors[ALL]}))


def _scopes() -> tuple[str, ...]:
    return (*DEFAULT_NAMES, ALL)


def _filled(folder: Path, catalogue: Path) -> Lab:
    lab = Lab.open(Settings(_env_file=None, data_dir=folder, image_encoder="builtin"))  # type: ignore[call-arg]
    import_catalogue(lab, catalogue)
    for niche in DEFAULT_NAMES:
        embed(lab, niche)
        compute_baselines(lab, niche)
    return lab


def _built(lab: Lab) -> Table:
    """Build, check and promote the maps of all libraries. Return a table of the time and the quality of each map."""
    table = _table(
        "maps", "map", "videos", "seconds", "CPU", "trustworthiness", "of PCA", "continuity", "neighbours", "clusters"
    )
    total = [0.0, 0.0]
    for scope in _scopes():
        wall, processor = time.perf_counter(), time.process_time()
        try:
            built = build_map(lab, scope)
        except LabError as error:
            table.add_row(scope, "0", str(error))
            continue
        checks = check_map(built)
        promote_map(lab, built, checks)
        spent = (time.perf_counter() - wall, time.process_time() - processor)
        total = [sum(pair) for pair in zip(total, spent, strict=True)]
        info = built.release.info
        quality, of_pca = info["quality"] or {}, info["quality_of_pca"] or {}
        figures = [quality.get("trustworthiness"), of_pca.get("trustworthiness"), quality.get("continuity")]
        table.add_row(
            scope,
            str(info["videos"]),
            *(f"{seconds:.1f}" for seconds in spent),
            *("" if figure is None else f"{figure:.3f}" for figure in figures),
            str(quality.get("neighbours", "")),
            str(info["clusters"]),
        )
        failed = [check.name for check in checks if not check.passed]
        if failed:
            table.add_row(scope, f"failed: {', '.join(failed)}")
    table.add_row("together", "", *(f"{seconds:.1f}" for seconds in total))
    return table


def _moved(vectors: dict[str, Float32s]) -> Table:
    """Measure how far videos move on a map when the library changes, and return a table.

    The first map has 95 % of the videos of a library. For the second map, 5 % of the videos are replaced by the videos
    that the first map lacks. The layout of the second map starts from the places of the first map.
    """
    table = _table(
        f"{CHANGED:.0%} of the library changes",
        "map",
        "videos",
        "median move (% of the width)",
        "trustworthiness after",
    )
    for scope, all_vectors in vectors.items():
        count = len(all_vectors)
        changed = max(1, round(CHANGED * count))
        if count < 3 * changed + 3:
            continue
        order = np.random.default_rng(0).permutation(count)
        before, after = np.sort(order[changed:]), np.sort(order[:-changed])
        first = lay_out(all_vectors[before])
        _, rows_before, rows_after = np.intersect1d(before, after, return_indices=True)
        second = lay_out(all_vectors[after], Earlier(rows_after, first.places[rows_before], first.spread))
        quality = neighbourhoods(all_vectors[after], second.places)
        kept = "" if quality is None else f"{quality.trustworthiness:.3f}"
        table.add_row(scope, str(len(after)), f"{100 * (second.drift or 0.0):.2f}", kept)
    return table


def _compared(vectors: dict[str, Float32s]) -> Table:
    heads = [f"{scope}: {figure}" for scope in vectors for figure in ("trustworthiness", "continuity", "CPU")]
    table = _table("methods, at 15 neighbours", "method", *heads)
    for name in METHODS:
        cells = []
        for each in vectors.values():
            found = measured(name, each)
            if found is None or found[0] is None:
                cells += ["not installed" if found is None else "too few videos", "", ""]
            else:
                cells += [f"{found[0].trustworthiness:.3f}", f"{found[0].continuity:.3f}", f"{found[1]:.1f}"]
        table.add_row(name, *cells)
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


if __name__ == "__main__":
    main()
