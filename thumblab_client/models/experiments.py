"""The bodies and answers of `/v1/experiments`.

This file is generated: change `thumblab_serving/schemas/experiments.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class VariantOut:
    """A variant of a stored experiment."""

    sha256: str | None
    """The SHA-256 of the picture's file; null if only titles were tested."""

    title: str | None
    watch_time_share: float | None
    """Fraction of the test's watch time, 0 to 1."""

    impressions: int | None


@dataclass(frozen=True, kw_only=True)
class ExperimentOut:
    """A stored experiment."""

    experiment_id: int
    channel_id: str
    channel_title: str | None
    """The channel's title. Null if the lab has not collected the channel."""

    video_id: str
    started_on: date
    ended_on: date | None
    outcome: Literal["winner", "performed_the_same", "inconclusive"]
    winner: int | None
    """The number of the winning variant, counted from 1."""

    tested: Literal["pictures", "titles", "pictures and titles"]
    """In what the variants differ."""

    note: str | None
    """How the shares of watch time contradict the outcome; null if they do not."""

    changed_at: datetime
    """When the lab stored or last changed the experiment."""

    variants: list[VariantOut]


@dataclass(frozen=True, kw_only=True)
class StoredExperimentOut:
    """The experiment of a request, in the form in which it is now stored."""

    experiment_id: int
    channel_id: str
    channel_title: str | None
    """The channel's title. Null if the lab has not collected the channel."""

    video_id: str
    started_on: date
    ended_on: date | None
    outcome: Literal["winner", "performed_the_same", "inconclusive"]
    winner: int | None
    """The number of the winning variant, counted from 1."""

    tested: Literal["pictures", "titles", "pictures and titles"]
    """In what the variants differ."""

    note: str | None
    """How the shares of watch time contradict the outcome; null if they do not."""

    changed_at: datetime
    """When the lab stored or last changed the experiment."""

    variants: list[VariantOut]
    state: Literal["new", "changed", "unchanged"]
    """`changed`: an experiment of the same channel, video and first day was replaced. `unchanged`: the same facts were
    stored before.
    """


@dataclass(frozen=True, kw_only=True)
class ExperimentsOut:
    """A page of the stored experiments, the newest first."""

    experiments: list[ExperimentOut]
    next_cursor: str | None
    """Send this text as `cursor` to get the next page. Null on the last page."""
