"""Print how well a model orders held-out pairs.

Three things are printed: the AUC of the model and of its reference models, the AUC by channel, and the calibration.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from thumblab_cli.printing.tables import table

if TYPE_CHECKING:
    from thumblab_pipelines.evaluation.figures import Evaluation

CHANNEL_SLICE = "channel:"
"""A slice is a part of the held-out pairs. The name of a slice with one channel's pairs is this prefix and the
channel's id."""

_SPLITS = {
    "future": "the future of known channels (last 20 % of each by time)",
    "new_channels": "unseen channels",
    "adapted": "unseen channels, adapted on the first 80 % of each",
}
_SHORT_SPLITS = {"future": "known channels", "new_channels": "unseen channels", "adapted": "adapted channels"}
_SCORERS = {
    "model": "the model",
    "global": "the model, not adapted",
    "age": "age only",
    "length": "length only",
    "title": "title only (ridge)",
    "image": "image only (ridge)",
    "linear": "title and image (ridge)",
    "partial_pooling": "ridge, also per channel",
    "planted": "planted truth (ceiling)",
}


def print_evaluation(console: Console, evaluations: Sequence["Evaluation"]) -> None:
    """Print the evaluation of a model and its reference models.

    Each split has a table of AUCs and a line on calibration. Another table shows the AUC for each large channel.
    """
    for split in _SPLITS:
        if any(e.split == split for e in evaluations):
            console.print(evaluation_table(evaluations, split))
    pictures = one_title_table(evaluations)
    if pictures.row_count:
        console.print(pictures)
    one_video = one_video_table(evaluations)
    if one_video.row_count:
        console.print(one_video)
    channels = channel_table(evaluations)
    if channels.row_count:
        console.print(channels)
    for line in calibration_lines(evaluations):
        console.print(line, highlight=False)


def ceiling_lines(planted: Sequence["Evaluation"], expected: float) -> list[str]:
    """Return a line with the AUC of a ranking by the videos' true quality, on the pairs of known channels. Return no
    line if this AUC was not measured.

    The synthetic catalogue plants a true quality in each video. So no model is expected to reach a higher AUC on the
    same pairs. `expected` is the mean of this AUC over many catalogues.
    """
    return [
        f"On these pairs of {_SHORT_SPLITS[e.split]} the planted quality itself reaches an AUC of {e.value:.3f} "
        f"({expected:.2f} on average over many catalogues)."
        for e in planted
        if (e.split, e.slice, e.metric) == ("future", "all", "auc") and e.value is not None
    ]


def evaluation_table(evaluations: Sequence["Evaluation"], split: str) -> Table:
    """Return a table of AUCs with their 95 % intervals.

    An AUC is given on all pairs, and on the pairs whose winner has at least twice the views of the loser.

    The table has a row for the model and for each reference model.
    """
    of_split = [e for e in evaluations if e.split == split and e.metric == "auc" and e.slice in ("all", "2x")]
    pairs = {e.slice: f"{e.pairs:,}" for e in of_split}
    columns = ("", f"all {pairs.get('all', 0)} pairs", f"{pairs.get('2x', 0)} with a 2x gap")
    made = table(*columns, words=columns, title=f"Held-out AUC on {_SPLITS[split]}")
    for scorer in dict.fromkeys(e.scorer for e in of_split):
        cells = {e.slice: _cell(e) for e in of_split if e.scorer == scorer}
        style = "bold" if scorer == "model" else None
        made.add_row(_SCORERS.get(scorer, scorer), cells.get("all", ""), cells.get("2x", ""), style=style)
    return made


def one_title_table(evaluations: Sequence["Evaluation"]) -> Table:
    """Return a table of AUCs by split and scorer, with 95 % intervals. Each AUC is for two pictures under one title.

    A scorer is the model or a reference model.

    docs/evaluation.md explains the columns. The last column compares two videos with different titles. This column is
    only a rough measure for the pictures, because the title also changes the views of a video.
    """
    columns = {"residual": "net of the title", "tied third": "similar titles", "swap": "any title (proxy)"}
    title = "Held-out AUC of two pictures under one title"
    return _picture_table(title, columns, [e for e in evaluations if (e.question, e.metric) == ("one_title", "auc")])


