"""The plots of a run: learning curves, AUC by slice, calibration. What there is nothing to draw of is left out.

Every panel has a title and names both of its axes: MLflow shows a plot alone, under its file's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thumblab_pipelines.models.tracked_run import MODEL_SCORER, Figure, epoch_metrics
from thumblab_pipelines.training.config import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Plot

_SLICES = {"auc_by_niche": ("niche:", "niche"), "auc_by_margin": ("margin ", "margin of the pairs")}
_GREY = "0.6"


def plots(history: list[Epoch], found: list[Figure], calibration: list[dict[str, float]]) -> Iterator[tuple[str, Plot]]:
    """Name and figure of every plot that can be drawn."""
    if history:
        yield "learning_curves", learning_curves(history)
    for name, (prefix, label) in _SLICES.items():
        chosen = [f for f in found if f.metric == "auc" and f.slice.startswith(prefix)]
        if chosen:
            yield name, auc_by_slice(chosen, prefix, label)
    if calibration:
        yield "calibration", calibration_curve(calibration)


def learning_curves(history: list[Epoch]) -> Plot:
    """The losses, and below them the AUC on the validation pairs where there are any."""
    from matplotlib.ticker import MaxNLocator

    curves: dict[str, list[tuple[int, float]]] = {}
    for name, value, epoch in epoch_metrics(history):
        curves.setdefault(name, []).append((epoch, value))
    losses = [name for name in curves if name.endswith("_loss")]
    panels = [("Losses in training", "mean loss of the epoch", losses)]
    if "validation_auc" in curves:
        panels.append(("Validation pairs", "AUC", ["validation_auc"]))
    plot, found = _plot(len(panels))
    for axes, (title, label, names) in zip(found, panels, strict=True):
        for name in names:
            points = curves[name]
            axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), marker="." if len(points) < 50 else "")
        axes.set(title=title, xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    return plot


def auc_by_slice(found: list[Figure], prefix: str, label: str) -> Plot:
    """A row per slice and a panel per split: the model with its interval, and in grey whatever stands beside it."""
    splits = list(dict.fromkeys(figure.split for figure in found))
    slices = list(dict.fromkeys(figure.slice for figure in found))
    plot, panels = _plot(len(splits), height=1.2 + 0.35 * len(slices))
    for axes, split in zip(panels, splits, strict=True):
        for figure in (f for f in found if f.split == split):
            row = slices.index(figure.slice)
            if figure.scorer != MODEL_SCORER:
                axes.plot(figure.value, row, "|", color=_GREY, markersize=10)
                continue
            axes.plot(figure.value, row, "o", color="C0")
            if figure.low is not None and figure.high is not None:
                axes.plot([figure.low, figure.high], [row, row], color="C0")
        axes.axvline(0.5, color=_GREY, linestyle=":")
        axes.set_yticks(range(len(slices)), [name.removeprefix(prefix) for name in slices])
        axes.set_ylim(len(slices) - 0.5, -0.5)
        axes.set(
            title=f"AUC by {label}, split “{split.replace('_', ' ')}”",
            xlabel="AUC over pairs: the model with its 95 % interval, the other scorers in grey",
            ylabel=label,
        )
    return plot


def calibration_curve(points: list[dict[str, float]]) -> Plot:
    """How often the thumbnail that was given a chance to win did win; the area of a point is its share of the pairs."""
    plot, [axes] = _plot(1, height=5)
    most = max(point["pairs"] for point in points) or 1
    axes.plot([0, 1], [0, 1], ":", color=_GREY)
    axes.plot([p["predicted"] for p in points], [p["won"] for p in points], color="C0")
    axes.scatter(
        [p["predicted"] for p in points], [p["won"] for p in points], [10 + 90 * p["pairs"] / most for p in points]
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(title="Calibration on held-out pairs", xlabel="predicted win probability", ylabel="share of pairs won")
    return plot


def _plot(panels: int, height: float = 2.6) -> tuple[Plot, list[Axes]]:
    """A figure of its own, which no state of matplotlib's keeps alive, with panels of that height in inches."""
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(7, height * panels), layout="constrained")
    found = list(plot.subplots(panels, 1, squeeze=False, sharex=True)[:, 0])
    for axes in found:
        axes.tick_params(labelbottom=True)  # each has its own numbers, though all have the same scale
    return plot, found
