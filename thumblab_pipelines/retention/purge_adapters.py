"""Remove deleted videos from channel adapters. An adapter that names a deleted video is fitted again or removed."""

import json
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import select

from thumblab_core.database.tables import channels
from thumblab_core.errors import LabError
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapters
from thumblab_core.releases.release import ALL, MODEL, was_not_read
from thumblab_pipelines.channels.adapter import refit_channel_adapters
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.purge import alive_videos


@dataclass(frozen=True)
class CleanedAdapters:
    """The number of cleaned channel adapters, and the channels whose adapter could not be cleaned.

    `failed`: the reason for each channel whose adapter could not be cleaned, by channel id.
    """

    cleaned: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def stale_adapters(lab: Lab) -> list[str]:
    """Return the ids of the channels whose adapter must be cleaned.

    An adapter must be cleaned if it names a deleted video, if its channel was deleted, or if it cannot be read.
    """
    channel_ids = [scope for _, scope in lab.releases.scopes(ADAPTER)]
    with lab.engine.connect() as connection:
        alive, known = alive_videos(connection), set(connection.scalars(select(channels.c.channel_id)))
    return [channel_id for channel_id in channel_ids if _is_stale(lab, channel_id, channel_id in known, alive)]


def _is_stale(lab: Lab, channel_id: str, known: bool, alive: set[str]) -> bool:
    releases = lab.releases.all(ADAPTER, channel_id)
    try:
        served = ChannelAdapters(lab.releases).current_id(channel_id)
        named = {video_id for release in releases for video_id in json.loads(release.read("videos.json"))}
    except (LabError, ValueError, TypeError) as error:
        if was_not_read(error):
            raise
        return True  # A damaged release may contain a deleted video, so it must be cleaned.
    if served is None and not releases:
        return False  # The adapter was already removed, and only a folder with its lock files is left.
    return not known or not named <= alive or served not in {None, *(release.release_id for release in releases)}


def clean_adapters(lab: Lab, progress: Progress = silent) -> CleanedAdapters:
    """Clean the adapters of the channels that `stale_adapters` returns: fit them again, or remove them if the channel
    was deleted.

    If no model is served, all these adapters are removed, because an adapter can be fitted only for the served model.
    If an adapter cannot be fitted, `failed` of the result gives the reason, no error is raised, and the next run tries
    again.
    """
    stale = stale_adapters(lab)
    if not stale:
        return CleanedAdapters()
    adapters = ChannelAdapters(lab.releases)
    failed = {}
    try:
        if lab.releases.serving.current_id(MODEL, ALL) is None:
            for channel_id in stale:
                adapters.remove(channel_id)
        else:
            failed = refit_channel_adapters(lab, progress=progress).failed
    except Exception as error:  # noqa: BLE001  a model that cannot be used must not stop the other clean-ups
        failed = dict.fromkeys(stale, str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}")
    for channel_id in stale:
        with suppress(LabError):
            _remove_unserved(lab, channel_id)
    still_stale = sorted({*stale} & {*stale_adapters(lab)})
    reasons = {channel_id: failed.get(channel_id, "the adapter did not change") for channel_id in still_stale}
    return CleanedAdapters(len(stale) - len(still_stale), reasons)


def _remove_unserved(lab: Lab, channel_id: str) -> None:
    """Delete the channel's adapter releases that are not served.

    A process that was killed while it published an adapter may have left such releases. These releases may name deleted
    videos.
    """
    adapters = ChannelAdapters(lab.releases)
    with adapters.changing(channel_id):
        served = adapters.current_id(channel_id)
        for release in lab.releases.all(ADAPTER, channel_id):
            if release.release_id != served:
                lab.releases.remove(release)
        lab.releases.discard_unreadable(ADAPTER, channel_id)
