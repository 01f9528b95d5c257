"""Plot the calibration of the probabilities in the answers, and the accuracy of each model release."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from thumblab_pipelines.predictions.quality import ReleaseQuality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY = "0.6"
_MOST_RELEASES = 12
"""Maximum number of releases in the plot. The newest releases are shown."""


def quality_plot(qualities: Sequence[ReleaseQuality]) -> str | None:
    """Return the plot as a Markdown image that contains the PNG file. Return None if no pair is decided.

    `qualities` begins with the figures over all releases. The plot is not made with pyplot, because pyplot keeps each
    plot in memory until it is closed.
    """
    shown = [quality for quality in qualities if quality.experiments is not None][: _MOST_RELEASES + 1]
    if not shown:
        return None
    from matplotlib.figure import Figure

    plot: Figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = plot.subplots(1, 2)
    _draw_calibration(left, shown[0])
    _draw_accuracies(right, shown)
    file = io.BytesIO()
    plot.savefig(file, format="png", dpi=80)
    return f"![calibration and accuracy](data:image/png;base64,{base64.b64encode(file.getvalue()).decode()})"


def _draw_calibration(axes: "Axes", quality: ReleaseQuality) -> None:
    """Draw how often the picture that the service predicted to win did win (vertical), against the predicted
    probability (horizontal). The area of a point shows its number of pairs.
    """
    assert quality.experiments is not None
    points = quality.experiments.curve
    most = max(point["pairs"] for point in points)
    claimed, won = [point["predicted"] for point in points], [point["won"] for point in points]
    axes.plot([0, 1], [0, 1], ":", color=_GREY)
    axes.plot(claimed, won, color="C0")
    axes.scatter(claimed, won, [10 + 90 * point["pairs"] / most for point in points])
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(title="Calibration of the answers", xlabel="answered probability", ylabel="share of pairs won")


def _draw_accuracies(axes: "Axes", qualities: Sequence[ReleaseQuality]) -> None:
    """Draw the share of decided pairs that each release ordered correctly, with its interval."""
    for row, quality in enumerate(qualities):
        assert quality.experiments is not None
        accuracy = quality.experiments.accuracy
        axes.plot(accuracy.value, row, "o", color="C0")
        axes.plot([accuracy.low, accuracy.high], [row, row], color="C0")
    axes.axvline(0.5, color=_GREY, linestyle=":")
    axes.set_yticks(range(len(qualities)), [quality.release for quality in qualities])
    axes.set_ylim(len(qualities) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set(title="Pairs in the right order", xlabel="share, with 95 % interval")
