"""The figures of a model, adapted and not, overall and per channel: as one object and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from thumblab_cli.printing.tables import table

if TYPE_CHECKING:
    from thumblab_core.releases.release import Release
    from thumblab_pipelines.evaluation.on_catalogue import CatalogueEvaluation
    from thumblab_pipelines.evaluation.questions import Evaluation

_CHANNEL = "channel:"
_ADAPTED = "adapted"
_NAMED = ("auc_all", "auc_2x")

Figures = dict[str, dict[str, Any] | None]


def as_object(evaluations: Sequence["Evaluation"], plain: str, names: Mapping[str, str]) -> dict[str, Any]:
    """`auc_all` and `auc_2x` of the split `plain`, of `adapted` (None where nobody was adapted to), and both per channel.

    A figure is its value, the ends of its 95 % interval and how many pairs it is of; None where there is none.
    """
    found = _model(evaluations)
    adapted = _overall(found, _ADAPTED)
    return {
        **_overall(found, plain),
        "adapted": adapted if adapted["auc_all"] is not None else None,
        "channels": [
            {
                "channel_id": channel,
                "name": names.get(channel, ""),
                "pairs": max(figure["pairs"] for figure in (*own.values(), *known.values()) if figure is not None),
                **own,
                **{f"adapted_{name}": figure for name, figure in known.items()},
            }
            for channel, own, known in _channels(found, plain)
        ],
        "evaluations": [asdict(evaluation) for evaluation in evaluations],
    }


def print_catalogue_evaluation(
    console: Console, model: "Release", judged: "CatalogueEvaluation", share: float | None, names: Mapping[str, str]
) -> None:
    """The model on a catalogue: all of it, then channel by channel, and what it was not asked."""
    from thumblab_pipelines.evaluation.on_catalogue import UNADAPTED

    found = _model(judged.evaluations)
    words = ("", "", "all pairs", "with a 2x gap")
    made = table(*words, "pairs", words=words, title=f"AUC of {model.release_id}")
    rows = [("all channels", _overall(found, UNADAPTED), _overall(found, _ADAPTED))]
    rows += [(names.get(channel, channel), own, known) for channel, own, known in _channels(found, UNADAPTED)]
    for name, *both in rows:
        for how, figures in zip(("not adapted", "adapted"), both, strict=True):
            if (first := figures["auc_all"]) is not None:
                shown = Text(_printable(name)) if how == "not adapted" else Text()
                made.add_row(shown, how, *map(_cell, figures.values()), f"{first['pairs']:,}")
    console.print(made)
    for line in _remarks(judged, share):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _remarks(judged: "CatalogueEvaluation", share: float | None) -> Iterator[str]:
    info = judged.pairs_release.info
    yield f"{info['videos']:,} videos of {info['channels']:,} channels made the pairs."
    left_out = {reason: count for reason, count in info["excluded"].items() if count}
    if left_out:
        yield f"Left out: {'; '.join(f'{count} {reason}' for reason, count in left_out.items())}."
    if share is not None:
        yield (
            f"{judged.channels_adapted} channels had history enough in their first {share:.0%} by date; all were judged on "
            "the rest alone."
        )
    if judged.seen is None:
        yield "The model does not say what it was trained on, so it may have seen some of these videos."
    elif judged.seen["videos"]:
        yield (
            f"The model was trained on {judged.seen['videos']:,} of the videos: {judged.seen['pairs']:,} pairs with one of "
            "them were not judged."
        )
    else:
        yield "The model was trained on none of these videos."


def _model(evaluations: Sequence["Evaluation"]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The model's figures by split, slice and metric; those that could not be measured are left out."""
    told = ("value", "low", "high", "pairs")
    return {
        (e.split, e.slice, e.metric): {name: getattr(e, name) for name in told}
        for e in evaluations
        if e.scorer == "model" and e.value is not None
    }


def _overall(found: Mapping[tuple[str, str, str], dict[str, Any]], split: str) -> Figures:
    return {name: found.get((split, name.removeprefix("auc_"), "auc")) for name in _NAMED}


def _channels(
    found: Mapping[tuple[str, str, str], dict[str, Any]], plain: str
) -> Iterator[tuple[str, Figures, Figures]]:
    """Each channel that has figures, with those of it as it is and adapted."""
    slices = dict.fromkeys(s for split, s, _ in found if split in (plain, _ADAPTED) and s.startswith(_CHANNEL))
    for name in slices:
        own, known = (
            {"auc_all": found.get((split, name, "auc")), "auc_2x": found.get((split, name, "auc_2x"))}
            for split in (plain, _ADAPTED)
        )
        yield name.removeprefix(_CHANNEL), own, known


def _cell(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return ""
    if figure["low"] is None or figure["high"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _printable(title: str) -> str:
    """A title is whatever its owner wrote, and a terminal obeys what it is sent."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in title)
