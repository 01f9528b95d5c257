"""Collect a niche: what trends now, and the recent uploads of the channels that trend."""

from dataclasses import dataclass

from sqlalchemy import func, select, text, update

from thumblab_core.database.tables import channels, videos
from thumblab_core.niches import Niche
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.records import Saved, save_channels, save_videos
from thumblab_pipelines.steps.verdict import Verdict
from thumblab_pipelines.steps.youtube import PAGE, YouTube

_REGION = "US"
_CHANNELS_AT_ONCE = 25


@dataclass(frozen=True)
class Collected:
    """What one refresh of a niche saw and what of it was new."""

    seen: int
    new_videos: int
    new_observations: int
    channels_walked: int
    api_calls: int
    trending_from: str


def collect(lab: Lab, niche: str, progress: Progress = silent) -> Collected:
    """Refresh `videos` and `video_stats` of a niche. Every batch is committed, so a crash costs at most one.

    Raises `LabError` when no key is set or YouTube refuses.
    """
    settings = lab.settings
    youtube = YouTube.connect(settings)
    category = Niche(niche).category_id
    trending = youtube.chart(category, _REGION)
    source = "chart" if trending is not None else "search"
    if trending is None or len(trending) < settings.videos_per_niche:
        found = youtube.search(category, _REGION, settings.search_days, settings.videos_per_niche)
        trending = list(dict.fromkeys([*(trending or []), *found]))
    seen: set[str] = set()
    saved = _observe(lab, youtube, niche, trending[: settings.videos_per_niche], seen, progress)
    walked = 0
    for group in batches(_channels_to_walk(lab, niche), _CHANNELS_AT_ONCE, f"{niche}: channels", progress):
        uploads = [
            video_id
            for _, playlist in group
            for video_id in youtube.uploads(playlist, settings.uploads_per_channel)
            if video_id not in seen
        ]
        uploads = list(dict.fromkeys(uploads))  # a list that grows while it is paged through repeats itself
        saved += _observe(lab, youtube, niche, uploads, seen, silent)
        with lab.engine.begin() as connection:
            ids = [channel_id for channel_id, _ in group]
            connection.execute(update(channels).where(channels.c.channel_id.in_(ids)).values(walked_at=func.now()))
        walked += len(group)
    return Collected(len(seen), saved.new_videos, saved.new_observations, walked, youtube.calls, source)


def _observe(lab: Lab, youtube: YouTube, niche: str, video_ids: list[str], seen: set[str], progress: Progress) -> Saved:
    """Look at each video and at the channels that are new to the lab, and commit what is seen."""
    saved = Saved()
    for batch in batches(video_ids, PAGE, f"{niche}: videos", progress):
        records = youtube.videos(batch, niche)
        wanted = {record.channel_id for record in records}
        with lab.engine.begin() as connection:
            known = set(
                connection.scalars(
                    select(channels.c.channel_id).where(
                        channels.c.channel_id.in_(wanted), channels.c.uploads_playlist.is_not(None)
                    )
                )
            )
            if wanted - known:
                save_channels(connection, youtube.channels(sorted(wanted - known)))
                known = set(connection.scalars(select(channels.c.channel_id).where(channels.c.channel_id.in_(wanted))))
            # A channel that vanished between two calls takes its videos with it.
            kept = [record for record in records if record.channel_id in known]
            saved += save_videos(connection, kept)
        seen.update(record.video_id for record in kept)
    return saved


def _channels_to_walk(lab: Lab, niche: str) -> list[tuple[str, str]]:
    """Channels of the niche with their uploads playlist, the longest unvisited first."""
    of_niche = select(videos.c.channel_id).where(videos.c.niche == niche).distinct()
    statement = (
        select(channels.c.channel_id, channels.c.uploads_playlist)
        .where(channels.c.channel_id.in_(of_niche), channels.c.uploads_playlist.is_not(None))
        .order_by(channels.c.walked_at.nulls_first(), channels.c.channel_id)
        .limit(lab.settings.channels_per_refresh)
    )
    with lab.engine.connect() as connection:
        return [(row.channel_id, row.uploads_playlist) for row in connection.execute(statement)]


def judge_collection(lab: Lab, niche: str) -> list[Verdict]:
    """Is there anything, and does it look like YouTube?"""
    statement = text("""
        SELECT count(DISTINCT v.video_id) AS videos, count(DISTINCT v.channel_id) AS channels,
               count(*) FILTER (WHERE v.published_at > s.observed_at + interval '1 day') AS unborn,
               count(*) FILTER (WHERE s.view_count IS NULL) AS uncounted, count(*) AS observations
        FROM videos v JOIN video_stats s USING (video_id) WHERE v.niche = :niche
    """)
    with lab.engine.connect() as connection:
        row = connection.execute(statement, {"niche": niche}).one()
    counted = row.observations - row.uncounted
    return [
        Verdict("collected", row.videos > 0, f"{row.videos} videos of {row.channels} channels"),
        Verdict(
            "plausible",
            row.unborn == 0 and counted * 2 >= row.observations,
            f"{row.unborn} observations before publication, {row.uncounted} of {row.observations} without views",
        ),
    ]
