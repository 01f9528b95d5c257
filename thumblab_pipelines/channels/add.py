"""Add a channel: bring its videos into the lab where that is asked for or needed, and learn its history of them."""

import csv
from dataclasses import dataclass
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import LEAST_VIDEOS
from thumblab_core.ranking.channel_adapters import ChannelAdapter, ChannelAdapters
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.channels.adapter import Fitted, fit_channel_adapter, served_model
from thumblab_pipelines.channels.adapter_videos import encode_own
from thumblab_pipelines.channels.collect import Channel, collect_channel, find_channel, is_name_for_youtube, niche_of
from thumblab_pipelines.collection.catalogue import Imported, import_catalogue
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.videos.names import channel_id_of, channel_key, written

_NAMED = 5


@dataclass(frozen=True)
class AddedChannel:
    """A channel's history, and how many vectors had to be made for it.

    `imported`: what a catalogue gave, where there was one; `stopped`: why its uploads were not all collected.
    """

    fitted: Fitted
    encoded: int
    imported: Imported | None
    stopped: str | None


@dataclass(frozen=True)
class Listed:
    """An added history. `fault`: why the served model does not use it, None where it does."""

    channel_id: str
    title: str
    videos: int
    newest: str | None
    release: str
    fault: str | None


def add_channel(
    lab: Lab,
    name: str | None,
    catalogue: Path | None = None,
    niche: str | None = None,
    refresh: bool = False,
    progress: Progress = silent,
) -> AddedChannel:
    """Learn and serve the history of a channel, by its id, exact title or @handle, for the served model.

    With a `catalogue`, its videos are imported first, and `name` may be left out where they are one channel's. Else the
    channel is collected from YouTube where the lab has no video of it, or to `refresh` it; `niche` is where its videos go.
    Raises `LabError` when no model is served or the channel cannot be told or had.
    """
    model = served_model(lab)
    imported, stopped = None, None
    if catalogue is not None:
        imported = import_catalogue(lab, catalogue, progress)
        channel = _of_catalogue(catalogue, name)
    elif name is None:
        raise LabError("name the channel by its id (UC...), its exact title or its @handle, or give a --catalogue")
    else:
        channel, stopped = _of_lab(lab, name, niche, refresh, progress)
    encoded = encode_own(lab, channel.channel_id, model, progress)
    return AddedChannel(fit_channel_adapter(lab, channel, model), encoded, imported, stopped)


def list_channels(lab: Lab) -> list[Listed]:
    """Every added history, each verified; a damaged one says so."""
    histories, model = ChannelAdapters(lab.releases), lab.releases.serving.current_id(MODEL, ALL)
    found = []
    for name in histories.channels():
        release = ""
        try:
            release = histories.current_id(name) or ""
            history = histories.load(name, release)
        except LabError as error:
            found.append(Listed(name, "", 0, None, release, str(error)))
        else:
            about = history.about
            found.append(Listed(name, about.title, about.videos, about.newest, release, _fault(history, model)))
    return found


def remove_channel(lab: Lab, name: str) -> str:
    """Withdraw and delete what was added of a channel, by its id or title: its id. Raises `LabError` where nothing was."""
    ids = [one.channel_id for one in list_channels(lab) if name in (one.channel_id, one.title)]
    if name in ids:
        ids = [name]
    if len(ids) != 1:
        raise LabError(
            f"{len(ids)} added channels are called {name!r}; give one's id: {', '.join(ids)}"
            if ids
            else f"no history of {name!r} was added; `thumblab channel list` shows those that were"
        )
    ChannelAdapters(lab.releases).remove(ids[0])
    return ids[0]


def _fault(history: ChannelAdapter, model: str | None) -> str | None:
    if history.about.model != model:
        return "of another model; add it again"
    return None if history.adapter is not None else f"{history.about.videos} of {LEAST_VIDEOS} videos"


def _of_lab(lab: Lab, name: str, niche: str | None, refresh: bool, progress: Progress) -> tuple[Channel, str | None]:
    """The channel as the lab has it, collected first where that is asked for or it has no video of it; see `stopped`."""
    channel = find_channel(lab, name)
    there = channel is not None and niche_of(lab, channel.channel_id) is not None
    if channel is not None and there and not refresh:
        return channel, None
    asked = name if channel is None else channel.channel_id
    if lab.settings.youtube_api_key is None:
        way = "set THUMBLAB_YOUTUBE_API_KEY to collect them" + ("" if there else ", or give a --catalogue of them")
        raise LabError(f"the lab has no {'newer videos' if there else 'videos'} of {name!r}; {way}")
    if not is_name_for_youtube(asked):
        raise LabError(f"the lab knows no channel called {name!r}; give its id (UC...) or its @handle")
    return collect_channel(lab, asked, niche, progress)


def _of_catalogue(folder: Path, name: str | None) -> Channel:
    """The channel of that id or title in the catalogue, or the only one."""
    with (folder / "videos.csv").open(encoding="utf-8-sig", errors="replace", newline="") as file:
        titles = dict.fromkeys(written(row.get("channel") or "") for row in csv.DictReader(file))
    found = {channel_id_of(title): title for title in titles if title}
    if name is None and len(found) == 1:
        return Channel(*next(iter(found.items())))
    chosen = [
        Channel(*one) for one in found.items() if name == one[0] or channel_key(name or "") == channel_key(one[1])
    ]
    if not chosen:
        some = ", ".join(repr(title) for title in list(found.values())[:_NAMED])
        asked = "name one of them" if name is None else f"none is called {name!r}"
        raise LabError(f"{folder} holds {len(found)} channels, {asked}: {some}{', …' * (len(found) > _NAMED)}")
    return chosen[0]
