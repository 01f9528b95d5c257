"""The report on the import of a channel's exports. The job `add_channel` writes it, and the scoring service shows it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ColumnName = Literal[
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
"""The lab's names of the columns of a Studio export."""

Need = Literal["columns", "name", "niche", "encoder", "model"]


class _Part(BaseModel):
    # A report may come from a newer version of the lab, so unknown fields are ignored.
    model_config = ConfigDict(extra="ignore", frozen=True)


class ImportStep(_Part):
    """A step of the import. The report lists the steps that have begun, in their order."""

    name: str = Field(description="The name of the step, such as `pictures`.")
    done: int = Field(ge=0)
    total: int = Field(ge=0)


class ExportTable(_Part):
    """A table of an export, and which of its columns were recognised."""

    where: str = Field(description="The name of the file. For a table in a .zip file, also the path in this file.")
    headers: list[str] = Field(description="The names of the columns, in the order of the file.")
    found: dict[ColumnName, int] = Field(
        description="The position of each recognised column in the table, from 1. The keys are the lab's names of the "
        "columns."
    )
    missing: list[ColumnName] = Field(
        description="The needed columns that a person must choose. The lab recognised no column of the table, or several "
        "columns, as the needed column."
    )


class ImportedVideos(_Part):
    """The videos and the click-through rates that were imported from the exports."""

    channel_id: str
    title: str
    niche: str
    videos: int = Field(ge=0, description="The number of exported videos that the lab has now.")
    new: int = Field(ge=0, description="The number of exported videos that were new to the lab.")
    left_out: dict[str, int] = Field(description="How many videos were not imported, by reason.")
    pictures: int = Field(ge=0, description="The number of exported videos that have a thumbnail in the lab.")
    downloaded: int = Field(ge=0, description="The number of thumbnails that this import downloaded.")
    without_picture: int = Field(ge=0)
    missing: list[str] = Field(
        description="For each of the newest videos without a thumbnail, a sentence with the reason."
    )
    with_ctr: int = Field(ge=0, description="The number of videos with a true click-through rate.")
    library_needs: int = Field(
        default=0,
        ge=0,
        description=(
            "How many more videos with a thumbnail the niche needs before it can have a library. This is 0 if the niche "
            "has a library already, or gets a library from this import."
        ),
    )
    usual_ctr: float | None = Field(
        ge=0,
        le=1,
        description="Clicks divided by impressions, over all imported videos. Null if there are too few impressions.",
    )
    refused: list[str] = Field(description="For each export that was not read, a sentence with the reason.")
    remarks: list[str] = Field(
        description="What else a person should know, such as columns that were recognised by their values."
    )
    tables: list[ExportTable] = Field(description="The tables of the exports.")


class OwnPastSkill(_Part):
    """How well an adapter orders the channel's newest videos, if it is fitted only to the channel's older videos.

    The newest videos are the newest 20 % of the channel's videos. A pair is two of these videos, published at about the
    same time.
    """

    videos: int = Field(ge=0, description="The number of videos in the newest 20 %.")
    pairs: int = Field(ge=1, description="The number of pairs.")
    right: float = Field(
        ge=0, le=1, description="The share of the pairs in which the adapter gives the better video the higher score."
    )
    low: float = Field(ge=0, le=1, description="The lower end of the 95 % interval of `right`.")
    high: float = Field(ge=0, le=1, description="The upper end of the 95 % interval of `right`.")
    right_unadapted: float = Field(ge=0, le=1, description="The value of `right` for the model without the adapter.")
    gained: float = Field(ge=-1, le=1, description="`right` minus `right_unadapted`.")
    gained_low: float = Field(ge=-1, le=1, description="The lower end of the 95 % interval of `gained`.")
    gained_high: float = Field(ge=-1, le=1, description="The upper end of the 95 % interval of `gained`.")


class FittedChannel(_Part):
    """The adapter that was fitted to the channel."""

    adapted: bool = Field(
        description="Whether the channel has enough videos for an adapter. If so, answers use the adapter."
    )
    videos: int = Field(ge=0, description="The number of videos that the adapter is fitted to.")
    left_out: dict[str, int] = Field(description="How many of the channel's videos were not used, by reason.")
    compared: int = Field(
        ge=0, description="The number of pairs of pictures that were compared on the same video of the channel."
    )
    release: str
    model: str = Field(description="The id of the model release to which the adapter belongs.")
    skill: OwnPastSkill | None = Field(description="The skill on the newest videos. Null if there are too few pairs.")


class ProposedNiche(_Part):
    """The niche that the lab proposes for a new channel. A person decides which niche the channel gets."""

    niche: str | None = Field(
        description="The proposed niche. Null if no niche fits, or if the lab has no titles with which it can compare the "
        "exports."
    )
    reason: str = Field(description="A sentence that says why the niche is proposed, or why no niche is proposed.")
    searches: list[str] = Field(
        description="Texts that are frequent in the titles of the exports, and rare in the lab's other titles. These "
        "texts can be the searches of a new niche. Empty if the lab has no other titles."
    )


class ImportReport(_Part):
    """The progress of an import, and what the lab has learnt from its exports. An import that has ended is either
    `done` or `failed`.
    """

    state: Literal["running", "done", "failed"]
    updated_at: datetime
    steps: list[ImportStep] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    imported: ImportedVideos | None = None
    fitted: FittedChannel | None = None
    reason: str | None = None
    needs: Need | None = None
    proposal: ProposedNiche | None = None
    unrecognised: list[ExportTable] = Field(default_factory=list)
