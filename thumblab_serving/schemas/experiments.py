"""The bodies and answers of `/v1/experiments`."""

import re
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from thumblab_core.experiments.records import LEAST_VARIANTS, MOST_VARIANTS, Place, StoredExperiment
from thumblab_core.experiments.rules import MOST_IMPRESSIONS
from thumblab_core.images import FORMAT_NAMES
from thumblab_serving.schemas.alternatives import not_both
from thumblab_serving.schemas.library import VideoId
from thumblab_serving.schemas.request import MAX_URL, URL_HELP, ChannelName
from thumblab_serving.schemas.strict import AS_WHOLE, Number, StrictModel
from thumblab_serving.schemas.title import Title

MOST_LISTED = 100
"""Maximum number of experiments in an answer."""

Outcome = Literal["winner", "performed_the_same", "inconclusive"]

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURSOR = r"([1-9][0-9]{0,5})\.([0-9]{1,10})"
"""Regular expression of a cursor: the number of a day (1 is 1 January of the year 1), and the id of an experiment.

Every text of this form is a valid cursor, so the OpenAPI document says exactly which cursors are accepted.
"""


def place_of(cursor: str) -> Place:
    """Return the place in the list to which a cursor points. Raises `ValueError` if the text is not a cursor."""
    match = re.fullmatch(_CURSOR, cursor)
    if match is None:
        raise ValueError("give the next_cursor of the previous answer, or leave the cursor out")
    return Place(date.fromordinal(int(match[1])), int(match[2]))


def _day(value: object) -> object:
    """Return a text of the form YYYY-MM-DD unchanged. Raises `ValueError` for any other value.

    Without this check, pydantic would also accept numbers, and read them as seconds since 1970.
    """
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        raise ValueError("write the day as YYYY-MM-DD")
    return value


Day = Annotated[date, BeforeValidator(_day)]


def _cursor(cursor: str) -> str:
    place_of(cursor)
    return cursor


Cursor = Annotated[
    str,
    StringConstraints(max_length=40),
    AfterValidator(_cursor),
    WithJsonSchema({"type": "string", "pattern": f"^{_CURSOR}$"}),
]


class VariantIn(StrictModel):
    """A variant of an experiment: a picture, a title, or both.

    Either all variants have a picture, or no variant has a picture. Either all variants have a title, or no variant has
    a title.
    """

    model_config = ConfigDict(json_schema_extra=not_both("url", "image_base64"))

    title: Title | None = None
    url: str | None = Field(default=None, max_length=MAX_URL, description=URL_HELP)
    image_base64: str | None = Field(
        default=None, description=f"The picture file ({FORMAT_NAMES}) in base64, with or without a `data:` prefix."
    )
    watch_time_share: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        default=None,
        description="Share of watch time. Give percentages that add up to 100, or fractions that add up to 1.",
    )
    impressions: Annotated[int, Strict(), Field(ge=0, le=MOST_IMPRESSIONS), AS_WHOLE] | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.url is not None and self.image_base64 is not None:
            raise ValueError("give url or image_base64, not both")
        return self


class ExperimentRequest(StrictModel):
    """The outcome of a test of two or three variants on one video."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "channel_id": "UCBJycsmduvYEL83R_U4JriQ",
                    "video_id": "dQw4w9WgXcQ",
                    "started_on": "2026-11-01",
                    "ended_on": "2026-11-09",
                    "outcome": "winner",
                    "variants": [
                        {"url": "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxres1.jpg", "watch_time_share": 46.1},
                        {"url": "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxres2.jpg", "watch_time_share": 53.9},
                    ],
                }
            ]
        }
    )
    channel_id: ChannelName = Field(
        description="The channel, by its id or link, or by the exact title or the @handle of a channel that the lab has. "
        "An id (UC...) is accepted even if the lab does not know the channel."
    )
    video_id: VideoId = Field(
        description="The YouTube id of the video, or the id of a video that the lab has.",
    )
    started_on: Day = Field(description="The first day of the test.")
    ended_on: Day | None = Field(default=None, description="The last day of the test.")
    outcome: Outcome = Field(description="The outcome that YouTube shows for the test.")
    winner: Annotated[int, Strict(), Field(ge=1, le=MOST_VARIANTS), AS_WHOLE] | None = Field(
        default=None,
        description="The number of the winning variant, counted from 1. Default: the variant with the largest share.",
    )
    variants: list[VariantIn] = Field(min_length=LEAST_VARIANTS, max_length=MOST_VARIANTS)


class ExperimentQuery(StrictModel):
    """The query of `GET /v1/experiments`."""

    channel_id: ChannelName | None = Field(default=None, description="List only the experiments of this channel.")
    limit: int = Field(default=20, ge=1, le=MOST_LISTED, description="The maximum number of experiments in the answer.")
    cursor: Cursor | None = Field(default=None, description="The `next_cursor` of the previous answer.")


class VariantOut(StrictModel):
    """A variant of a stored experiment."""

    sha256: str | None = Field(description="The SHA-256 of the picture's file; null if only titles were tested.")
    title: str | None
    watch_time_share: float | None = Field(description="Fraction of the test's watch time, 0 to 1.")
    impressions: int | None


class ExperimentOut(StrictModel):
    """A stored experiment."""

    experiment_id: int
    channel_id: str
    channel_title: str | None = Field(description="The channel's title. Null if the lab has not collected the channel.")
    video_id: str
    started_on: date
    ended_on: date | None
    outcome: Outcome
    winner: int | None = Field(description="The number of the winning variant, counted from 1.")
    tested: Literal["pictures", "titles", "pictures and titles"] = Field(description="In what the variants differ.")
    note: str | None = Field(description="How the shares of watch time contradict the outcome; null if they do not.")
    changed_at: datetime = Field(description="When the lab stored or last changed the experiment.")
    variants: list[VariantOut]


class StoredExperimentOut(ExperimentOut):
    """The experiment of a request, in the form in which it is now stored."""

    state: Literal["new", "changed", "unchanged"] = Field(
        description=(
            "`changed`: an experiment of the same channel, video and first day was replaced. `unchanged`: the same facts "
            "were stored before."
        )
    )


class ExperimentsOut(StrictModel):
    """A page of the stored experiments, the newest first."""

    experiments: list[ExperimentOut]
    next_cursor: str | None = Field(
        description="Send this text as `cursor` to get the next page. Null on the last page."
    )


def facts_of(stored: StoredExperiment) -> dict[str, object]:
    """Return the facts of a stored experiment under the names that the fields of `ExperimentOut` have."""
    experiment = stored.experiment
    return {
        "experiment_id": stored.experiment_id,
        "channel_id": experiment.channel_id,
        "channel_title": stored.channel_title,
        "video_id": experiment.video_id,
        "started_on": experiment.started_on,
        "ended_on": experiment.ended_on,
        "outcome": experiment.outcome,
        "winner": experiment.winner,
        "tested": experiment.tested,
        "note": experiment.contradiction or None,
        "changed_at": stored.changed_at,
        "variants": [VariantOut(**vars(variant)) for variant in experiment.variants],
    }


def page_of(stored: list[StoredExperiment], limit: int) -> ExperimentsOut:
    """Return a page of at most `limit` experiments. `stored` has `limit` + 1 experiments if there is a next page."""
    shown = stored[:limit]
    last = shown[-1] if len(stored) > limit else None
    return ExperimentsOut(
        experiments=[ExperimentOut.model_validate(facts_of(one)) for one in shown],
        next_cursor=None if last is None else f"{last.experiment.started_on.toordinal()}.{last.experiment_id}",
    )
