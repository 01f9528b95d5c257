"""Add a channel: import or collect its videos if needed, and fit its adapter. Also list and remove added channels."""

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select

from thumblab_core.database.channels import Channel, find_channel, near_title
from thumblab_core.database.tables import channels, videos
from thumblab_core.errors import LabError, UnknownChannelError
from thumblab_core.given_text import CHANNEL_HELP, channel_name
from thumblab_core.keys.named_keys import NamedKeys, name_of_key
from thumblab_core.near_names import suggestion
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.channels.adapter import FittedAdapter, fit_channel_adapter, served_model
from thumblab_pipelines.channels.adapter_videos import encode_channel_videos
from thumblab_pipelines.channels.collect import collect_channel, is_name_for_youtube, niche_of
from thumblab_pipelines.channels.export_channel import SOURCE
from thumblab_pipelines.collection.catalogue import Imported, import_catalogue
from thumblab_pipelines.experiments.add import find_channel_id
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.videos.names import channel_id_of, channel_key, plain_text
from thumblab_pipelines.youtube.without_key import how_to_ask

NOTHING_LEARNT = "no adapter has learnt from its videos"
"""The `fault` of a channel that was imported from exports and has no adapter."""

_NAMED = 5
"""Maximum number of channels that an error message names."""


@dataclass(frozen=True)
class AddedChannel:
    """The served adapter of a channel, and the number of vectors that had to be made to fit it.

    `imported`: the result of importing the catalogue, if a catalogue was given. `stopped`: why some uploads were not
    collected, or None if nothing stopped the collection.
    """

    fitted: FittedAdapter
    encoded: int
    imported: Imported | None
    stopped: str | None


@dataclass(frozen=True)
class ListedAdapter:
    """An added channel adapter. `fault`: why the served model does not use this adapter, or None if the model uses the
    adapter.

    `key`: the name of the API key to which the channel belongs, or None if it belongs to the lab. `key_revoked`: whether
    this key was revoked.
    """

    channel_id: str
    title: str
    videos: int
    newest: str | None
    release: str
    fault: str | None
    key: str | None = None
    key_revoked: bool = False


def add_channel(
    lab: Lab,
    name: str | None,
    catalogue: Path | None = None,
    niche: str | None = None,
    refresh: bool = False,
    progress: Progress = silent,
) -> AddedChannel:
    """Fit and serve the adapter of a channel for the served model. `name` is the channel's id, exact title, @handle or link.

    `catalogue`: a folder that is imported first. If the catalogue has only one channel, `name` may be None. Without a
    catalogue, videos are collected from YouTube if the lab has no video of the channel, or if `refresh` is true.
    `niche`: the niche that collected videos go into. Raises `LabError` when no model is served, or when the channel
    cannot be identified or collected.
    """
    model = served_model(lab)
    imported, stopped = None, None
    if catalogue is not None:
        imported = import_catalogue(lab, catalogue, progress)
        channel = _channel_of_catalogue(catalogue, name)
    elif name is None:
        raise LabError(f"name the channel ({CHANNEL_HELP}), or give a --catalogue")
    else:
        channel, stopped = _known_or_collected(lab, name, niche, refresh, progress)
    encoded = encode_channel_videos(lab, channel.channel_id, model, progress)
    return AddedChannel(fit_channel_adapter(lab, channel, model), encoded, imported, stopped)


def list_channels(lab: Lab) -> list[ListedAdapter]:
    """Return all added channel adapters, and then the channels that were imported from exports and have no adapter.

    If the files of an adapter are damaged, its `fault` says what is wrong. A channel without an adapter has no release,
    and its `fault` says so.
    """
    adapters, served = ChannelAdapters(lab.releases), lab.releases.serving.current_id(MODEL, ALL)
    with lab.engine.connect() as connection:
        owned = select(channels.c.channel_id, channels.c.owner).where(channels.c.owner.is_not(None))
        owners = {row.channel_id: row.owner for row in connection.execute(owned)}
    valid = {key.owner for key in NamedKeys(lab.settings).all()} if owners else set[str]()
    keys = {channel_id: (name_of_key(owner), owner not in valid) for channel_id, owner in owners.items()}
    listed = []
    for channel_id in adapters.channels():
        release_id = ""
        facts: tuple[str, int, str | None, str, str | None]
        try:
            release_id = adapters.current_id(channel_id) or ""
            adapter = adapters.load(channel_id, release_id)
        except LabError as error:
            facts = "", 0, None, release_id, str(error)
        else:
            about, fault = adapter.about, adapter.about.fault(served)
            facts = about.title, about.videos, about.newest, release_id, fault
        listed.append(ListedAdapter(channel_id, *facts, *keys.get(channel_id, (None, False))))
    for channel_id, title, count, newest in _imported(lab):
        if channel_id not in {adapter.channel_id for adapter in listed}:
            state = title, count, newest.isoformat(), "", NOTHING_LEARNT
            listed.append(ListedAdapter(channel_id, *state, *keys.get(channel_id, (None, False))))
    return listed


