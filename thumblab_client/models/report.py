"""The report on the import of a channel's exports. The job `add_channel` writes it, and the scoring service shows it.

This file is generated: change `thumblab_core/channel_imports/report.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ImportStep:
    """A step of the import. The report lists the steps that have begun, in their order."""

    name: str
    """The name of the step, such as `pictures`."""

    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class ExportTable:
    """A table of an export, and which of its columns were recognised."""

    where: str
    """The name of the file. For a table in a .zip file, also the path in this file."""

    headers: list[str]
    """The names of the columns, in the order of the file."""

    found: dict[str, int]
    """The position of each recognised column in the table, from 1. The keys are the lab's names of the columns."""

    missing: list[
        Literal[
            "video",
            "title",
            "published",
            "duration",
            "views",
            "watch_hours",
            "impressions",
            "rate",
            "shown_in_feed",
            "stayed",
        ]
    ]
    """The needed columns that a person must choose. The lab recognised no column of the table, or several columns, as
    the needed column.
    """


@dataclass(frozen=True, kw_only=True)
class ImportedVideos:
    """The videos and the click-through rates that were imported from the exports."""

    channel_id: str
    title: str
    niche: str
    videos: int
    """The number of exported videos that the lab has now."""

    new: int
    """The number of exported videos that were new to the lab."""

    left_out: dict[str, int]
    """How many videos were not imported, by reason."""

    pictures: int
    """The number of exported videos that have a thumbnail in the lab."""

    downloaded: int
    """The number of thumbnails that this import downloaded."""

    without_picture: int
    missing: list[str]
    """For each of the newest videos without a thumbnail, a sentence with the reason."""

    with_ctr: int
    """The number of videos with a true click-through rate."""

    library_needs: int = 0
    """How many more videos with a thumbnail the niche needs before it can have a library. This is 0 if the niche has a
    library already, or gets a library from this import.
    """

    usual_ctr: float | None
    """Clicks divided by impressions, over all imported videos. Null if there are too few impressions."""

    refused: list[str]
    """For each export that was not read, a sentence with the reason."""

    remarks: list[str]
    """What else a person should know, such as columns that were recognised by their values."""

    tables: list[ExportTable]
    """The tables of the exports."""


@dataclass(frozen=True, kw_only=True)
class OwnPastSkill:
    """How well an adapter orders the channel's newest videos, if it is fitted only to the channel's older videos.

    The newest videos are the newest 20 % of the channel's videos. A pair is two of these videos, published at about
    the same time.
    """

    videos: int
    """The number of videos in the newest 20 %."""

    pairs: int
    """The number of pairs."""

    right: float
    """The share of the pairs in which the adapter gives the better video the higher score."""

    low: float
    """The lower end of the 95 % interval of `right`."""

    high: float
    """The upper end of the 95 % interval of `right`."""

    right_unadapted: float
    """The value of `right` for the model without the adapter."""

    gained: float
    """`right` minus `right_unadapted`."""

    gained_low: float
    """The lower end of the 95 % interval of `gained`."""

    gained_high: float
    """The upper end of the 95 % interval of `gained`."""


@dataclass(frozen=True, kw_only=True)
class FittedChannel:
    """The adapter that was fitted to the channel."""

    adapted: bool
    """Whether the channel has enough videos for an adapter. If so, answers use the adapter."""

    videos: int
    """The number of videos that the adapter is fitted to."""

    left_out: dict[str, int]
    """How many of the channel's videos were not used, by reason."""

    compared: int
    """The number of pairs of pictures that were compared on the same video of the channel."""

    release: str
    model: str
    """The id of the model release to which the adapter belongs."""

    skill: OwnPastSkill | None
    """The skill on the newest videos. Null if there are too few pairs."""


@dataclass(frozen=True, kw_only=True)
class ProposedNiche:
    """The niche that the lab proposes for a new channel. A person decides which niche the channel gets."""

    niche: str | None
    """The proposed niche. Null if no niche fits, or if the lab has no titles with which it can compare the exports.
    """

    reason: str
    """A sentence that says why the niche is proposed, or why no niche is proposed."""

    searches: list[str]
    """Texts that are frequent in the titles of the exports, and rare in the lab's other titles. These texts can be the
    searches of a new niche. Empty if the lab has no other titles.
    """
