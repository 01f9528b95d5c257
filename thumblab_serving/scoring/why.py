"""Explain why the score of each candidate differs from the winner's score. The winner is compared with the second-best
candidate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from thumblab_core.ranking.confidence import is_too_close, percent
from thumblab_core.ranking.contributions import CONTRIBUTORS, contributions
from thumblab_core.ranking.skill import ONE_TITLE, PACKAGE
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_serving.schemas.verdict import Question, Verdict
from thumblab_serving.schemas.why import ContributionOut, WhyOut
from thumblab_serving.scoring.rank import Ranking, RankingContext

_NAMES = {
    "picture": "the picture",
    "title": "the title",
    "match": "the match of picture and title",
    "channel": "the channel's history",
}

_LONGEST_NAME = 60
"""Maximum length of a candidate's id in a sentence, in characters."""


def explained(ranking: Ranking, query: RankingContext, ranker: TrainedRanker) -> Ranking:
    """Return the ranking with the field `why` of each picture filled in."""
    found = explain(list(ranking.pictures), ranking, query, ranker)
    pictures = {name: replace(picture, why=found[name]) for name, picture in ranking.pictures.items()}
    return replace(ranking, pictures=pictures)


def explain(
    names: Sequence[str],
    ranking: Ranking,
    query: RankingContext,
    ranker: TrainedRanker,
    ids: Mapping[str, str] | None = None,
) -> Mapping[str, WhyOut]:
    """Return, for each picture in `names`, why its score differs from another picture's score, or why this is unknown.

    A winner is compared with the best picture that is not near-identical to it. Every other picture is compared with
    the winner. `ids` maps the names of pictures in `ranking` to the ids of the pictures, if names and ids differ.
    """
    opponents = {name: _opponent(name, ranking) for name in names}
    known = {name: opponent for name, opponent in opponents.items() if opponent is not None}
    why = {name: _unknown(_reason(name, ranking, query.question)) for name in names if name not in known}
    if not known:
        return why
    first, second = (np.stack([ranking.inputs[name] for name in side]) for side in (known, known.values()))
    split = contributions(ranker.model, first, second, query.adapter)
    for (name, opponent), differences in zip(known.items(), split, strict=True):
        total = float(np.abs(differences).sum())
        parts = [
            ContributionOut(of=of, difference=float(part), share=float(part) / total if total > 0 else 0.0)
            for of, part in zip(CONTRIBUTORS, differences, strict=True)
        ]
        other, title = opponent if ids is None else ids[opponent], query.titles[opponent].text
        called = _shortened(other) if query.question == ONE_TITLE else f"“{title}” with {_shortened(other)}"
        why[name] = WhyOut(
            against=other,
            against_title=title,
            difference=float(differences.sum()),
            contributions=parts,
            unknown=None,
            summary=_summary(parts, called) + _doubt(name, opponent, ranking),
        )
    return {name: why[name] for name in names}


def _opponent(name: str, ranking: Ranking) -> str | None:
    """Return the picture with which a picture is compared, or None if there is no such picture."""
    if ranking.winner is None or name not in ranking.strengths:
        return None
    if ranking.pictures[name].rank != 1:
        return ranking.winner
    return next((other for other, picture in ranking.pictures.items() if picture.rank == 2), None)


def _reason(name: str, ranking: Ranking, question: Question) -> str:
    """Return a clause that says why a picture's score cannot be explained."""
    if ranking.verdict is Verdict.NO_SKILL:
        what = "such packages" if question == PACKAGE else "such pictures"
        return f"the model was not shown to order {what} better than chance, so its score says nothing about views"
    if name in ranking.unfamiliar:
        return "the picture is unlike every picture that the model was trained on, so it has no score"
    if ranking.verdict is Verdict.NO_VERDICT:
        return "no other candidate is like anything that the model was trained on"
    if name in ranking.strengths:
        return "all other candidates are near-identical to it"
    return "there is no other candidate to compare it with"


def _unknown(reason: str) -> WhyOut:
    return WhyOut(
        against=None,
        against_title=None,
        difference=None,
        contributions=[],
        unknown=reason,
        summary=f"Unknown: {reason}.",
    )


def _shortened(name: str) -> str:
    """Return the id of a candidate. Only the end of a long id, such as a path, is kept."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _summary(parts: Sequence[ContributionOut], other: str) -> str:
    """Return the contributions in a sentence, the largest first. A contribution that rounds to 0 % is left out."""
    clauses = [
        f"{_NAMES[part.of]} speaks {'for' if part.share > 0 else 'against'} it ({percent(abs(part.share))} %)"
        for part in sorted(parts, key=lambda part: -abs(part.share))
        if percent(abs(part.share)) > 0
    ]
    if not clauses:
        return f"The model sees no difference to {other}."
    return f"Compared with {other}, {', '.join(clauses)}."


def _doubt(name: str, opponent: str, ranking: Ranking) -> str:
    """Return a sentence if the two pictures are too close to call, or else an empty text."""
    gap = abs(ranking.strengths[name] - ranking.strengths[opponent])
    return " Their difference is too close to call." if is_too_close(1.0 / (1.0 + math.exp(-gap))) else ""
