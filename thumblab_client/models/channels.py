"""The requests and answers of `/v1/channels`.

This file is generated: change `thumblab_serving/schemas/channels.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from thumblab_client.models.report import (
    ExportTable,
    FittedChannel,
    ImportedVideos,
    ImportStep,
    OwnPastSkill,
    ProposedNiche,
)


@dataclass(frozen=True, kw_only=True)
class ChannelImportOut:
    """An import of a channel's exports: its progress, and what the lab has learnt from the exports."""

    id: str
    """The id of the import, for `GET /v1/channels/runs/{id}`."""

    state: Literal["queued", "running", "done", "failed"]
    created_at: datetime
    expires_at: datetime
    """When this report is deleted. The channel and its adapter stay."""

    files: list[str]
    """The names of the exports."""

    run_url: str | None
    """The page of the run in Dagster, if its address is known. Null for keys without the scope `admin`."""

    steps: list[ImportStep]
    """The steps that were begun, in their order, with their progress."""

    notes: list[str]
    """Sentences about what happened, such as the training of a first model."""

    imported: ImportedVideos | None
    """What was imported. Null until the videos are imported."""

    fitted: FittedChannel | None
    """The adapter of the channel. Null until it is served."""

    reason: str | None
    """Why the import failed, or why nothing is known about its progress."""

    needs: Literal["columns", "name", "niche", "encoder", "model"] | None
    """What is missing. `columns`, `name` or `niche`: this field must be sent with the exports next time. `encoder`:
    the lab cannot load an encoder. `model`: the lab has no model, and the model that it trained did not pass its
    checks.
    """

    proposal: ProposedNiche | None
    """If `needs` is `niche` and the channel is new: the niche that the lab proposes."""

    unrecognised: list[ExportTable]
    """If `needs` is `columns`: the tables with their column names. Send `columns` to say which columns to use."""


@dataclass(frozen=True, kw_only=True)
class ChannelImportsOut:
    """The imports of an API key, the newest first. Imports whose report was deleted are left out."""

    imports: list[ChannelImportOut]


@dataclass(frozen=True, kw_only=True)
class KnownChannelOut:
    """A channel that was added, and its adapter."""

    channel_id: str
    title: str
    niche: str | None
    """The niche of most of the channel's videos. Null for an adapter of an old version of the lab."""

    videos: int
    """The number of videos to which the adapter is fitted."""

    newest: datetime | None
    """When the newest video to which the adapter is fitted was published."""

    release: str
    in_use: bool
    """Whether answers for this channel use the adapter."""

    reason: str | None
    """Why answers for this channel do not use the adapter."""

    skill: OwnPastSkill | None
    """How well the adapter orders the channel's own newest videos. Null if it could not be measured."""


@dataclass(frozen=True, kw_only=True)
class ChannelsOut:
    """The channels that were added to the lab, with their adapters. A channel that was not added is not listed, even
    if the model was trained on its videos.
    """

    channels: list[KnownChannelOut]
