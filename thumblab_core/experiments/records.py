"""Define the records of an experiment in two forms: as a person gives it, and as the lab stores it.

An experiment is a test of two or three variants on one video, such as YouTube's Test & Compare. YouTube decides by the
share of watch time that each variant gets. Its decision is one of three outcomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, TypeVar

WINNER, PERFORMED_THE_SAME, INCONCLUSIVE = "winner", "performed_the_same", "inconclusive"
OUTCOMES = (WINNER, PERFORMED_THE_SAME, INCONCLUSIVE)
"""The three outcomes of YouTube's Test & Compare."""

LEAST_VARIANTS, MOST_VARIANTS = 2, 3
"""YouTube tests two or three variants at a time."""

P = TypeVar("P")
"""The type of the source of a picture. In the commands, the source is a path. In the service, it is a part of a
request.
"""


@dataclass(frozen=True)
class GivenVariant(Generic[P]):
    """A variant as a person gave it.

    `share`: the variant's share of watch time as a percentage or a fraction, or None if the person did not give it.
    """

    picture: P | None = None
    title: str | None = None
    share: float | None = None
    impressions: int | None = None


@dataclass(frozen=True)
class GivenExperiment(Generic[P]):
    """An experiment as a person gave it. `channel` is an id, an exact title or a @handle.

    `winner` is the position of the winning variant, from 1. `winner` may be None if the shares of watch time show who
    won.
    """

    channel: str
    video_id: str
    started_on: date
    outcome: str
    variants: Sequence[GivenVariant[P]]
    ended_on: date | None = None
    winner: int | None = None


@dataclass(frozen=True)
class Variant:
    """A variant to store. `sha256`: the key of its picture in the image store. `watch_time_share`: from 0 to 1."""

    sha256: str | None
    title: str | None
    watch_time_share: float | None = None
    impressions: int | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment to store.

    `winner`: the position of the winning variant, from 1. `winner` is None if the outcome is not `winner`.
    """

    channel_id: str
    video_id: str
    started_on: date
    ended_on: date | None
    outcome: str
    winner: int | None
    variants: tuple[Variant, ...] = field(default=())

    @property
    def tested(self) -> str:
        """The part that differs between the variants: pictures, titles, or both."""
        pictures = len({variant.sha256 for variant in self.variants}) > 1
        titles = len({variant.title for variant in self.variants}) > 1
        return "pictures and titles" if pictures and titles else "titles" if titles else "pictures"

    @property
    def contradiction(self) -> str:
        """A sentence that says how the shares of watch time contradict the outcome.

        The sentence is empty if no variant won, if the winner has the largest share, or if the shares are not known.

        An experiment with a contradiction can be stored, because a person may have noted the shares and the outcome on
        different days.
        """
        shares = known_shares([variant.watch_time_share for variant in self.variants])
        if self.winner is None or shares is None or shares[self.winner - 1] >= max(shares):
            return ""
        largest = shares.index(max(shares)) + 1
        return f"variant {self.winner} won, but variant {largest} has the largest share of watch time"


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment that the lab has stored, with the number that identifies it. `channel_title` is None if the lab has
    not collected the channel.
    """

    experiment_id: int
    channel_title: str | None
    changed_at: datetime
    experiment: Experiment


@dataclass(frozen=True)
class Place:
    """The position of an experiment in a list that is sorted by the first day, and then by the number of the
    experiment.
    """

    started_on: date
    experiment_id: int


def known_shares(shares: Sequence[float | None]) -> list[float] | None:
    """Return the shares of watch time, or None if one of them is not known."""
    known = [share for share in shares if share is not None]
    return known if len(known) == len(shares) else None
