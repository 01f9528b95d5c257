"""The answers of `GET /v1/lab` and of the routes of niches: what the lab has, and how old its releases are."""

from datetime import date, datetime
from typing import Annotated

from pydantic import ConfigDict, Field, Strict, StringConstraints, WithJsonSchema

from thumblab_core.niches import NICHE_PATTERN
from thumblab_core.niches.niche import (
    LANGUAGE_PATTERN,
    LONGEST_TEXT,
    MOST_CHANNELS,
    MOST_EXCLUDED,
    MOST_SEARCHES,
    REGION_PATTERN,
)
from thumblab_serving.schemas.alternatives import at_least_one
from thumblab_serving.schemas.library import VideoId
from thumblab_serving.schemas.request import ChannelName
from thumblab_serving.schemas.strict import AS_WHOLE, StrictModel
from thumblab_serving.schemas.verdict import SkillOut


class LibraryStateOut(StrictModel):
    """The library of a niche. If no library is served, all fields except `reason` are null."""

    release: str | None
    made_at: datetime | None = Field(description="When the served release was made.")
    videos: int | None
    winners: int | None = Field(
        description="How many videos are winners. Null until this process has loaded the library."
    )
    newest_video: date | None = Field(
        description="When the newest video was published. Null if `winners` is null, or "
        "if the release is of an old version of the lab."
    )
    changed: int | None = Field(description="How many videos were added or removed since the library was built.")
    encoder: str | None = Field(description="The image encoder of the vectors, by its name in the settings.")
    held: str | None = Field(description="Why a person holds the release, so that no newer release replaces it.")
    reason: str | None = Field(description="Why no library is served, or why the promoted release was refused.")


class ModelStateOut(StrictModel):
    """The ranking model. If no model is served, all fields except `reason` are null."""

    release: str | None
    made_at: datetime | None
    videos: int | None = Field(
        description="How many videos the model was trained on. Null if the release is of an old version of the lab."
    )
    channels_adapted: int | None = Field(
        description="The number of channels whose channel adapter was fitted when the model was trained."
    )
    skills: list[SkillOut] = Field(
        description=(
            "The model's accuracy by question and by kind of channel. An accuracy is above chance if its `low` is "
            "above 0.5."
        )
    )
    reason: str | None = Field(description="Why no model is served, or why the promoted release was refused.")


class LinksOut(StrictModel):
    """The addresses of the lab's other servers, without user names and passwords.

    An address is null if the lab's `thumblab up` does not run and the settings have no address. All addresses are null
    if the key lacks the scope `admin`.
    """

    dagster: str | None
    mlflow: str | None


class LabOut(StrictModel):
    """The answer of `GET /v1/lab`."""

    model: ModelStateOut
    libraries: dict[str, LibraryStateOut]
    links: LinksOut
    library_note: str | None = Field(
        description="A note about the origin of the library's data, if the data do not come from YouTube."
    )


Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]

# The patterns are only for the OpenAPI document. `checked` checks the values, because its errors say what to write.
_Region = Annotated[str, StringConstraints(max_length=2), WithJsonSchema({"type": "string", "pattern": REGION_PATTERN})]
_Language = Annotated[
    str,
    StringConstraints(max_length=35),
    WithJsonSchema({"type": "string", "maxLength": 35, "pattern": LANGUAGE_PATTERN}),
]


class NicheSources(StrictModel):
    """Where the videos of a niche come from. A niche needs a category, a search or a channel."""

    category_id: Annotated[int, Strict(), Field(ge=1, le=999), AS_WHOLE] | None = Field(
        default=None,
        description=(
            "The id of a YouTube category. If the niche has searches, the category only limits their results."
        ),
    )
    region: _Region | None = Field(
        default=None,
        description="The country of the searches: an ISO 3166-1 code. Default: the lab's region.",
        examples=["AU"],
    )
    language: _Language | None = Field(
        default=None,
        description="The language of the videos: a BCP 47 code. Default: the lab's language.",
        examples=["en"],
    )
    searches: list[Text] = Field(
        default_factory=list,
        max_length=MOST_SEARCHES,
        description="Texts for which YouTube is searched.",
        examples=[["recipe", "meal prep"]],
    )
    channels: list[Text] = Field(
        default_factory=list,
        max_length=MOST_CHANNELS,
        description="Ids, @handles or links of channels. Each refresh collects their newest uploads.",
        examples=[["@chef"]],
    )
    exclude: list[Text] = Field(
        default_factory=list,
        max_length=MOST_EXCLUDED,
        description="A video is left out if its title has one of these words.",
    )
    dry_run: Annotated[bool, Strict()] = Field(
        default=False,
        description="Whether to store nothing. The values are checked, and the answer has the niche and its cost.",
    )


