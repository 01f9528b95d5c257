"""The field `test_plan` of an answer: how to test two of the candidates on YouTube.

This file is generated: change `thumblab_serving/schemas/plan.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PairOut:
    """The two candidates to test."""

    first: str
    """The id of the candidate with the highest score. Without a test, this candidate would be published."""

    second: str
    """The id of the candidate to test against `first`. With this candidate, the outcome is the least certain."""

    win_probability: float
    """The model's probability that `first` wins."""

    information: float
    """The expected information of the outcome, in bits."""


@dataclass(frozen=True, kw_only=True)
class AlikeOut:
    """Two candidates that look the same."""

    first: str
    second: str
    bits: int
    """In how many of 64 bits the perceptual hashes of the two candidates differ."""


@dataclass(frozen=True, kw_only=True)
class PlanOut:
    """The number of impressions that a test of two candidates needs, the two candidates to test, and candidates that
    are too similar for a test.
    """

    click_through_rate: float
    """The click-through rate on which the number of impressions is based."""

    click_through_rate_of: Literal["channel", "assumed"]
    """`channel`: the usual rate of the channel, by the figures that its owner imported. `assumed`: a usual rate of
    YouTube; `assumed_because` says why.
    """

    assumed_because: str | None
    """Why the rate is assumed: the request names no channel, the lab knows fewer than 1,000 impressions of the
    channel, or the channel does not belong to the API key. Null if the rate is the channel's own rate.
    """

    lift: float
    """The smallest relative difference of two click-through rates that the test should find."""

    power: float
    """The probability that the test finds this difference."""

    alpha: float
    """The probability that the test finds a difference that does not exist."""

    impressions_per_variant: int
    """Impressions that each of the two candidates needs."""

    pair: PairOut | None
    """The candidates to test. Null if no two candidates are worth a test (see `advice`)."""

    too_alike: list[AlikeOut]
    """Pairs of candidates that look alike. A test of such a pair would hardly find a difference."""

    advice: str | None
    """What to do instead of a test, if `pair` is null."""
