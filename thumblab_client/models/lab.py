"""The answers of `GET /v1/lab` and of the routes of niches: what the lab has, and how old its releases are.

This file is generated: change `thumblab_serving/schemas/lab.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import date, datetime

from thumblab_client.models.verdict import SkillOut


@dataclass(frozen=True, kw_only=True)
class LibraryStateOut:
    """The library of a niche. If no library is served, all fields except `reason` are null."""

    release: str | None
    made_at: datetime | None
    """When the served release was made."""

    videos: int | None
    winners: int | None
    """How many videos are winners. Null until this process has loaded the library."""

    newest_video: date | None
    """When the newest video was published. Null if `winners` is null, or if the release is of an old version of the
    lab.
    """

    changed: int | None
    """How many videos were added or removed since the library was built."""

    encoder: str | None
    """The image encoder of the vectors, by its name in the settings."""

    held: str | None
    """Why a person holds the release, so that no newer release replaces it."""

    reason: str | None
    """Why no library is served, or why the promoted release was refused."""


@dataclass(frozen=True, kw_only=True)
class ModelStateOut:
    """The ranking model. If no model is served, all fields except `reason` are null."""

    release: str | None
    made_at: datetime | None
    videos: int | None
    """How many videos the model was trained on. Null if the release is of an old version of the lab."""

    channels_adapted: int | None
    """The number of channels whose channel adapter was fitted when the model was trained."""

    skills: list[SkillOut]
    """The model's accuracy by question and by kind of channel. An accuracy is above chance if its `low` is above 0.5.
    """

    reason: str | None
    """Why no model is served, or why the promoted release was refused."""


@dataclass(frozen=True, kw_only=True)
class LinksOut:
    """The addresses of the lab's other servers, without user names and passwords.

    An address is null if the lab's `thumblab up` does not run and the settings have no address. All addresses are
    null if the key lacks the scope `admin`.
    """

    dagster: str | None
    mlflow: str | None


@dataclass(frozen=True, kw_only=True)
class LabOut:
    """The answer of `GET /v1/lab`."""

    model: ModelStateOut
    libraries: dict[str, LibraryStateOut]
    links: LinksOut
    library_note: str | None
    """A note about the origin of the library's data, if the data do not come from YouTube."""


@dataclass(frozen=True, kw_only=True)
class NicheCostOut:
    """The maximum cost of refreshing the niche in one day, and the daily quota of the whole lab."""

    searches: int
    """How many calls of YouTube's search the refreshes need."""

    quota_searches: int
    """Calls of YouTube's search that the lab may make in a day."""

    units: int
    """How many quota units all other calls need."""

    quota_units: int
    """Quota units that the lab may spend in a day."""

    first_units: int
    """Quota units of the first refresh, which also fetches the given channels."""


@dataclass(frozen=True, kw_only=True)
class NicheOut:
    """A niche of the lab, and where its videos come from."""

    name: str
    """The name of the niche, which never changes."""

    category_id: int | None
    """The id of a YouTube category."""

    region: str | None
    """The country of the searches. Null stands for the lab's region."""

    language: str | None
    """The language of the videos. Null stands for the lab's language."""

    searches: list[str]
    """Texts for which YouTube is searched."""

    channels: list[str]
    """Ids and @handles of channels whose uploads are collected."""

    exclude: list[str]
    """A video is left out if its title has one of these words."""

    added_at: datetime | None
    """When the niche was added; null if `dry_run` was true."""

    retired_at: datetime | None
    """When the niche was retired; null while it is collected and served."""

    version: int
    """The number of the niche's present version, counted from 1. Each change raises the number. A client that changes
    the niche sends the number of the version that the client has read.
    """

    videos: int
    """How many stored videos are in the niche."""

    cost: NicheCostOut
    """The highest possible cost of the niche's refreshes in a day."""


@dataclass(frozen=True, kw_only=True)
class NichesOut:
    """The niches of the lab, in the order in which they were added. Retired niches are included."""

    niches: list[NicheOut]


@dataclass(frozen=True, kw_only=True)
class NearChannelOut:
    """A channel of the lab whose titles are similar to the titles of the given channels and videos."""

    channel_id: str
    """The id that YouTube gave to the channel, or the id of an imported channel."""

    title: str
    """The name of the channel."""

    videos: int
    """How many of the channel's videos were compared."""

    similarity: float
    """Cosine of two mean title vectors, -1 to 1: of this channel, and of the given channels and videos."""


@dataclass(frozen=True, kw_only=True)
class ProposalOut:
    """A niche that could be added. The request does not add the niche."""

    channels: list[NearChannelOut]
    """The nearest channels, the most similar first."""

    searches: list[str]
    """Texts that are frequent in the titles of the given channels and videos, and rare in other titles."""

    cost: NicheCostOut
    """The highest possible cost of the proposed niche in a day."""

    preview: dict[str, int]
    """For each existing niche, how many of its stored videos are from the proposed channels, or have one of the
    proposed search texts in their title.
    """