class NewNiche(NicheSources):
    """A niche to add. It needs a category, a search or a channel. Its name never changes."""

    name: Annotated[
        str, StringConstraints(max_length=40), WithJsonSchema({"type": "string", "pattern": NICHE_PATTERN})
    ] = Field(
        description=(
            "The name of the niche, in requests, in Dagster and in URLs. No other niche of the lab has this name."
        ),
        examples=["cooking"],
    )


class NicheChange(NicheSources):
    """The complete sources of a niche after the change. A source that is not given is removed."""

    version: Annotated[int, Strict(), Field(ge=1, le=2**31 - 1), AS_WHOLE] = Field(
        description="The `version` of the niche that the client has read before this change."
    )


class NicheCostOut(StrictModel):
    """The maximum cost of refreshing the niche in one day, and the daily quota of the whole lab."""

    searches: int = Field(description="How many calls of YouTube's search the refreshes need.")
    quota_searches: int = Field(description="Calls of YouTube's search that the lab may make in a day.")
    units: int = Field(description="How many quota units all other calls need.")
    quota_units: int = Field(description="Quota units that the lab may spend in a day.")
    first_units: int = Field(description="Quota units of the first refresh, which also fetches the given channels.")


class NicheOut(StrictModel):
    """A niche of the lab, and where its videos come from."""

    name: str = Field(description="The name of the niche, which never changes.")
    category_id: int | None = Field(description="The id of a YouTube category.")
    region: str | None = Field(description="The country of the searches. Null stands for the lab's region.")
    language: str | None = Field(description="The language of the videos. Null stands for the lab's language.")
    searches: list[str] = Field(description="Texts for which YouTube is searched.")
    channels: list[str] = Field(description="Ids and @handles of channels whose uploads are collected.")
    exclude: list[str] = Field(description="A video is left out if its title has one of these words.")
    added_at: datetime | None = Field(description="When the niche was added; null if `dry_run` was true.")
    retired_at: datetime | None = Field(
        description="When the niche was retired; null while it is collected and served."
    )
    version: int = Field(
        description=(
            "The number of the niche's present version, counted from 1. Each change raises the number. A client that "
            "changes the niche sends the number of the version that the client has read."
        )
    )
    videos: int = Field(description="How many stored videos are in the niche.")
    cost: NicheCostOut = Field(description="The highest possible cost of the niche's refreshes in a day.")


class NichesOut(StrictModel):
    """The niches of the lab, in the order in which they were added. Retired niches are included."""

    niches: list[NicheOut]


MOST_SEEDS = 20
"""Maximum number of channels, and of videos, from which a niche is proposed."""


class ProposalRequest(StrictModel):
    """Channels and videos of the lab from which a niche is proposed. At least one channel or video must be given."""

    model_config = ConfigDict(json_schema_extra=at_least_one("channels", "videos"))

    channels: list[ChannelName] = Field(
        default_factory=list,
        max_length=MOST_SEEDS,
        description="Ids, @handles, exact titles or links of channels of the lab.",
    )
    videos: list[VideoId] = Field(default_factory=list, max_length=MOST_SEEDS, description="Ids of the lab's videos.")
    most_channels: Annotated[int, Strict(), Field(ge=1, le=MOST_CHANNELS), AS_WHOLE] = Field(
        default=10, description="The maximum number of channels in the answer."
    )


class NearChannelOut(StrictModel):
    """A channel of the lab whose titles are similar to the titles of the given channels and videos."""

    channel_id: str = Field(description="The id that YouTube gave to the channel, or the id of an imported channel.")
    title: str = Field(description="The name of the channel.")
    videos: int = Field(description="How many of the channel's videos were compared.")
    similarity: float = Field(
        description="Cosine of two mean title vectors, -1 to 1: of this channel, and of the given channels and videos."
    )


class ProposalOut(StrictModel):
    """A niche that could be added. The request does not add the niche."""

    channels: list[NearChannelOut] = Field(description="The nearest channels, the most similar first.")
    searches: list[str] = Field(
        description=(
            "Texts that are frequent in the titles of the given channels and videos, and rare in other titles."
        )
    )
    cost: NicheCostOut = Field(description="The highest possible cost of the proposed niche in a day.")
    preview: dict[str, int] = Field(
        description=(
            "For each existing niche, how many of its stored videos are from the proposed channels, or have one of the "
            "proposed search texts in their title."
        )
    )
