"""The requests and answers of `/v1/channels`."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from thumblab_core.channel_imports.report import (
    ColumnName,
    ExportTable,
    FittedChannel,
    ImportedVideos,
    ImportStep,
    Need,
    OwnPastSkill,
    ProposedNiche,
)
from thumblab_core.given_text import has_hidden, visible
from thumblab_serving.schemas.niche import Niche
from thumblab_serving.schemas.request import CHANNEL_PATTERN
from thumblab_serving.schemas.strict import StrictModel

MOST_EXPORTS = 20
"""Maximum number of files in one request."""

MOST_EXPORT_BYTES = 32 * 2**20
"""Maximum number of bytes of all files of one request. An export of 500 videos has about 0.1 MB."""


def _is_visible(text: str) -> str:
    if not visible(text):
        raise ValueError("it has no visible character")
    return text


_Text = Annotated[
    str, StringConstraints(pattern=CHANNEL_PATTERN, max_length=200, strip_whitespace=True), AfterValidator(_is_visible)
]


def _has_nothing_hidden(text: str) -> str:
    if has_hidden(text):
        raise ValueError("it has characters that are invisible or change the direction of text")
    return text


_Name = Annotated[_Text, AfterValidator(_has_nothing_hidden)]


class ExportsForm(StrictModel):
    """The fields of a request that adds a channel, except its files."""

    sent_beside: ClassVar[tuple[str, ...]] = ("exports",)

    name: _Name | None = Field(
        default=None,
        description=(
            "The title of the channel, or the id of a channel that the key may change. A title has no invisible "
            "characters, is not an id and does not begin with @. Default: the channel's name in the name of an "
            "export file."
        ),
    )
    niche: Niche | None = Field(
        default=None,
        description=(
            "The niche of the channel. This field is needed if the lab has no video of the channel. Without this field, "
            "such an import stops before it stores anything, and its report proposes a niche."
        ),
    )
    columns: dict[ColumnName, _Text] = Field(
        default_factory=dict,
        description=(
            "Maps the lab's name of a column to the name or the number of this column in the files. The lab itself "
            "looks only for columns that are not in this map."
        ),
    )


class ChannelImportOut(StrictModel):
    """An import of a channel's exports: its progress, and what the lab has learnt from the exports."""

    id: str = Field(description="The id of the import, for `GET /v1/channels/runs/{id}`.")
    state: Literal["queued", "running", "done", "failed"]
    created_at: datetime
    expires_at: datetime = Field(description="When this report is deleted. The channel and its adapter stay.")
    files: list[str] = Field(description="The names of the exports.")
    run_url: str | None = Field(
        description="The page of the run in Dagster, if its address is known. Null for keys without the scope `admin`."
    )
    steps: list[ImportStep] = Field(description="The steps that were begun, in their order, with their progress.")
    notes: list[str] = Field(description="Sentences about what happened, such as the training of a first model.")
    imported: ImportedVideos | None = Field(description="What was imported. Null until the videos are imported.")
    fitted: FittedChannel | None = Field(description="The adapter of the channel. Null until it is served.")
    reason: str | None = Field(description="Why the import failed, or why nothing is known about its progress.")
    needs: Need | None = Field(
        description=(
            "What is missing. `columns`, `name` or `niche`: this field must be sent with the exports next time. "
            "`encoder`: the lab cannot load an encoder. `model`: the lab has no model, and the model that it trained "
            "did not pass its checks."
        )
    )
    proposal: ProposedNiche | None = Field(
        description="If `needs` is `niche` and the channel is new: the niche that the lab proposes."
    )
    unrecognised: list[ExportTable] = Field(
        description=(
            "If `needs` is `columns`: the tables with their column names. Send `columns` to say which columns to use."
        )
    )


class ChannelImportsOut(StrictModel):
    """The imports of an API key, the newest first. Imports whose report was deleted are left out."""

    imports: list[ChannelImportOut]


class KnownChannelOut(StrictModel):
    """A channel that was added, and its adapter."""

    channel_id: str
    title: str
    niche: str | None = Field(
        description="The niche of most of the channel's videos. Null for an adapter of an old version of the lab."
    )
    videos: int = Field(ge=0, description="The number of videos to which the adapter is fitted.")
    newest: datetime | None = Field(description="When the newest video to which the adapter is fitted was published.")
    release: str
    in_use: bool = Field(description="Whether answers for this channel use the adapter.")
    reason: str | None = Field(description="Why answers for this channel do not use the adapter.")
    skill: OwnPastSkill | None = Field(
        description="How well the adapter orders the channel's own newest videos. Null if it could not be measured."
    )


class ChannelsOut(StrictModel):
    """The channels that were added to the lab, with their adapters. A channel that was not added is not listed, even if
    the model was trained on its videos.
    """

    channels: list[KnownChannelOut]
