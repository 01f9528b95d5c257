"""Find the channels that a person gave for a niche, by their ids and @handles."""

from collections.abc import Sequence

from sqlalchemy import select

from thumblab_core.database.tables import channels
from thumblab_core.given_text import CHANNEL_ID
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import ChannelRecord, save_channels
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube


def given_channels(lab: Lab, youtube: YouTube, names: Sequence[str], remarks: list[str]) -> dict[str, str]:
    """Return the playlist of uploads of each channel, by the id of the channel.

    `names`: ids and @handles. The lab asks YouTube only about channels that it does not know. The calls cost one unit
    of quota for each @handle, and one unit for up to 50 ids. A channel that YouTube does not know is left out, and
    `remarks` receives a sentence about it.
    """
    found = _known(lab, names)
    ids = [name for name in names if name not in found and CHANNEL_ID.fullmatch(name)]
    handles = [name for name in names if name not in found and not CHANNEL_ID.fullmatch(name)]
    records: dict[str, ChannelRecord] = {}
    for start in range(0, len(ids), PAGE_SIZE):
        records |= {record.channel_id: record for record in youtube.channels(ids[start : start + PAGE_SIZE])}
    for handle in handles:
        record = youtube.channel_of(handle)
        if record is not None:
            records[handle] = record
    with lab.engine.begin() as connection:
        save_channels(connection, list({record.channel_id: record for record in records.values()}.values()))
    found |= {
        name: (record.channel_id, record.uploads_playlist)
        for name, record in records.items()
        if record.uploads_playlist is not None
    }
    remarks += [f"YouTube has no channel {name}, or does not show its uploads" for name in names if name not in found]
    return dict(found[name] for name in names if name in found)


def _known(lab: Lab, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the id and the playlist of uploads of each channel in `names`, by its name in `names`. Leave out channels
    that the lab does not know.
    """
    statement = select(channels.c.channel_id, channels.c.handle, channels.c.uploads_playlist).where(
        channels.c.uploads_playlist.is_not(None),
        channels.c.channel_id.in_(names) | channels.c.handle.in_(names),
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    known = {row.handle: (row.channel_id, row.uploads_playlist) for row in rows if row.handle}
    known |= {row.channel_id: (row.channel_id, row.uploads_playlist) for row in rows}
    return {name: known[name] for name in names if name in known}
