"""Save the videos that one refresh of a niche collects, and count them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from thumblab_core.database.tables import channels
from thumblab_core.niches import Niche
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import batches, silent
from thumblab_pipelines.videos.records import Saved, VideoRecord, save_channels, save_videos
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube


@dataclass
class Collecting:
    """The ids of the videos that a refresh has saved so far, and the counts of the refresh.

    `records`: the facts of every video that the search for trending videos found, by video id. Videos that were found
    but not saved are included, so the refresh never asks YouTube twice for the facts of a video. `niche`: the niche
    that is refreshed. A video with an excluded word of this niche is not saved.
    """

    niche: Niche

    video_ids: set[str] = field(default_factory=set)
    records: dict[str, VideoRecord] = field(default_factory=dict)
    formats: Counter[str] = field(default_factory=Counter)
    saved: Saved = field(default_factory=Saved)
    channels_walked: int = 0
    search_pages: int = 0
    trending_from: str = "nothing"
    remarks: list[str] = field(default_factory=list)

    def save(self, lab: Lab, youtube: YouTube, records: Sequence[VideoRecord]) -> None:
        """Fetch the channels whose playlist of uploads the lab does not know yet. Then save the channels and the videos
        in one transaction. Videos with an excluded word in their title are left out.
        """
        records = [record for record in records if not self.niche.excludes(record.title)]
        wanted = {record.channel_id for record in records}
        playlist_known = select(channels.c.channel_id).where(
            channels.c.channel_id.in_(wanted), channels.c.uploads_playlist.is_not(None)
        )
        with lab.engine.connect() as connection:
            unknown = sorted(wanted - set(connection.scalars(playlist_known)))
        new_channels = [
            record for batch in batches(unknown, PAGE_SIZE, "", silent) for record in youtube.channels(batch)
        ]
        with lab.engine.begin() as connection:
            save_channels(connection, new_channels)
            known = set(connection.scalars(select(channels.c.channel_id).where(channels.c.channel_id.in_(wanted))))
            # A channel may be deleted from YouTube after a call has found its videos. The facts of a deleted channel
            # cannot be saved, so its videos are not saved either.
            kept = [record for record in records if record.channel_id in known]
            self.saved += save_videos(connection, kept)
        self.video_ids.update(record.video_id for record in kept)
        self.formats.update(record.format for record in kept)