def _imported(lab: Lab) -> list[tuple[str, str, int, datetime]]:
    """Return the id, the title, the number of videos and the newest publication of each channel that has videos from
    exports, by title.
    """
    # Only exports give videos of the source "catalogue" addresses of pictures. An imported folder contains the pictures.
    statement = (
        select(channels.c.channel_id, channels.c.title, func.count(), func.max(videos.c.published_at))
        .join(videos, videos.c.channel_id == channels.c.channel_id)
        .where(videos.c.source == SOURCE, func.cardinality(videos.c.thumbnail_urls) > 0)
        .group_by(channels.c.channel_id, channels.c.title)
        .order_by(channels.c.title, channels.c.channel_id)
    )
    with lab.engine.connect() as connection:
        return [(str(row[0]), str(row[1]), int(row[2]), row[3]) for row in connection.execute(statement)]


def remove_channel(lab: Lab, name: str) -> str:
    """Delete the added adapter of a channel and stop serving it. Return the channel's id.

    `name` is the channel's id, title, @handle or link. Raises `LabError` if no channel with an added adapter has this
    name, or if several have it. A @handle is looked up on YouTube.
    """
    adapters = ChannelAdapters(lab.releases)
    name = channel_name(name)
    channel_id = adapters.find(_id_of_handle(lab, name) or name)
    if channel_id is None and name.startswith("@"):
        channel_id = adapters.find(find_channel_id(lab, name))
    if channel_id is None:
        raise LabError(_not_found(lab, adapters, name))
    adapters.remove(channel_id)
    return channel_id


def channel_to_forget(lab: Lab, name: str) -> str:
    """Return the id of the channel with this id, title, @handle or link, if the lab has videos or an adapter of it.

    Raises `UnknownChannelError` if no channel has this name, and `LabError` if several have it. YouTube is not asked.
    """
    name = channel_name(name)
    with lab.engine.connect() as connection:
        channel = find_channel(connection, name)
        near = near_title(connection, name)
    channel_id = ChannelAdapters(lab.releases).find(name) if channel is None else channel.channel_id
    if channel_id is None:
        raise UnknownChannelError(f"the lab knows no channel called {name!r}{near}; {CHANNEL_HELP}")
    return channel_id


def _not_found(lab: Lab, adapters: ChannelAdapters, name: str) -> str:
    """Return the error sentence for a `name` that has no adapter. If the lab has the channel, the sentence says how to
    delete its videos.
    """
    with lab.engine.connect() as connection:
        channel = find_channel(connection, name)
    if channel is None:
        return adapters.not_found(name)
    return (
        f"no adapter of {name!r} was added, so there is none to remove; `thumblab channel remove {channel.channel_id} "
        "--forget` deletes the videos and the private figures that the lab has of the channel"
    )


def _id_of_handle(lab: Lab, name: str) -> str | None:
    """Return the id of the channel with the @handle `name` on YouTube. Return None if the lab has no such channel.

    The @handle that the adapter stores is not used, because another channel may have got the @handle since the adapter
    was fitted.
    """
    if not name.startswith("@"):
        return None
    with lab.engine.connect() as connection:
        channel = find_channel(connection, name)
    return None if channel is None else channel.channel_id


def _known_or_collected(
    lab: Lab, name: str, niche: str | None, refresh: bool, progress: Progress
) -> tuple[Channel, str | None]:
    """Return the channel, and the reason why some of its uploads were not collected, or None.

    The channel is collected first if the lab has no video of it, or if `refresh` is true. Raises `LabError` if the
    channel cannot be collected.
    """
    name = channel_name(name)
    with lab.engine.connect() as connection:
        channel = find_channel(connection, name)
        near = "" if channel is not None else near_title(connection, name)
    has_videos = channel is not None and niche_of(lab, channel.channel_id) is not None
    if channel is not None and has_videos and not refresh:
        return channel, None
    name_or_id = name if channel is None else channel.channel_id
    if lab.settings.youtube_api_key is None:
        if has_videos:
            raise LabError(f"the lab has no newer videos of {name!r}; {how_to_ask(lab.settings)}")
        raise LabError(
            f"the lab has no videos of {name!r}{near}; {how_to_ask(lab.settings)}, or name a catalogue that contains them "
            "with --catalogue"
        )
    if not is_name_for_youtube(name_or_id):
        raise LabError(f"the lab knows no channel called {name!r}{near}; give its id (UC...), its @handle or its link")
    return collect_channel(lab, name_or_id, niche, progress)


def _channel_of_catalogue(folder: Path, name: str | None) -> Channel:
    """Return the channel with the id or title `name` in the catalogue. Without `name`, return the only channel of the
    catalogue.

    Raises `LabError` if there is no such channel, or if `name` is None and the catalogue has several channels.
    """
    with (folder / "videos.csv").open(encoding="utf-8-sig", errors="replace", newline="") as file:
        titles = dict.fromkeys(plain_text(row.get("channel") or "") for row in csv.DictReader(file))
    # Two titles that differ only in spaces or invisible characters give the same channel id, so they name the same
    # channel. The channel gets the title that comes last in the catalogue.
    title_by_id = {channel_id_of(title): title for title in titles if title}
    channels = [Channel(channel_id, title) for channel_id, title in title_by_id.items()]
    if name is None and len(channels) == 1:
        return channels[0]
    key = channel_key(name or "")
    for channel in channels:
        if name == channel.channel_id or key == channel_key(channel.title):
            return channel
    named = [repr(channel.title) for channel in channels[:_NAMED]]
    if len(channels) > _NAMED:
        named.append("…")
    problem, hint = "name one of them", ""
    if name is not None:
        problem = f"none is called {name!r}"
        hint = suggestion(name, [channel.title for channel in channels])
    raise LabError(f"{folder} contains {len(channels)} channels; {problem}: {', '.join(named)}{hint}")