def one_video_table(evaluations: Sequence["Evaluation"]) -> Table:
    """Return a table of AUCs by split and scorer, with 95 % intervals. Each AUC is for two pictures of one video.

    The number of pairs differs from split to split. The title of the table shows, for each column, the largest of these
    numbers.
    """
    aucs = [e for e in evaluations if (e.question, e.metric) == ("one_video", "auc")]
    names = {"experiment": "experiments", "changed_thumbnail": "changed thumbnails"}
    most = {slice_: max((e.pairs for e in aucs if e.slice == slice_), default=0) for slice_ in names}
    counts = ", ".join(f"{name}: up to {most[slice_]:,} pairs" for slice_, name in names.items() if most[slice_])
    return _picture_table(f"Held-out AUC of two pictures of one video ({counts})", names, aucs)


def _picture_table(title: str, columns: dict[str, str], aucs: Sequence["Evaluation"]) -> Table:
    """Return a table of `aucs`, which were measured on slices of the pairs. `columns` maps each slice to the heading of
    its column.
    """
    words = ("channels", "", *columns.values())
    made = table(*words, words=words, title=title)
    for split, name in _SHORT_SPLITS.items():
        scorers = list(dict.fromkeys(e.scorer for e in aucs if e.split == split))
        for scorer in scorers:
            cells = {e.slice: _cell(e) for e in aucs if (e.split, e.scorer) == (split, scorer)}
            made.add_row(
                name.removesuffix(" channels") if scorer == scorers[0] else "",
                _SCORERS.get(scorer, scorer),
                *(cells.get(slice_, "") for slice_ in columns),
                style="bold" if scorer == "model" else None,
            )
    return made


def channel_table(evaluations: Sequence["Evaluation"]) -> Table:
    """Return a table of the model's AUC for each channel. The AUC is measured on pairs of the newest 20 % of the
    channel's videos.

    Only channels with at least a hundred such pairs have a row.
    """
    columns = ("", "", "all pairs", "with a 2x gap")
    made = table(*columns, words=columns, title="Held-out AUC by channel (newest 20 % of its videos)")
    cells = {(e.split, e.slice, e.metric): _cell(e) for e in evaluations if e.scorer == "model"}
    for split, channel, metric in cells:
        if (split, metric) == ("future", "auc_2x"):
            for row_split, name in (("future", channel.removeprefix(CHANNEL_SLICE)), ("adapted", "")):
                aucs = (cells.get((row_split, channel, name_of_auc), "") for name_of_auc in ("auc", "auc_2x"))
                made.add_row(name, "known" if row_split == "future" else row_split, *aucs)
    return made


def calibration_lines(evaluations: Sequence["Evaluation"]) -> list[str]:
    """Return a line for each split whose calibration was measured.

    Calibration compares win probabilities with actual outcomes.
    """
    values = {(e.split, e.metric): e.value for e in evaluations if (e.slice, e.scorer) == ("all", "model")}
    lines = []
    for split, name in _SHORT_SPLITS.items():
        error, abstained, accuracy = (values.get((split, m)) for m in ("ece", "abstained", "accuracy_decided"))
        if error is not None and abstained is not None:
            decided = "" if accuracy is None else f", right on {accuracy:.0%} of the others"
            by_chance = values.get((split, "ece_if_calibrated"))
            expected = "" if by_chance is None else f", {by_chance:.3f} by chance alone"
            lines.append(
                f"Win probabilities, {name}: off by {error:.3f} on average (ECE{expected}); "
                f"{abstained:.0%} too close to call{decided}"
            )
    return lines


def figure_text(value: float, low: float | None, high: float | None) -> str:
    """Return a figure with three decimals, followed by its interval if it has one."""
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _cell(evaluation: "Evaluation") -> str:
    if evaluation.value is None:
        return "no pairs"
    return figure_text(evaluation.value, evaluation.low, evaluation.high)
