"""Read the claims of predictions about candidates whose outcome is known.

The winner of an experiment forms a decided pair with each loser. The claim about a pair is the probability with which
the winner wins, by the answer of the service:

    p = p_winner / (p_winner + p_loser)

p_winner and p_loser are the win probabilities in the answer. Win probabilities follow the Bradley-Terry-Luce model, so
the ratio p is the probability that the winner beats the loser. If the model's skill was not proven, the answer orders
the candidates by evidence and has no probabilities. In this case, the claim is only the order.

Two published candidates of one channel form a pair too. The claim about two published candidates is that the candidate
with the higher score is better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, groupby
from typing import Any

from sqlalchemy import Connection, text

_TESTED = text("""
SELECT p.model_release, p.channel_id, p.scored_at, p.ordered_by, o.prediction_id, o.experiment_id, o.variant, o.result,
       c.win_probability, c.rank
FROM prediction_outcomes o JOIN predictions p USING (prediction_id)
JOIN prediction_candidates c USING (prediction_id, position)
WHERE o.experiment_id IS NOT NULL
ORDER BY o.experiment_id, p.scored_at, o.prediction_id, o.variant
""")
_PUBLISHED = text("""
SELECT p.model_release, p.channel_id, p.knowledge, p.scored_at, o.video_id, c.score, o.excess
FROM prediction_outcomes o JOIN predictions p USING (prediction_id)
JOIN prediction_candidates c USING (prediction_id, position)
WHERE o.video_id IS NOT NULL AND o.excess IS NOT NULL AND c.score IS NOT NULL
ORDER BY p.scored_at, o.prediction_id
""")


EVIDENCE = "evidence"
"""The value of `ordered_by` in an answer that orders by evidence, because the model's skill was not proven."""


@dataclass(frozen=True)
class DecidedPair:
    """Two candidates of a prediction: the winner of an experiment and one of its losers.

    `winner` and `loser`: positions of their variants. `claimed`: the probability (0 to 1) that the answer gave to the
    winner, or None if the answer was ordered by evidence. `order`: 1 if the answer ranked the winner above the loser, 0
    if it ranked the winner below the loser, and 0.5 for equal ranks.
    """

    release: str
    channel_id: str
    scored_at: datetime
    experiment_id: int
    winner: int
    loser: int
    claimed: float | None
    order: float


@dataclass(frozen=True)
class PublishedCandidate:
    """A published candidate, with its score in the answer and its log views above the channel's trend."""

    release: str
    channel_id: str
    knowledge: str
    scored_at: datetime
    video_id: str
    score: float
    excess: float


@dataclass(frozen=True)
class PublishedPair:
    """Two published candidates of a channel. `winner` got more views above the trend than `loser`."""

    release: str
    channel_id: str
    winner: PublishedCandidate
    loser: PublishedCandidate

    @property
    def scored_at(self) -> datetime:
        """The time at which the later of the two candidates was scored. The claim about the pair exists from this time
        on."""
        return max(self.winner.scored_at, self.loser.scored_at)


def decided_pairs(connection: Connection) -> list[DecidedPair]:
    """Return the decided pairs of experiments about which an answer made a claim. The oldest claims come first."""
    pairs = []
    rows = connection.execute(_TESTED)
    for _, group in groupby(rows, key=lambda row: (row.experiment_id, row.prediction_id)):
        tested = list(group)
        losers = [row for row in tested if row.result == "lost"]
        for winner in (row for row in tested if row.result == "won"):
            pairs += [pair for loser in losers if (pair := _pair(winner, loser)) is not None]
    return sorted(pairs, key=lambda pair: pair.scored_at)


def latest_pairs(pairs: Sequence[DecidedPair]) -> list[DecidedPair]:
    """Return each decided pair of an experiment once, with its latest claim.

    `pairs` must begin with the oldest claim. A person may ask about the same pictures several times. If each answer
    were used, pictures that were asked about often would have a larger weight.
    """
    return list({(pair.experiment_id, pair.winner, pair.loser): pair for pair in pairs}.values())


def published_candidates(connection: Connection) -> list[PublishedCandidate]:
    """Return the published candidates whose score and views are known.

    If several predictions of a model release are about the same video, only the latest prediction is used.
    """
    latest = {}
    for row in connection.execute(_PUBLISHED):
        latest[row.model_release, row.video_id] = PublishedCandidate(
            row.model_release, row.channel_id, row.knowledge, row.scored_at, row.video_id, row.score, row.excess
        )
    return list(latest.values())


def published_pairs(candidates: Sequence[PublishedCandidate]) -> list[PublishedPair]:
    """Return all pairs of published candidates whose scores can be compared.

    Scores are percentiles. Two scores can be compared if they have the same model release, channel and `knowledge`.
    `knowledge` says which data of the channel the model used. A pair with equal views above the trend is left out.
    """

    def comparable(candidate: PublishedCandidate) -> tuple[str, str, str]:
        return candidate.release, candidate.channel_id, candidate.knowledge

    pairs = []
    for (release, channel_id, _), group in groupby(sorted(candidates, key=comparable), key=comparable):
        for one, other in combinations(group, 2):
            if one.excess != other.excess:
                winner, loser = (one, other) if one.excess > other.excess else (other, one)
                pairs.append(PublishedPair(release, channel_id, winner, loser))
    return pairs


def latest_published_pairs(pairs: Sequence[PublishedPair]) -> list[PublishedPair]:
    """Return each pair of videos once, with its latest claim.

    Several model releases may have scored the same two videos. If the claim of each release were used, videos that were
    scored often would have a larger weight.
    """
    by_time = sorted(pairs, key=lambda pair: pair.scored_at)
    return list({frozenset((pair.winner.video_id, pair.loser.video_id)): pair for pair in by_time}.values())


def _pair(winner: Any, loser: Any) -> DecidedPair | None:
    """Return the pair of candidates from two rows of the query `_TESTED`. Return None if the answer made no claim about
    the pair.
    """
    if winner.rank is None or loser.rank is None:
        return None
    claimed = None
    if winner.ordered_by != EVIDENCE:
        if winner.win_probability is None or loser.win_probability is None:
            return None
        total = winner.win_probability + loser.win_probability
        claimed = winner.win_probability / total if total > 0 else 0.5
    return DecidedPair(
        winner.model_release,
        winner.channel_id,
        winner.scored_at,
        winner.experiment_id,
        winner.variant,
        loser.variant,
        claimed,
        (winner.rank < loser.rank) + 0.5 * (winner.rank == loser.rank),
    )
