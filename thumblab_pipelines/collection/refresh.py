"""Collect videos of a niche for its library: the videos that trend now, and the newest uploads of a few channels.

A refresh costs about 8 units of quota.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text, update

from thumblab_core.database.tables import channels, videos
from thumblab_core.niches import Niche
from thumblab_core.niches.store import active_niche
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.collecting import Collecting
from thumblab_pipelines.collection.refetch import observe_counts
from thumblab_pipelines.collection.trending import collect_trending
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.niches.given_channels import given_channels
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.records import SHORT, VIDEO, Saved
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube
from thumblab_pipelines.youtube.quota import QuotaError, Spending
from thumblab_pipelines.youtube.uploads import newest_uploads

# This query counts videos that were published after their latest observation. Such dates must be wrong. Earlier
# observations are not compared: if a premiere was postponed, its earlier observations are rightly older than its
# publication.
_CHECKED = text("""
    SELECT count(DISTINCT v.video_id) AS videos, count(DISTINCT v.channel_id) AS channels,
           count(*) FILTER (WHERE v.published_at > s.observed_at + interval '1 day' AND v.format <> 'upcoming')
             AS unpublished,
           count(*) FILTER (WHERE s.view_count IS NULL) AS uncounted, count(*) AS observations
    FROM videos v
    JOIN LATERAL (
      SELECT observed_at, view_count FROM video_stats
      WHERE video_stats.video_id = v.video_id ORDER BY observed_at DESC LIMIT 1
    ) s ON true
    WHERE v.niche = :niche
