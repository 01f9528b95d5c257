"""Find the channel of an experiment by the name that a person gave."""

from sqlalchemy import Connection

from thumblab_core.database.channels import find_channel, near_title
from thumblab_core.errors import LabError
from thumblab_core.experiments.rules import RuleError
from thumblab_core.given_text import CHANNEL_ID, channel_name

_SHOWN = 40
"""The largest number of characters of a name that an error message shows."""


_WAYS = "its id (UC...), its exact title, its @handle, or its link"


def known_channel_id(connection: Connection, name: str, ways: str = _WAYS) -> str | None:
    """Return the id of a channel. `name` is the channel's id, its exact title, its @handle or its link.

    If the lab has no such channel, the result depends on `name`. For a valid id, return the id. For a @handle, return
    None. For any other text, raise `RuleError` with a message that ends with `ways`, which says how a person can name a
    channel.

    Also raises `RuleError` if several channels have the title, or if `name` is not valid text.
    """
    try:
        name = channel_name(name)
        channel = find_channel(connection, name)
    except LabError as error:
        raise RuleError("channel", str(error)) from None
    if channel is not None:
        return channel.channel_id
    if CHANNEL_ID.fullmatch(name):
        return name
    if name.startswith("@"):
        return None
    raise RuleError(
        "channel",
        f"the lab knows no channel called {name[:_SHOWN]!r}{near_title(connection, name)}; give {ways}",
    )
