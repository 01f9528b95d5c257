"""Make a report on experiments: the outcomes, how often a model scored the winner highest, and checks of the data."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thumblab_core.experiments.records import (
    INCONCLUSIVE,
    OUTCOMES,
    PERFORMED_THE_SAME,
    WINNER,
    Experiment,
    StoredExperiment,
)
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab

Scores = Mapping[int, Sequence[float]]
"""A key is the number of an experiment. Its value has the scores of the experiment's variants, in their order."""

_PREVIEWED = 10
"""Maximum number of experiments in a preview."""

_NOT_PLAIN = re.compile(r"[^\w .,:;@()-]")
"""Regular expression for every character that could have a meaning in Markdown or HTML, and for control characters."""

_NAMED = 5
"""Maximum number of experiments that are named in a check."""


@dataclass(frozen=True)
class Agreement:
    """How often the variant that a model scored highest won the experiment.

    `compared`: number of experiments that have a winner and scores. `agreed`: number of compared experiments in which
    the winner had the highest score. If k variants share the highest score and one of these variants won, the
    experiment adds 1 / k to `agreed`. `by_chance`: the expected value of `agreed` if the scores were drawn at random.
    """

    compared: int
    agreed: float
    by_chance: float


@dataclass(frozen=True)
class ChannelReport:
    """The number of a channel's experiments, in total and by outcome. `agreement`: None if no scores were given."""

    channel_id: str
    title: str | None
    experiments: int
    winner: int
    performed_the_same: int
    inconclusive: int
    agreement: Agreement | None


def report_channels(stored: Sequence[StoredExperiment], scores: Scores | None = None) -> list[ChannelReport]:
    """Return a report for each channel, in falling order of the number of experiments.

    `scores`: the scores that a model gives the variants. Some experiments may have no scores.
    """
    by_channel: dict[str, list[StoredExperiment]] = {}
    for one in stored:
        by_channel.setdefault(one.experiment.channel_id, []).append(one)
    reports = []
    for channel_id, of_channel in by_channel.items():
        counted = Counter(one.experiment.outcome for one in of_channel)
        reports.append(
            ChannelReport(
                channel_id,
                of_channel[0].channel_title,
                len(of_channel),
                counted[WINNER],
                counted[PERFORMED_THE_SAME],
                counted[INCONCLUSIVE],
                None if scores is None else agreement_of(of_channel, scores),
            )
        )
    return sorted(reports, key=lambda report: (-report.experiments, report.channel_id))


def agreement_of(stored: Sequence[StoredExperiment], scores: Scores) -> Agreement:
    """Return how often the variant with the highest score won. An experiment without winner or scores is left out."""
    compared, agreed, by_chance = 0, 0.0, 0.0
    for one in stored:
        winner, given = one.experiment.winner, scores.get(one.experiment_id)
        if winner is None or given is None:
            continue
        best = [position for position, score in enumerate(given, 1) if score == max(given)]
        compared += 1
        agreed += (winner in best) / len(best)
        by_chance += 1 / len(given)
    return Agreement(compared, agreed, by_chance)


def count_outcomes(stored: Sequence[StoredExperiment]) -> dict[str, int]:
    """Return the number of experiments by outcome. The number is 0 for an outcome that no experiment has."""
    counted = Counter(one.experiment.outcome for one in stored)
    return {outcome: counted[outcome] for outcome in OUTCOMES}


def preview(stored: Sequence[StoredExperiment]) -> str:
    """Return a Markdown table of the first ten experiments. Characters that could break the table become spaces."""
    lines = ["| id | channel | video | started | outcome | tested |", "|---|---|---|---|---|---|"]
    for one in stored[:_PREVIEWED]:
        experiment = one.experiment
        outcome = experiment.outcome if experiment.winner is None else f"{experiment.outcome}: {experiment.winner}"
        cells = (one.channel_title or experiment.channel_id, experiment.video_id, experiment.started_on, outcome)
        texts = [_NOT_PLAIN.sub(" ", str(cell)) for cell in (one.experiment_id, *cells)]
        lines.append(f"| {' | '.join(texts)} | {len(experiment.variants)} {experiment.tested} |")
    return "\n".join(lines)


def check_experiments(lab: Lab, stored: Sequence[StoredExperiment]) -> list[CheckResult]:
    """Check that the image store has all pictures, and that no outcome contradicts the shares of watch time."""
    without = [one for one in stored if _missing(lab, one.experiment)]
    titles_only = sum(all(variant.sha256 is None for variant in one.experiment.variants) for one in stored)
    pictures = f"{len(stored) - titles_only} experiments have pictures, {titles_only} tested titles without pictures"
    if without:
        pictures = (
            f"{_numbers(without)} lack pictures in the image store; add them again with `thumblab experiment add`"
        )
    against = [one for one in stored if one.experiment.contradiction]
    with_shares = sum(one.experiment.variants[0].watch_time_share is not None for one in stored)
    consistent = f"{with_shares} experiments have shares of watch time, and none contradicts its outcome"
    if against:
        consistent = (
            f"{_numbers(against)} disagree: {against[0].experiment.contradiction}; check the outcome and shares"
        )
    return [
        CheckResult(
            "pictures", not without, pictures, figures={"experiments": len(stored), "without_pictures": len(without)}
        ),
        CheckResult(
            "consistent", not against, consistent, True, {"with_shares": with_shares, "contradictions": len(against)}
        ),
    ]


def _missing(lab: Lab, experiment: Experiment) -> bool:
    named = [variant.sha256 for variant in experiment.variants if variant.sha256 is not None]
    return any(not lab.images.has(sha256) for sha256 in named)


def _numbers(stored: Sequence[StoredExperiment]) -> str:
    shown = ", ".join(str(one.experiment_id) for one in stored[:_NAMED])
    more = f" and {len(stored) - _NAMED} more" if len(stored) > _NAMED else ""
    return f"experiments {shown}{more}"
