"""Find a channel of the lab by its id, @handle or title, and check who may change the channel."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from thumblab_core.database.tables import channels
from thumblab_core.errors import LabError
from thumblab_core.near_names import nearest

_COLUMNS = (channels.c.channel_id, channels.c.title, channels.c.handle, channels.c.owner)


@dataclass(frozen=True)
class Channel:
    """A channel in the lab's database. `handle` is its @handle in lower case, or None if the @handle is unknown.

    `owner` identifies the API key with which the channel was added. `owner` is None if the channel belongs to the lab
    itself.
    """

    channel_id: str
    title: str
    handle: str | None = None
    owner: str | None = None

    def belongs_to(self, owner: str | None) -> bool:
        """Return whether `owner` may change the channel and its experiments, and see its private figures.

        `owner` identifies an API key. None stands for the lab itself: the command line, and the keys with the scope
        `admin`. The lab may change every channel.
        """
        return owner is None or owner == self.owner


def find_channel(connection: Connection, name: str) -> Channel | None:
    """Return the channel whose id, @handle or exact title is `name`, or None if the lab has no such channel.

    YouTube does not distinguish upper and lower case in a @handle. Raises `LabError` when several channels have the
    title.
    """
    statement = select(*_COLUMNS)
    rows = connection.execute(statement.where(channels.c.channel_id == name)).all()
    if not rows and name.startswith("@"):
        of_handle = statement.where(channels.c.handle == name.lower())
        # Two channels may have the same @handle in the database: the @handle was given to another channel, and an
        # earlier version of the lab did not remove the @handle from the first channel. The channel whose facts came
        # last from YouTube has the @handle now.
        rows = connection.execute(of_handle.order_by(channels.c.refreshed_at.desc().nulls_last()).limit(1)).all()
    rows = rows or connection.execute(statement.where(channels.c.title == name).limit(10)).all()
    if len(rows) > 1:
        ids = ", ".join(row.channel_id for row in rows)
        raise LabError(f"{len(rows)} channels are called {name!r}; give one of the ids {ids}")
    return Channel(*rows[0]) if rows else None


def channel_of_id(connection: Connection, channel_id: str) -> Channel | None:
    """Return the channel with this id, or None if the lab has no such channel."""
    row = connection.execute(select(*_COLUMNS).where(channels.c.channel_id == channel_id)).one_or_none()
    return None if row is None else Channel(*row)


def near_title(connection: Connection, name: str) -> str:
    """Return the end of an error message about the unknown channel `name`: " (do you mean TITLE?)".

    TITLE is the title of the lab's channel that is most similar to `name`. If no title is similar, the result is empty.
    """
    near = nearest(name, connection.scalars(select(channels.c.title)))
    return "" if near is None or near == name else f" (do you mean {near!r}?)"
