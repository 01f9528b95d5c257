"""Find the channel that a person names in `thumblab score --channel`."""

from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import this module here, which keeps `thumblab --help` fast.
    from thumblab_core.settings import Settings


def channel_id_of(settings: "Settings", name: str) -> str:
    """Return the id of the channel that `name` names: by its id, exact title, @handle or link.

    A title is looked up among the channels with an added adapter. A @handle that is no such title is looked up on
    YouTube. Raises `LabError` if no channel is found.
    """
    from thumblab_core.given_text import channel_name
    from thumblab_core.ranking.channel_adapters import ChannelAdapters, is_channel_id
    from thumblab_core.releases.release_store import ReleaseStore

    name = channel_name(name)
    adapters = ChannelAdapters(ReleaseStore(settings.releases))
    channel_id = adapters.find(name)
    if channel_id is not None:
        return channel_id
    if name.startswith("@"):
        from thumblab_pipelines.experiments.add import find_channel_id
        from thumblab_pipelines.lab import Lab

        return find_channel_id(Lab.open(settings), name)
    if not is_channel_id(name):
        raise LabError(f"--channel: {adapters.not_found(name)}; for any other channel, give its id (UC...) or link")
    return name


def suggest_channel(settings: "Settings", name: str) -> None:
    """Print a note on stderr if no adapter of this name was added, but an adapter of a similar name was."""
    from thumblab_core.ranking.channel_adapters import ChannelAdapters
    from thumblab_core.releases.release_store import ReleaseStore

    adapters = ChannelAdapters(ReleaseStore(settings.releases))
    if adapters.find(name) is None and (hint := adapters.suggestion(name)):
        click.echo(f"note: no adapter of {name!r} was added{hint}", err=True)
