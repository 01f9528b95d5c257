"""The field `test_plan` of an answer: how to test two of the candidates on YouTube."""

from typing import Literal

from pydantic import Field

from thumblab_serving.schemas.strict import FrozenModel


class PairOut(FrozenModel):
    """The two candidates to test."""

    first: str = Field(
        description=(
            "The id of the candidate with the highest score. Without a test, this candidate would be published."
        )
    )
    second: str = Field(
        description=(
            "The id of the candidate to test against `first`. With this candidate, the outcome is the least certain."
        )
    )
    win_probability: float = Field(ge=0.5, le=1, description="The model's probability that `first` wins.")
    information: float = Field(ge=0, le=1, description="The expected information of the outcome, in bits.")


class AlikeOut(FrozenModel):
    """Two candidates that look the same."""

    first: str
    second: str
    bits: int = Field(
        ge=0, le=64, description="In how many of 64 bits the perceptual hashes of the two candidates differ."
    )


class PlanOut(FrozenModel):
    """The number of impressions that a test of two candidates needs, the two candidates to test, and candidates that
    are too similar for a test.
    """

    click_through_rate: float = Field(
        gt=0, lt=1, description="The click-through rate on which the number of impressions is based."
    )
    click_through_rate_of: Literal["channel", "assumed"] = Field(
        description=(
            "`channel`: the usual rate of the channel, by the figures that its owner imported. `assumed`: a usual rate of "
            "YouTube; `assumed_because` says why."
        )
    )
    assumed_because: str | None = Field(
        description=(
            "Why the rate is assumed: the request names no channel, the lab knows fewer than 1,000 impressions of the "
            "channel, or the channel does not belong to the API key. Null if the rate is the channel's own rate."
        )
    )
    lift: float = Field(
        description="The smallest relative difference of two click-through rates that the test should find."
    )
    power: float = Field(description="The probability that the test finds this difference.")
    alpha: float = Field(description="The probability that the test finds a difference that does not exist.")
    impressions_per_variant: int = Field(ge=1, description="Impressions that each of the two candidates needs.")
    pair: PairOut | None = Field(
        description="The candidates to test. Null if no two candidates are worth a test (see `advice`)."
    )
    too_alike: list[AlikeOut] = Field(
        description="Pairs of candidates that look alike. A test of such a pair would hardly find a difference."
    )
    advice: str | None = Field(description="What to do instead of a test, if `pair` is null.")
