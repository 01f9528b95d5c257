"""Give a channel to an API key or to the lab itself, and change the channel's title."""

from sqlalchemy import func, select, update

from thumblab_core.database.channels import Channel, channel_of_id, find_channel, near_title
from thumblab_core.database.failures import explained_failure
from thumblab_core.database.tables import channels
from thumblab_core.errors import LabError
from thumblab_core.given_text import channel_name
from thumblab_core.keys.named_keys import OWN_KEY, NamedKeys
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_pipelines.channels.adapter import fit_channel_adapter, served_model
from thumblab_pipelines.channels.export_channel import one_import_at_a_time, require_title
from thumblab_pipelines.lab import Lab


def give_channel(lab: Lab, name: str, key: str | None, title: str | None = None) -> Channel:
    """Make the API key named `key` the owner of a channel. If `key` is None, make the lab the owner. Return the
    channel.

    `name` is the channel's id, exact title, @handle or link. `title`: the new title of the channel, or None to keep it.
    If the channel was added, its adapter is fitted again, because the adapter stores the title. If fitting the adapter
    fails, the error says that the channel was already changed.

    Raises `LabError` if there is no such channel or key, or if the channel cannot have the title.
    """
    owner = None if key is None else _owner(lab, key)
    name = channel_name(name)
    with one_import_at_a_time(lab), lab.engine.begin() as connection:
        channel = find_channel(connection, name)
        if channel is None:
            raise LabError(f"the lab knows no channel called {name!r}{near_title(connection, name)}")
        changes: dict[str, str | None] = {"owner": owner}
        if title is not None:
            title = " ".join(title.split())
            if not title:
                raise LabError("the given title is empty; give the channel's title with --title, or leave --title out")
            require_title(title, "--title")
            same = (func.lower(channels.c.title) == title.lower()) & (channels.c.channel_id != channel.channel_id)
            if (other := connection.scalar(select(channels.c.channel_id).where(same).limit(1))) is not None:
                raise LabError(f"the channel {other} is called {title!r} already; give another title")
            changes["title"] = title
        this = channels.c.channel_id == channel.channel_id
        connection.execute(update(channels).where(this).values(**changes))
        changed = channel_of_id(connection, channel.channel_id)
        assert changed is not None
    if changed.title != channel.title and changed.channel_id in ChannelAdapters(lab.releases).channels():
        whose = "the lab" if key is None else f"the key {key}"
        try:
            fit_channel_adapter(lab, changed, served_model(lab))
        except Exception as error:
            cause = error if isinstance(error, LabError) else explained_failure(error)
            if cause is None:
                raise
            raise LabError(
                f"the channel {changed.channel_id} is called {changed.title!r} and belongs to {whose} now, but its adapter "
                f"still has the old title: {cause}. Mend this error, then run `thumblab channel add {changed.channel_id}`"
            ) from error
    return changed


def _owner(lab: Lab, key: str) -> str:
    """Return the text that marks the key as owner in the database."""
    if key == OWN_KEY:
        raise LabError(f"the key {OWN_KEY} is the lab's own; give the channel to the lab with --lab")
    keys = {named.name: named.owner for named in NamedKeys(lab.settings).all()}
    if key not in keys:
        raise LabError(f"there is no key named {key[:40]!r}; the named keys are: {', '.join(keys) or 'none yet'}")
    return keys[key]
