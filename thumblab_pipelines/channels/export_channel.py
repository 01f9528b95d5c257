"""Find the channel to which exports of YouTube Studio belong, and check whether their sender may change this channel.

A channel whose exports were sent over HTTP belongs to the API key of the sender, see
`thumblab_core.database.channels.Channel`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import ARRAY, BindParameter, Connection, Text, any_, func, literal, or_, select, text

from thumblab_core.database.channels import Channel, channel_of_id, find_channel
from thumblab_core.database.engine import NO_IDLE_TIMEOUT
from thumblab_core.database.lock_numbers import EXPORTS
from thumblab_core.database.tables import channels, video_reach, videos
from thumblab_core.errors import LabError
from thumblab_core.given_text import CHANNEL_ID, channel_name, has_hidden, without_hidden
from thumblab_core.keys.named_keys import name_of_key
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.studio_period import period_of_file
from thumblab_pipelines.videos.names import channel_id_of, channel_key

SOURCE = "catalogue"
"""Value of the column `videos.source` for videos that a person gave, in a catalogue or in an export.

The rules that delete old data of YouTube's API do not delete these videos.
"""

_MOST_NAMED = 3
"""Maximum number of other channels that a message names."""

_ASK = "ask the lab's owner to import the exports with `thumblab channel add`"


class NoNameError(LabError):
    """Raised if the exports come without a name of their channel, or if a channel cannot have the given name."""


class NotYoursError(LabError):
    """Raised if the exports would change a channel of another owner."""


@dataclass(frozen=True)
class GivenExports:
    """Exports of one channel, and the facts that their sender gave with them.

    `name`: title or id of the channel. `niche`: niche of the channel. `name` and `niche` may be None if the lab already
    knows a video of the exports. Without `name`, the channel's name is taken from the name of a file. `as_of`: the day
    on which the exports were made, see `export_day`. `columns`: the columns that the sender named, see `find_columns`.
    `owner`: the API key that sent the exports, or None if the lab's own command imports them. The lab's own command may
    change all channels.
    """

    files: Sequence[Path]
    name: str | None = None
    niche: str | None = None
    as_of: date | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None


@dataclass(frozen=True)
class ExportChannel:
    """The channel of the exports. `barred`: ids of videos in the exports that the sender must not change, because they
    belong to another channel."""

    channel: Channel
    remarks: list[str] = field(default_factory=list)
    barred: frozenset[str] = frozenset()


@contextmanager
def one_import_at_a_time(lab: Lab) -> Iterator[None]:
    """Hold an advisory lock of the database until the block ends. Without this lock, two imports could claim the same
    videos or the same title.
    """
    with lab.engine.begin() as holder:
        holder.execute(text(NO_IDLE_TIMEOUT))
        holder.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": EXPORTS})
        yield


def channel_of_exports(connection: Connection, given: GivenExports, video_ids: Collection[str]) -> ExportChannel:
    """Return the channel of the exports. `video_ids`: ids of the videos in the exports.

    If the lab already has videos of the exports, the channel of these videos is returned. Otherwise, the channel with
    the given name is returned. If no channel has this name, a new channel is made.

    The returned channel must be a channel that the sender may change. An API key may change only its own channels. The
    lab's own command may change the channel of an API key only if the command names this channel. Otherwise the owner
    of a key could first send the public ids of the videos, and then see the click-through rates that the command
    imports.

    Some videos of the exports may belong to channels that the sender must not change. If these are less than half of
    the videos, they are barred, and all other videos are imported. So the owner of a key cannot block an import by
    claiming a few of its videos.

    Raises `NoNameError` if there is no name, or if no channel can have the name. Raises `NotYoursError` if the channel
    belongs to another owner. Raises `LabError` if half of the videos or more belong to channels of API keys, and the
    lab's own command names none of these channels. Also raises `LabError` if the given name is the name of a channel in
    the lab, but most known videos of the exports belong to another channel.
    """
    known = _known(connection, video_ids)
    own = [channel for channel in known if channel.belongs_to(given.owner)]
    barred = frozenset[str]() if given.owner is None else _barred(connection, given.owner, video_ids)
    if barred and 2 * len(barred) >= len(video_ids):
        raise NotYoursError(
            f"nothing is imported, because {len(barred)} of the {len(video_ids)} videos of the exports belong to "
            f"{_titles(known, own)}, which this key may not change; {_ASK}, or to give the channel to your key with "
            "`thumblab channel give`"
        )
    name = None if given.name is None else channel_name(given.name)
    named = None if name is None else _named(connection, name, given.owner)
    remarks: list[str] = []
    if given.owner is None:
        left = [channel for channel in own if channel.owner is not None and not _is_meant(channel, name, named)]
        barred = _left_to_keys(connection, left, video_ids)
        own = [channel for channel in own if channel not in left]
        if barred:
            titles = ", ".join(repr(channel.title) for channel in left)
            remarks.append(
                f"{len(barred)} videos of the exports are in channels of API keys ({titles}), so nothing "
                "was stored for them; `thumblab channel give CHANNEL --lab` makes the lab the owner of a channel"
            )
    if own:
        channel = own[0]
        if named is not None and named.channel_id != channel.channel_id:
            raise LabError(
                f"most of the known videos of the exports belong to {channel.title!r} ({channel.channel_id}), not to "
                f"{named.title!r}; leave out --name"
            )
        if name is not None and not _is_meant(channel, name, named):
            remarks.append(
                f"the videos are of the channel {channel.title!r} ({channel.channel_id}), which keeps its title; the given "
                f"name {name!r} is not used"
            )
    else:
        channel = named or _new(connection, given, name)
    others = max(sum(known.values()) - known.get(channel, 0), len(barred))
    if others > (len(barred) if given.owner is None else 0):
        remarks.append(f"{others} videos of the exports belong to other channels and stay there")
    return ExportChannel(channel, remarks, barred)


def _is_meant(channel: Channel, name: str | None, named: Channel | None) -> bool:
    """Return whether `name` means `channel`. `named`: the channel that has this name in the lab, or None."""
    if named is not None:
        return named.channel_id == channel.channel_id
    return name is not None and channel_key(name) == channel_key(channel.title)


def _left_to_keys(connection: Connection, left: Sequence[Channel], video_ids: Collection[str]) -> frozenset[str]:
    """Return the videos of the exports that are in the channels `left`. These channels belong to API keys.

    Raises `LabError` if half of the videos of the exports, or more, are in these channels.
    """
    of_left = videos.c.channel_id.in_([channel.channel_id for channel in left])
    statement = select(videos.c.video_id).where(videos.c.video_id == any_(_array(video_ids)), of_left)
    barred = frozenset(connection.scalars(statement)) if left else frozenset[str]()
    if barred and 2 * len(barred) >= len(video_ids):
        channel_id = left[0].channel_id
        raise LabError(
            f"nothing is imported, because the videos of the exports are of {left[0].title!r} ({channel_id}), which belongs "
            f"to the key {name_of_key(left[0].owner or '')}; name this channel with --name {channel_id}, or make the lab "
            f"its owner with `thumblab channel give {channel_id} --lab`"
        )
    return barred


def _known(connection: Connection, video_ids: Collection[str]) -> dict[Channel, int]:
    """Return how many videos in `video_ids` each channel has. The channel with the most videos comes first."""
    columns = (channels.c.channel_id, channels.c.title, channels.c.handle, channels.c.owner)
    statement = (
        select(*columns, func.count())
        .join(videos, videos.c.channel_id == channels.c.channel_id)
        .where(videos.c.video_id == any_(_array(video_ids)))
        .group_by(*columns)
        .order_by(func.count().desc(), channels.c.channel_id)
    )
    return {Channel(*row[:4]): row[4] for row in connection.execute(statement)}


def _barred(connection: Connection, owner: str, video_ids: Collection[str]) -> frozenset[str]:
    """Return the videos that `owner` must not change.

    A video is barred if it is in a channel of another owner. A video is also barred if the lab knows only its
    click-through rate, because the lab's owner imported this rate.
    """
    of_others = (
        select(videos.c.video_id)
        .join(channels, channels.c.channel_id == videos.c.channel_id)
        .where(videos.c.video_id == any_(_array(video_ids)), channels.c.owner.is_distinct_from(owner))
    )
    of_no_channel = (
        select(video_reach.c.video_id)
        .outerjoin(videos, videos.c.video_id == video_reach.c.video_id)
        .where(video_reach.c.video_id == any_(_array(video_ids)), videos.c.video_id.is_(None))
    )
    return frozenset(connection.scalars(of_others.union(of_no_channel)))


def _named(connection: Connection, name: str, owner: str | None) -> Channel | None:
    """Return the channel with this name that `owner` may change, or None if no such channel exists.

    Raises `NotYoursError` if `name` is an id and no channel of the API key `owner` has this id. Otherwise a key could
    claim the id of a real channel before the true owner of the channel sends exports.
    """
    if owner is None:
        return find_channel(connection, name)
    if CHANNEL_ID.fullmatch(name):
        channel = channel_of_id(connection, name)
        if channel is None or not channel.belongs_to(owner):
            raise NotYoursError(
                f"this key has no channel with the id {name}, and may not make one; give a title as --name, or {_ASK}"
            )
        return channel
    statement = select(channels.c.channel_id, channels.c.title).where(channels.c.owner == owner)
    ids = [row.channel_id for row in connection.execute(statement) if channel_key(row.title) == channel_key(name)]
    return channel_of_id(connection, ids[0]) if len(ids) == 1 else None


def _new(connection: Connection, given: GivenExports, name: str | None) -> Channel:
    """Return a new channel with the given name. Without a given name, use the name that a file name contains."""
    of_file = next((of.channel for file in given.files if (of := period_of_file(file)) and of.channel), "")
    of_file = " ".join(without_hidden(of_file).split())
    if name is not None and CHANNEL_ID.fullmatch(name):
        channel = Channel(name, of_file or name)
        if channel.title != name:
            require_title(channel.title)
    else:
        title = of_file if name is None else " ".join(name.split())
        require_title(title)
        channel = Channel(channel_id_of(title), title, owner=given.owner)
    if _is_taken(connection, channel):
        advice = f"give another --name, or {_ASK}"
        if given.owner is None:
            advice = f"if it is the same channel, give --name {channel.channel_id}, otherwise give another --name"
        raise NoNameError(
            f"the lab has a channel called {channel.title!r}, but none of its videos is in the exports; {advice}"
        )
    return channel


def require_title(title: str, option: str = "--name") -> None:
    """Raise `NoNameError` if no channel may have this title. A title must not look like an id or a @handle.

    `option`: the option of the command that sets the title, for the error message.
    """
    key = channel_key(title)
    if not key:
        raise NoNameError("the file names do not contain the channel's name; give its title or its id with --name")
    if has_hidden(title):
        raise NoNameError(
            f"the title {title!r} has characters that are invisible or change the direction of text; give it without them, "
            f"with {option}"
        )
    if key.startswith("@"):
        raise NoNameError(
            ("" if option == "--title" else f"the lab knows no channel {title!r}, and ")
            + f"a title cannot begin with @; give the channel's title with {option}"
        )
    if CHANNEL_ID.fullmatch(key):
        raise NoNameError(f"{title!r} is a channel's id, and an id cannot be a title; give the title with {option}")


def _is_taken(connection: Connection, channel: Channel) -> bool:
    """Return whether another channel of the lab already has the id of `channel`.

    If an API key owns `channel`, a channel with the same title also counts. If the lab itself owns `channel`, only
    channels that have videos count, and another channel may have the same title.
    """
    if channel.owner is None:
        return (
            connection.scalar(select(videos.c.video_id).where(videos.c.channel_id == channel.channel_id).limit(1))
            is not None
        )
    same = or_(
        channels.c.channel_id.in_([channel.channel_id, channel.title]),
        func.lower(channels.c.title) == func.lower(channel.title),
    )
    return connection.scalar(select(channels.c.channel_id).where(same).limit(1)) is not None


def _titles(known: Mapping[Channel, int], own: Collection[Channel]) -> str:
    """Return the titles of the channels that are not in `own`, as text for a message."""
    titles = [repr(channel.title) for channel in known if channel not in own]
    more = ["…"] if len(titles) > _MOST_NAMED else []
    return "channels of others" + (f" ({', '.join(titles[:_MOST_NAMED] + more)})" if titles else "")


def _array(video_ids: Collection[str]) -> BindParameter[Any]:
    """Return the ids as one array parameter. A parameter for each id could exceed PostgreSQL's limit of parameters."""
    return literal(list(video_ids), ARRAY(Text))
