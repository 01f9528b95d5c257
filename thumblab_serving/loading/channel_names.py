"""Find the id of the channel that a request names."""

from typing import TYPE_CHECKING

from thumblab_core.errors import LabError
from thumblab_core.given_text import CHANNEL_ID
from thumblab_core.ranking.channel_adapters import ChannelAdapters, is_channel_id
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading.database import NoDatabaseError, ServiceDatabase

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection


class ChannelNames:
    """The names of the channels to which the service can adapt its answers."""

    def __init__(self, store: ReleaseStore, database: ServiceDatabase) -> None:
        self._added = ChannelAdapters(store)
        self._database = database

    def id_of(self, name: str) -> str:
        """Return the id of the channel whose id, @handle or exact title is `name`. If no channel has this name, or if
        several channels have it, return `name`.

        No request is sent to YouTube, so a @handle is found only if the lab has collected or added the channel. An id
        of YouTube (`UC...`) and the id of an added adapter are returned without a look-up in the database. If the
        database cannot answer, only the names of added adapters are known. Never raises an error.
        """
        return self.known_id(name) or name

    def known_id(self, name: str) -> str | None:
        """Return the same id as `id_of`, but return None if no channel or several channels have the name.

        An id of YouTube counts as known. Never raises an error.
        """
        if CHANNEL_ID.fullmatch(name):
            return name
        try:
            if is_channel_id(name) and self._added.current_id(name) is not None:
                return name
            try:
                found = self._database.read(lambda connection: _id_in(connection, name))
            except NoDatabaseError:
                found = None
            return found or self._added.find(name)
        except (LabError, OSError):
            return None

    def title_of(self, channel_id: str) -> str | None:
        """Return the title of the channel with this id, or None if it is not known. Never raises an error."""
        if not is_channel_id(channel_id):
            return None
        try:
            return self._added.title(channel_id) or self._database.read(
                lambda connection: _title_in(connection, channel_id)
            )
        except (LabError, OSError, ValueError, NoDatabaseError):
            return None


def _title_in(connection: "Connection", channel_id: str) -> str | None:
    from thumblab_core.database.channels import find_channel

    channel = find_channel(connection, channel_id)
    return None if channel is None or channel.channel_id != channel_id else channel.title or None


def _id_in(connection: "Connection", name: str) -> str | None:
    from thumblab_core.database.channels import find_channel

    channel = find_channel(connection, name)
    return None if channel is None else channel.channel_id
