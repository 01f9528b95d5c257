"""Move a channel that was imported from exports to another niche."""

from sqlalchemy import func, select, update

from thumblab_core.database.channels import Channel
from thumblab_core.database.tables import videos
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.rebuild_requests import request_rebuild


def move_channel(lab: Lab, channel: Channel, old: str, new: str, source: str) -> str:
    """Move the videos of a channel from the niche `old` to the niche `new`, and return a sentence about the result.

    A channel with videos that came from elsewhere than `source` stays: its niche is the one that they were collected
    for. If the channel moves, a rebuild is requested of both libraries, as far as the service has them.
    """
    of_channel = videos.c.channel_id == channel.channel_id
    with lab.engine.begin() as connection:
        others = connection.scalar(select(func.count()).where(of_channel, videos.c.source != source)) or 0
        if others:
            return (
                f"the channel is in the niche {old} already, so {new} was not used: the lab has {others} of its videos not "
                "from exports, and they stay in the niche that they were collected for"
            )
        moved = connection.execute(update(videos).where(of_channel, videos.c.niche != new).values(niche=new)).rowcount
    for niche in (old, new):
        if lab.releases.serving.current_id(INDEX, niche) is not None:
            request_rebuild(lab, niche, f"the channel {channel.channel_id} was moved from {old} to {new}")
    return f"the channel was moved from the niche {old} to {new}, with {moved} videos; import it with {old} to move it back"
