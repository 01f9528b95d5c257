"""List the channels that were added, and describe their adapters."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from thumblab_core.channel_imports.report import OwnPastSkill
from thumblab_core.errors import LabError
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapters, adapter_info
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.schemas.channels import KnownChannelOut


def added_channels(store: ReleaseStore) -> list[KnownChannelOut]:
    """Return the channels that have an added adapter, sorted by title. Only the manifest of each adapter is read.

    A channel whose manifest cannot be read is left out. `thumblab channel list` lists such a channel too.
    """
    try:
        served = store.serving.current_id(MODEL, ALL)
    except (LabError, OSError, ValueError):
        served = None
    channels = []
    for channel_id in ChannelAdapters(store).channels():
        try:
            release = store.serving.current(ADAPTER, channel_id)
            if release is not None:
                channels.append(_described(release, served))
        except (LabError, OSError, ValueError, KeyError):
            continue
    return sorted(channels, key=lambda channel: (channel.title.casefold(), channel.channel_id))


def _described(release: Release, served: str | None) -> KnownChannelOut:
    about = adapter_info(release)
    reason = about.fault(served)
    return KnownChannelOut(
        channel_id=about.channel_id,
        title=about.title,
        niche=about.niche,
        videos=about.videos,
        newest=about.newest,
        release=release.release_id,
        in_use=reason is None,
        reason=reason,
        skill=_skill(release.info.get("check")),
    )


def _skill(check: Mapping[str, Any] | None) -> OwnPastSkill | None:
    """Return the skill of an added adapter from the entry `check` of its manifest.

    Return None if the skill was not measured, or if the manifest of an older version of the lab lacks some figures.
    """
    if not check:
        return None
    try:
        return OwnPastSkill(
            videos=check["videos"],
            pairs=check["pairs"],
            right=check["adapted"],
            low=check["adapted_low"],
            high=check["adapted_high"],
            right_unadapted=check["unadapted"],
            gained=check["gained"],
            gained_low=check["low"],
            gained_high=check["high"],
        )
    except (KeyError, ValidationError):
        return None