""")


@dataclass(frozen=True)
class Collected:
    """The result of one refresh of a niche.

    `seen`: videos that were found or observed. `formats`: number of saved videos by format (see `videos.records`).
    `trending_from`: source of the trending videos. `quota`: quota that the run spent, by bucket. `stopped`: why the run
    ended early and when it can continue, or None. `remarks`: sentences about lists of YouTube (such as the uploads of a
    channel) that the run did not read to the last page. If YouTube was not asked, `remarks` also says why.
    """

    seen: int
    new_videos: int
    new_observations: int
    formats: dict[str, int]
    channels_walked: int
    trending_from: str
    quota: Spending
    stopped: str | None
    remarks: list[str]


def collect(lab: Lab, niche: str, progress: Progress = silent) -> Collected:
    """Refresh the tables `videos` and `video_stats` for a niche. Commit after each batch, so that a crash loses at most
    one batch.

    If the quota is spent, the run ends early, and `stopped` gives the reason. If no API key is set and the niche has an
    imported catalogue, YouTube is not asked. Raises `LabError` if the niche is retired, if no key is set and the niche
    has no catalogue, or if YouTube refuses a call.
    """
    with lab.engine.connect() as connection:
        sources = active_niche(connection, niche)
    if lab.settings.youtube_api_key is None and (imported := _imported_videos(lab, niche)):
        remark = f"no YouTube API key is set: {niche} continues with its {imported} imported videos"
        return Collected(0, 0, 0, {}, 0, "an imported catalogue", Spending({}, []), None, [remark])
    collecting = Collecting(sources)
    stopped = None
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        try:
            collect_trending(lab, youtube, sources, collecting, progress)
            _walk_channels(lab, youtube, sources, collecting, progress)
        except QuotaError as error:
            stopped = str(error)
        quota = youtube.ledger.spending(youtube.now)
    return Collected(
        len(collecting.video_ids),
        collecting.saved.new_videos,
        collecting.saved.new_observations,
        dict(collecting.formats),
        collecting.channels_walked,
        collecting.trending_from,
        quota,
        stopped,
        collecting.remarks,
    )


def _imported_videos(lab: Lab, niche: str) -> int:
    """Return how many videos of the niche come from a catalogue."""
    statement = select(func.count()).where(videos.c.niche == niche, videos.c.source == "catalogue")
    with lab.engine.connect() as connection:
        return connection.execute(statement).scalar_one()


def _walk_channels(lab: Lab, youtube: YouTube, sources: Niche, collecting: Collecting, progress: Progress) -> None:
    """Collect the newest uploads of the channels that a person gave for the niche, and of a few other channels. Of the
    other channels, the channels whose uploads were never listed come first. Then come the channels whose uploads were
    listed longest ago.

    For known uploads, only the counts are fetched. Fetching only counts costs no unit, because such calls have a
    separate quota.
    """
    # The search for a category's trending videos may read several pages. For each page after the first, the refresh
    # lists the uploads of two fewer channels. So the refreshes of all niches together cost at most 60 units a day (see
    # docs/collection.md). Searches for the search texts of a niche do not reduce the number of channels, because the
    # person who gave the texts accepted their cost.
    niche = sources.name
    saved_channels = 2 * max(0, collecting.search_pages - max(1, len(sources.searches)))
    given = given_channels(lab, youtube, sources.channels, collecting.remarks)
    others = _channels_to_walk(lab, niche, max(1, lab.settings.channels_per_refresh - saved_channels))
    chosen = list((dict(others) | given).items())
    oldest = youtube.now - timedelta(days=lab.settings.library_days)
    limit = lab.settings.uploads_per_channel
    new: list[str] = []
    known: list[str] = []
    for done, (channel_id, playlist) in enumerate(chosen, start=1):
        uploads = newest_uploads(youtube, channel_id, playlist, limit, collecting.remarks, oldest)
        uploads = [video_id for video_id in uploads if video_id not in collecting.video_ids]
        settled = _settled(lab, uploads)
        new += [video_id for video_id in uploads if video_id not in settled]
        known += [video_id for video_id in uploads if video_id in settled]
        progress(f"{niche}: channels", done, len(chosen))
    # If a playlist grows while its pages are read, two pages may list the same upload. So repeated ids are removed.
    _save_new(lab, youtube, niche, list(dict.fromkeys(new)), collecting, progress)
    for batch in batches(list(dict.fromkeys(known)), PAGE_SIZE, f"{niche}: known uploads", progress):
        observed = observe_counts(lab, youtube, batch)
        collecting.video_ids.update(observed.video_ids)
        collecting.saved += Saved(0, observed.new)
    walked = [channel_id for channel_id, _ in chosen]
    with lab.engine.begin() as connection:
        connection.execute(update(channels).where(channels.c.channel_id.in_(walked)).values(walked_at=youtube.now))
    collecting.channels_walked = len(walked)


def _settled(lab: Lab, video_ids: Sequence[str]) -> set[str]:
    """Return the videos that the lab already has, except live and upcoming videos.

    The caller fetches only the counts of the returned videos. A live or upcoming video becomes an ordinary video later,
    and its counts alone do not show this change.
    """
    statement = select(videos.c.video_id).where(videos.c.video_id.in_(video_ids), videos.c.format.in_((VIDEO, SHORT)))
    with lab.engine.connect() as connection:
        return set(connection.scalars(statement))


def _save_new(
    lab: Lab, youtube: YouTube, niche: str, video_ids: Sequence[str], collecting: Collecting, progress: Progress
) -> None:
    """Save new uploads in batches.

    The search for trending videos has already fetched the facts of some uploads. The uploads with known facts are saved
    first. YouTube is asked only for the uploads whose facts are not known yet.
    """
    fetched = [video_id for video_id in video_ids if video_id in collecting.records]
    unfetched = [video_id for video_id in video_ids if video_id not in collecting.records]
    for batch in batches(fetched, PAGE_SIZE, f"{niche}: uploads", progress):
        collecting.save(lab, youtube, [collecting.records[video_id] for video_id in batch])
    for batch in batches(unfetched, PAGE_SIZE, f"{niche}: uploads", progress):
        collecting.save(lab, youtube, youtube.videos(batch, niche))


def _channels_to_walk(lab: Lab, niche: str, limit: int) -> list[tuple[str, str]]:
    """Return at most `limit` channels of the niche, each with the id of the playlist of its uploads.

    Channels whose uploads the lab never listed come first, then the channels whose uploads were listed longest ago.
    """
    of_niche = select(videos.c.channel_id).where(videos.c.niche == niche).distinct()
    statement = (
        select(channels.c.channel_id, channels.c.uploads_playlist)
        .where(channels.c.channel_id.in_(of_niche), channels.c.uploads_playlist.is_not(None))
        .order_by(channels.c.walked_at.nulls_first(), channels.c.channel_id)
        .limit(min(limit, lab.settings.channels_per_refresh))
    )
    with lab.engine.connect() as connection:
        return [(row.channel_id, row.uploads_playlist) for row in connection.execute(statement)]


def check_collection(lab: Lab, niche: str) -> list[CheckResult]:
    """Check that the niche has videos, and that their dates and counts are plausible.

    The dates are plausible if no video was published more than a day after its latest observation. The dates of
    upcoming videos are not checked. The counts are plausible if at least half of the videos have a count of views.
    """
    with lab.engine.connect() as connection:
        row = connection.execute(_CHECKED, {"niche": niche}).one()
    counted = row.observations - row.uncounted
    return [
        CheckResult(
            "collected",
            row.videos > 0,
            f"{row.videos} videos of {row.channels} channels",
            figures={"videos": row.videos, "channels": row.channels},
        ),
        CheckResult(
            "plausible",
            row.unpublished == 0 and counted * 2 >= row.observations,
            f"{row.unpublished} of {row.observations} videos were last seen before their publication, and "
            f"{row.uncounted} have no count of views",
            figures={"observations": row.observations, "unpublished": row.unpublished, "without_views": row.uncounted},
        ),
    ]
