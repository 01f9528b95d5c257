"""Make the plots of a training for MLflow: learning curves, AUC by slice, and calibration.

A plot without data is left out. MLflow shows each plot alone, under the name of its file. So every panel of a plot has
a title and labels on both axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thumblab_core.ranking.skill import PACKAGE
from thumblab_pipelines.models.tracked_run import MODEL_SCORER, Figure, epoch_metrics
from thumblab_pipelines.training.config import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Plot

_SLICES = {"auc_by_niche": ("niche:", "niche"), "auc_by_margin": ("margin ", "margin of the pairs")}
_GREY = "0.6"


def plots(
    history: list[Epoch], figures: list[Figure], calibration: list[dict[str, float]]
) -> Iterator[tuple[str, Plot]]:
    """Yield the name of each plot that has data, together with the plot.

    `history` has the epochs of the training. `figures` are the figures of the evaluation. `calibration` has the points
    of the calibration curve.
    """
    if history:
        yield "learning_curves", learning_curves(history)
    for name, (prefix, label) in _SLICES.items():
        chosen = [f for f in figures if (f.question, f.metric) == (PACKAGE, "auc") and f.slice.startswith(prefix)]
        if chosen:
            yield name, auc_by_slice(chosen, prefix, label)
    if calibration:
        yield "calibration", calibration_curve(calibration)


def learning_curves(history: list[Epoch]) -> Plot:
    """Plot the losses. If there are validation pairs, plot the AUC on these pairs below the losses."""
    from matplotlib.ticker import MaxNLocator

    curves: dict[str, list[tuple[int, float]]] = {}
    for name, value, epoch in epoch_metrics(history):
        curves.setdefault(name, []).append((epoch, value))
    losses = [name for name in curves if name.endswith("_loss")]
    panels = [("Losses in training", "mean loss of the epoch", losses)]
    if "validation_auc" in curves:
        panels.append(("Validation pairs", "AUC", ["validation_auc"]))
    plot, axes_of_panels = _plot(len(panels))
    for axes, (title, label, names) in zip(axes_of_panels, panels, strict=True):
        for name in names:
            points = curves[name]
            axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), marker="." if len(points) < 50 else "")
        axes.set(title=title, xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    return plot


def auc_by_slice(figures: list[Figure], prefix: str, label: str) -> Plot:
    """Plot AUCs. Each split has a panel, and each slice has a row in the panel.

    The model is drawn with its interval, and the reference models are drawn in grey. The names of all slices begin with
    `prefix`, which the plot does not show. `label`: what the slices are, for example niches.
    """
    splits = list(dict.fromkeys(figure.split for figure in figures))
    slices = list(dict.fromkeys(figure.slice for figure in figures))
    plot, panels = _plot(len(splits), height=1.2 + 0.35 * len(slices))
    for axes, split in zip(panels, splits, strict=True):
        for figure in (figure for figure in figures if figure.split == split):
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
            xlabel="AUC over pairs: the model with its 95 % interval, the reference models in grey",
            ylabel=label,
        )
    return plot


def calibration_curve(points: list[dict[str, float]]) -> Plot:
    """Plot the share of pairs that were won, against the predicted win probability. The area of a point shows its
    number of pairs.
    """
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
    """Return an empty plot with `panels` panels below each other, and the axes of each panel.

    `height`: height of a panel in inches. The plot is not made with pyplot, because pyplot would keep the plot in
    memory.
    """
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(7, height * panels), layout="constrained")
    axes_of_panels = list(plot.subplots(panels, 1, squeeze=False, sharex=True)[:, 0])
    for axes in axes_of_panels:
        axes.tick_params(labelbottom=True)  # Show the numbers under every panel, and not only under the last panel.
    return plot, axes_of_panels
