"""Plot a histogram of the cosines of pairs of faces, with the threshold above which two faces match."""

import base64
import io

import numpy as np

from thumblab_pipelines.people.clustering.histogram import Histogram

_KINDS = (("same", "one person", "C0"), ("different", "different people", "C3"), ("unlabelled", "unlabelled", "0.6"))


def distance_plot(histogram: Histogram) -> str:
    """Return the plot of the histogram as a Markdown image that contains a PNG file.

    A good threshold is between the curve of one person and the curve of different people. Each curve has the area 1.
    """
    from matplotlib.figure import Figure

    plot: Figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = plot.subplots()
    edges = np.asarray(histogram.edges)
    for name, label, colour in _KINDS:
        counts = np.asarray(getattr(histogram, name), np.float64)
        if counts.sum():
            axes.stairs(
                counts / counts.sum() / np.diff(edges), edges, color=colour, label=f"{label}: {counts.sum():,.0f}"
            )
    axes.axvline(histogram.threshold, color="0.2", linestyle="--", label=f"threshold: {histogram.threshold:.3f}")
    axes.set(xlabel="cosine of two faces", ylabel="density", title="Pairs of faces", xlim=(-0.6, 1))
    axes.legend()
    file = io.BytesIO()
    plot.savefig(file, format="png", dpi=80)
    return f"![similarity of pairs of faces](data:image/png;base64,{base64.b64encode(file.getvalue()).decode()})"
