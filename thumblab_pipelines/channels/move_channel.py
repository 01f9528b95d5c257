"""Move a channel to another niche. The channel must have been imported from exports of YouTube Studio."""

from sqlalchemy import func, select, update

from thumblab_core.database.channels import Channel
from thumblab_core.database.tables import videos
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.rebuild_requests import store_request


def move_channel(lab: Lab, channel: Channel, old: str, new: str, source: str) -> str:
    """Move the videos of a channel from the niche `old` to the niche `new`, and return a sentence about the result.

    The channel is not moved if some of its videos do not come from `source`, because such videos were collected for
    their niche. The channel is also not moved if its videos are in several niches. A catalogue chose these niches, and
    a move would lose them. After a move, request a rebuild of the library of each of the two niches that has a served
    index.
    """
    served = [niche for niche in (old, new) if lab.releases.serving.current_id(INDEX, niche) is not None]
    of_channel = videos.c.channel_id == channel.channel_id
    with lab.engine.begin() as connection:
        others = connection.scalar(select(func.count()).where(of_channel, videos.c.source != source)) or 0
        if others:
            return (
                f"the channel is in the niche {old} already, so {new} was not used: {others} of its videos do not "
                "come from exports, and they stay in the niche for which they were collected"
            )
        niches = list(connection.scalars(select(videos.c.niche).distinct().where(of_channel).order_by(videos.c.niche)))
        if len(niches) > 1:
            return (
                f"the channel has videos in the niches {' and '.join(niches)}, so it was not moved to {new}: each of them "
                "keeps the niche that a catalogue gave it"
            )
        moved = connection.execute(update(videos).where(of_channel).values(niche=new)).rowcount
        # The requests are stored in the transaction of the move. Otherwise, after a crash between the move and the
        # requests, a second import would find the channel already moved and request no rebuild.
        for niche in served:
            store_request(connection, niche, f"the channel {channel.channel_id} was moved from {old} to {new}")
    return f"the channel was moved from the niche {old} to {new}, with {moved} videos; import it with {old} to move it back"
