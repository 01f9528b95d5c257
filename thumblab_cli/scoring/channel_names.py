"""Find the channel that a person names in `thumblab score --channel`."""

import re
from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import this module here, which keeps `thumblab --help` fast.
    from thumblab_core.settings import Settings


def channel_id_of(settings: "Settings", name: str) -> str:
    """Return the id of the channel whose id or exact title is `name`, if an adapter was added for it.

    If no such adapter was added, return `name` unchanged if it is the id or the URL of a channel. Otherwise raise
    `LabError`.
    """
    from thumblab_core.ranking.channel_adapters import ChannelAdapters
    from thumblab_core.releases.release_store import ReleaseStore
    from thumblab_serving.schemas.request import CHANNEL

    adapters = ChannelAdapters(ReleaseStore(settings.releases))
    channel_id = adapters.find(name)
    if channel_id is not None:
        return channel_id
    if re.fullmatch(CHANNEL, name.strip()) is None:
        raise LabError(f"--channel: {adapters.not_found(name)}; for any other channel, give its id (UC...) or URL")
    return name


def suggest_channel(settings: "Settings", name: str) -> None:
    """Print a note on stderr if no adapter of this name was added, but an adapter of a similar name was."""
    from thumblab_core.ranking.channel_adapters import ChannelAdapters
    from thumblab_core.releases.release_store import ReleaseStore

    adapters = ChannelAdapters(ReleaseStore(settings.releases))
    if adapters.find(name) is None and (hint := adapters.suggestion(name)):
        click.echo(f"note: no adapter of {name!r} was added{hint}", err=True)
