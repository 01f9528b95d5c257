"""Print how well a model orders the pairs of a catalogue, as a JSON object or as a table.

A figure is the value of a metric, such as AUC, with its interval. There are figures for each channel and for all
channels together. Each figure is given for the model with channel adapters and for the model without them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from thumblab_cli.printing.evaluation import CHANNEL_SLICE, figure_text
from thumblab_cli.printing.printable import printable
from thumblab_cli.printing.tables import table

if TYPE_CHECKING:
    from thumblab_core.releases.release import Release
    from thumblab_pipelines.evaluation.figures import Evaluation
    from thumblab_pipelines.evaluation.on_catalogue import CatalogueEvaluation

_ADAPTED = "adapted"
_AUCS = ("auc_all", "auc_2x")
_FIELDS = ("value", "low", "high", "pairs")

Figure = dict[str, Any]
"""A figure with the keys `value`, `low`, `high` and `pairs`.

`low` and `high` are the ends of the 95 % interval, or None if there is no interval. `pairs` is the number of pairs.
"""

Figures = dict[str, Figure | None]
"""The AUC on all pairs (`auc_all`), and on pairs whose winner has at least twice the loser's views (`auc_2x`).

None means that the AUC was not measured.
"""

ModelFigures = Mapping[tuple[str, str, str], Figure]
"""The model's figures by split, slice and metric. A slice is a part of a split's pairs, such as one channel's pairs."""


def as_object(evaluations: Sequence["Evaluation"], unadapted: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures of a model as a JSON object: for all channels together and for each channel, with and without
    channel adapters.

    `unadapted` is the name of the split with the figures without adapters. `names` maps the id of a channel to its
    title. In the result, `adapted` is None if the model was adapted to no channel.
    """
    figures = _model_figures(evaluations)
    adapted = _overall(figures, _ADAPTED)
    return {
        **_overall(figures, unadapted),
        "adapted": adapted if adapted["auc_all"] is not None else None,
        "channels": [
            {
                "channel_id": channel,
                "name": names.get(channel, ""),
                "pairs": max(
                    figure["pairs"]
                    for figure in (*without_adapter.values(), *with_adapter.values())
                    if figure is not None
                ),
                **without_adapter,
                **{f"adapted_{name}": figure for name, figure in with_adapter.items()},
            }
            for channel, without_adapter, with_adapter in _by_channel(figures, unadapted)
        ],
        "evaluations": [asdict(evaluation) for evaluation in evaluations],
    }


def print_catalogue_evaluation(
    console: Console, model: "Release", evaluated: "CatalogueEvaluation", share: float | None, names: Mapping[str, str]
) -> None:
    """Print the AUC of a model on a catalogue, for all channels together and for each channel. Also print which videos
    and pairs were left out, and why.

    `share` is the fraction of each channel's videos that was used to adapt the model, or None without adaptation.
    `names` maps the id of a channel to its title.
    """
    from thumblab_pipelines.evaluation.on_catalogue import UNADAPTED

    figures = _model_figures(evaluated.evaluations)
    words = ("", "", "all pairs", "with a 2x gap")
    made = table(*words, "pairs", words=words, title=f"AUC of {model.release_id}")
    rows = [("all channels", _overall(figures, UNADAPTED), _overall(figures, _ADAPTED))]
    rows += [
        (names.get(channel, channel), without_adapter, with_adapter)
        for channel, without_adapter, with_adapter in _by_channel(figures, UNADAPTED)
    ]
    for name, *both in rows:
        for how, aucs in zip(("not adapted", "adapted"), both, strict=True):
            if (auc_all := aucs["auc_all"]) is not None:
                shown = Text(printable(name)) if how == "not adapted" else Text()
                made.add_row(shown, how, *map(_cell, aucs.values()), f"{auc_all['pairs']:,}")
    console.print(made)
    for line in _remarks(evaluated, share):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _remarks(evaluated: "CatalogueEvaluation", share: float | None) -> Iterator[str]:
    info = evaluated.pairs_release.info
    yield f"The pairs were made of {info['videos']:,} videos of {info['channels']:,} channels."
    left_out = {reason: count for reason, count in info["excluded"].items() if count}
    if left_out:
        yield f"Left out: {'; '.join(f'{count} {reason}' for reason, count in left_out.items())}."
    if share is not None:
        yield (
            f"{evaluated.channels_adapted} channels had enough videos in their first {share:.0%} by date to adapt to; "
            "all channels were evaluated on the rest only."
        )
    if evaluated.trained_on is None:
        yield "The release does not record the model's training videos, so some of these videos may be among them."
    elif evaluated.trained_on["videos"]:
        yield (
            f"The model was trained on {evaluated.trained_on['videos']:,} of the videos; "
            f"{evaluated.trained_on['pairs']:,} pairs with one of them were left out."
        )
    else:
        yield "The model was trained on none of these videos."


def _model_figures(evaluations: Sequence["Evaluation"]) -> dict[tuple[str, str, str], Figure]:
    """Return the figures of the model as a `ModelFigures`. A figure that could not be measured is left out."""
    return {
        (e.split, e.slice, e.metric): {name: getattr(e, name) for name in _FIELDS}
        for e in evaluations
        if (e.question, e.scorer) == ("package", "model") and e.value is not None
    }


def _overall(figures: ModelFigures, split: str) -> Figures:
    return {name: figures.get((split, name.removeprefix("auc_"), "auc")) for name in _AUCS}


def _by_channel(figures: ModelFigures, unadapted: str) -> Iterator[tuple[str, Figures, Figures]]:
    """Yield the id of each channel that has figures, its figures without an adapter, and its figures with its
    adapter.
    """
    splits = (unadapted, _ADAPTED)
    slices = dict.fromkeys(s for split, s, _ in figures if split in splits and s.startswith(CHANNEL_SLICE))
    for name in slices:
        without_adapter, with_adapter = (
            {"auc_all": figures.get((split, name, "auc")), "auc_2x": figures.get((split, name, "auc_2x"))}
            for split in splits
        )
        yield name.removeprefix(CHANNEL_SLICE), without_adapter, with_adapter


def _cell(figure: Figure | None) -> str:
    return "" if figure is None else figure_text(figure["value"], figure["low"], figure["high"])
