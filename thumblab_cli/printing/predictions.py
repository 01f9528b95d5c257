"""Print the kept answers of the scoring service."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rich.console import Console

from thumblab_cli.printing.printable import cell
from thumblab_cli.printing.tables import table
from thumblab_core.predictions import KeptPrediction
from thumblab_core.ranking.confidence import percent

_RESULTS = {"performed_the_same": "the same"}


def print_predictions(
    console: Console, kept: Sequence[KeptPrediction], outcomes: Mapping[UUID, Sequence[Mapping[str, Any]]]
) -> None:
    """Print a table with a row for each prediction. `outcomes` maps a prediction's id to its known outcomes."""
    words = ("scored", "channel", "niche", "title", "verdict", "chances", "outcomes")
    rows = table(*words, words=words)
    for prediction in kept:
        chances = [candidate.win_probability for candidate in prediction.candidates]
        happened = [
            f"{outcome['position']} {_RESULTS.get(outcome['result'], outcome['result'])}"
            for outcome in outcomes.get(prediction.prediction_id, ())
        ]
        rows.add_row(
            f"{prediction.scored_at:%Y-%m-%d %H:%M}",
            cell(prediction.channel_id or "-"),
            prediction.niche,
            cell(prediction.title),
            (prediction.verdict or "-").replace("_", " "),
            ", ".join("-" if chance is None else f"{int(percent(chance))} %" for chance in chances),
            ", ".join(happened) or "-",
        )
    console.print(rows)
