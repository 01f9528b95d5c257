"""Find the channel that a person names in `thumblab score --channel`."""

from functools import cached_property
from typing import TYPE_CHECKING

import click

from thumblab_cli.scoring.refused import RefusedRequestError
from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from thumblab_core.settings import Settings
    from thumblab_pipelines.experiments.add import ExperimentWriter


class ChannelIds:
    """The ids of the channels that a person names. Each name is looked up only once. If the look-up failed, every later
    call for this name raises the same error.
    """

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._found: dict[str, str | LabError] = {}

    def of(self, name: str) -> str:
        """Return the id of the channel whose id, exact title, @handle or link is `name`.

        An id, title or link is looked up first among the channels with an adapter, and then among all channels of the
        lab. A @handle is looked up in the lab's database, and if it is not there, on YouTube.

        Raises `RefusedRequestError` if no channel has this name. Raises another `LabError` if YouTube or the lab's
        database does not answer; a later command may then succeed.
        """
        if name not in self._found:
            try:
                self._found[name] = self._id_of(name)
            except LabError as error:
                self._found[name] = error
        found = self._found[name]
        if isinstance(found, LabError):
            raise found
        return found

    def _id_of(self, given: str) -> str:
        from thumblab_core.given_text import channel_name
        from thumblab_core.ranking.channel_adapters import ChannelAdapters, is_channel_id
        from thumblab_core.releases.place import release_place
        from thumblab_core.releases.release_store import ReleaseStore
        from thumblab_serving.loading.channel_names import ChannelNames
        from thumblab_serving.loading.database import ServiceDatabase

        store = ReleaseStore(release_place(self._settings))
        adapters, database = ChannelAdapters(store), ServiceDatabase(self._settings)
        try:
            name = channel_name(given)
            # For a @handle, do not search the adapters. An adapter stores the @handle that its channel had when the
            # adapter was fitted. The database knows if another channel has this @handle now.
            added = None if name.startswith("@") else adapters.find(name)
            channel_id = added or ChannelNames(store, database).known_id(name)
        except LabError as error:
            raise RefusedRequestError(str(error)) from None
        finally:
            database.close()
        if channel_id is not None:
            return channel_id
        if name.startswith("@"):
            return self._id_of_handle(name)
        if not is_channel_id(name):
            raise RefusedRequestError(
                f"--channel: {adapters.not_found(name)}; for any other channel, give its id (UC...) or link"
            )
        return name

    def _id_of_handle(self, handle: str) -> str:
        from thumblab_core.experiments.rules import RuleError
        from thumblab_pipelines.experiments.add import UnknownChannelError

        try:
            return self._writer.channel_id(handle)
        except (RuleError, UnknownChannelError) as error:
            raise RefusedRequestError(str(error)) from None

    @cached_property
    def _writer(self) -> "ExperimentWriter":
        from thumblab_pipelines.experiments.add import ExperimentWriter
        from thumblab_pipelines.lab import Lab

        return ExperimentWriter(Lab.existing(self._settings))


def suggest_channel(settings: "Settings", name: str) -> None:
    """Print a note on stderr if no adapter has this name, but an adapter has a similar name."""
    from thumblab_core.ranking.channel_adapters import ChannelAdapters
    from thumblab_core.releases.place import release_place
    from thumblab_core.releases.release_store import ReleaseStore

    adapters = ChannelAdapters(ReleaseStore(release_place(settings)))
    if adapters.find(name) is None and (hint := adapters.suggestion(name)):
        click.echo(f"note: no adapter of {name!r} was added{hint}", err=True)
