"""Move a channel that was imported from exports to another niche."""

from sqlalchemy import func, select, update

from thumblab_core.database.channels import Channel
from thumblab_core.database.tables import videos
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.rebuild_requests import store_request


def move_channel(lab: Lab, channel: Channel, old: str, new: str, source: str) -> str:
    """Move the videos of a channel from the niche `old` to the niche `new`, and return a sentence about the result.

    A channel with videos that came from elsewhere than `source` stays: its niche is the one that they were collected
    for. A channel with videos in several niches stays too: a catalogue gave each of them its niche, and a move back could
    not tell them apart. If the channel moves, a rebuild is requested of both libraries, as far as the service has them.
    """
    served = [niche for niche in (old, new) if lab.releases.serving.current_id(INDEX, niche) is not None]
    of_channel = videos.c.channel_id == channel.channel_id
    with lab.engine.begin() as connection:
        others = connection.scalar(select(func.count()).where(of_channel, videos.c.source != source)) or 0
        if others:
            return (
                f"the channel is in the niche {old} already, so {new} was not used: the lab has {others} of its videos not "
                "from exports, and they stay in the niche that they were collected for"
            )
        niches = list(connection.scalars(select(videos.c.niche).distinct().where(of_channel).order_by(videos.c.niche)))
        if len(niches) > 1:
            return (
                f"the channel has videos in the niches {' and '.join(niches)}, so it was not moved to {new}: each of them "
                "keeps the niche that a catalogue gave it"
            )
        moved = connection.execute(update(videos).where(of_channel).values(niche=new)).rowcount
        # In the same transaction, because after a crash a second import would find the channel moved and ask for nothing.
        for niche in served:
            store_request(connection, niche, f"the channel {channel.channel_id} was moved from {old} to {new}")
    return f"the channel was moved from the niche {old} to {new}, with {moved} videos; import it with {old} to move it back"
