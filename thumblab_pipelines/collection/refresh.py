"""Collect a niche: what trends now, and the recent uploads of a few of its channels, for some eight units of quota."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import channels, charts, video_stats, videos
from thumblab_core.niches import Niche
from thumblab_core.views import era
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.uploads import newest_uploads
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.records import SHORT, VIDEO, Saved, VideoRecord, save_channels, save_videos
from thumblab_pipelines.youtube.answers import Hit, Page
from thumblab_pipelines.youtube.client import PAGE, YouTube
from thumblab_pipelines.youtube.paging import MOST_PAGES_OF_A_SEARCH, Paging, pages
from thumblab_pipelines.youtube.quota import QuotaError, Spending

_PROBE_AGAIN = timedelta(days=30)
"""A category that had no chart is asked again after this long."""


@dataclass(frozen=True)
class Collected:
    """What one refresh of a niche saw, what of it was new, and what it cost by bucket.

    `stopped` says why it ended early and when it can go on, None when it is complete. `remarks` name each list that was left
    before its end, since YouTube did not end it.
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


@dataclass
class _Seen:
    """What has been seen and committed so far; `looked_at` was told beside it, and need not be asked for again."""

    ids: set[str] = field(default_factory=set)
    looked_at: dict[str, VideoRecord] = field(default_factory=dict)
    formats: Counter[str] = field(default_factory=Counter)
    saved: Saved = field(default_factory=Saved)
    walked: int = 0
    pages: int = 0
    source: str = "nothing"
    remarks: list[str] = field(default_factory=list)


def collect(lab: Lab, niche: str, progress: Progress = silent) -> Collected:
    """Refresh `videos` and `video_stats` of a niche. Every batch is committed, so a crash costs at most one.

    Ends early, and says so, when the quota is spent; asks nothing where no key is set and the niche lives on an imported
    catalogue. Raises `LabError` when no key is set and it has none, or YouTube refuses.
    """
    seen = _Seen()
    if lab.settings.youtube_api_key is None and (held := _catalogued(lab, niche)):
        remark = f"no YouTube API key is set: {niche} goes on with the {held} videos that were imported"
        return Collected(0, 0, 0, {}, 0, "an imported catalogue", Spending({}, []), None, [remark])
    stopped = None
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        try:
            _collect_trending(lab, youtube, niche, seen, progress)
            _walk_channels(lab, youtube, niche, seen, progress)
        except QuotaError as error:
            stopped = str(error)
        quota = youtube.ledger.spending(youtube.now)
    return Collected(
        len(seen.ids),
        seen.saved.new_videos,
        seen.saved.new_observations,
        dict(seen.formats),
        seen.walked,
        seen.source,
        quota,
        stopped,
        seen.remarks,
    )


def _catalogued(lab: Lab, niche: str) -> int:
    """How many videos of the niche a catalogue brought."""
    statement = select(func.count()).where(videos.c.niche == niche, videos.c.source == "catalogue")
    with lab.engine.connect() as connection:
        return connection.execute(statement).scalar_one()


def _collect_trending(lab: Lab, youtube: YouTube, niche: str, seen: _Seen, progress: Progress) -> None:
    """The chart of the category where it still has one, made up to the number wanted by the most viewed of its search."""
    wanted = lab.settings.videos_per_niche
    charted = _chart(lab, youtube, niche)
    if charted is not None:
        seen.source = "chart"
        _commit(lab, youtube, _with_enough(charted, wanted), seen)
    if seen.formats[VIDEO] >= wanted:
        return
    if charted is None:
        seen.source = "search"
    settings = lab.settings
    after = youtube.now - timedelta(days=settings.search_days)
    progress(f"{niche}: trending", seen.formats[VIDEO], wanted)
    paging = Paging[Hit](f"the search of {niche}", lambda hit: hit.video_id, MOST_PAGES_OF_A_SEARCH)

    def ask(cursor: str | None) -> Page[Hit]:
        return youtube.search(
            Niche(niche).category_id, settings.region, after, cursor=cursor, language=settings.language
        )

    for hits in pages(paging, ask):
        found = [hit.video_id for hit in hits if hit.video_id not in seen.ids]
        # A page of fifty costs one unit to look at, wanted or not; what is no video is kept apart and not counted.
        records = youtube.videos(found, niche) if found else []
        seen.looked_at |= {record.video_id: record for record in records}
        rank = {video_id: place for place, video_id in enumerate(found)}
        ranked = sorted(records, key=lambda record: rank.get(record.video_id, len(rank)))
        _commit(lab, youtube, _with_enough(ranked, wanted - seen.formats[VIDEO]), seen)
        progress(f"{niche}: trending", min(seen.formats[VIDEO], wanted), wanted)
        seen.pages += 1
        if seen.formats[VIDEO] >= wanted or seen.pages >= _most_pages(wanted):
            break
    if paging.remark is not None:
        seen.remarks.append(paging.remark)


def _most_pages(wanted: int) -> int:
    """Where most of what is viewed are Shorts, the search is not followed to its end for the last videos."""
    return max(2, -(-wanted // PAGE))


def _chart(lab: Lab, youtube: YouTube, niche: str) -> list[VideoRecord] | None:
    """The chart of the category, None where there is none; that there is none is remembered for a month."""
    category, region = Niche(niche).category_id, lab.settings.region
    with lab.engine.connect() as connection:
        probed_at = connection.scalar(
            select(charts.c.probed_at).where(
                charts.c.category_id == category, charts.c.region == region, charts.c.available.is_(False)
            )
        )
    if probed_at is not None and youtube.now - probed_at < _PROBE_AGAIN:
        return None
    found = youtube.chart(category, region, niche)
    statement = insert(charts).values(
        category_id=category, region=region, available=found is not None, probed_at=youtube.now
    )
    fresh = {"available": statement.excluded.available, "probed_at": statement.excluded.probed_at}
    with lab.engine.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["category_id", "region"], set_=fresh))
    return found


def _with_enough(records: Iterable[VideoRecord], wanted: int) -> list[VideoRecord]:
    """The first `wanted` videos, and the Shorts, live and upcoming ones that stand among them."""
    kept: list[VideoRecord] = []
    for record in records:
        if record.format == VIDEO:
            if wanted <= 0:
                break
            wanted -= 1
        kept.append(record)
    return kept


def _walk_channels(lab: Lab, youtube: YouTube, niche: str, seen: _Seen, progress: Progress) -> None:
    """The newest uploads of the channels that were visited longest ago. Known ones cost no unit: counts have their own."""
    # What a second page of the search cost is saved here, so that the day stays within its 60 units.
    saved = 2 * max(0, seen.pages - 1)
    chosen = _channels_to_walk(lab, niche, max(1, lab.settings.channels_per_refresh - saved))
    oldest = youtube.now - timedelta(days=lab.settings.library_days)
    new: list[str] = []
    known: list[str] = []
    walked: list[str] = []
    for channel_id, playlist in chosen:
        limit = lab.settings.uploads_per_channel
        uploads = newest_uploads(youtube, channel_id, playlist, limit, seen.remarks, oldest)
        uploads = [video_id for video_id in uploads if video_id not in seen.ids]
        with lab.engine.connect() as connection:
            # What is live or upcoming becomes something else, which its counts alone would not tell.
            settled = videos.c.format.in_((VIDEO, SHORT))
            there = set(connection.scalars(select(videos.c.video_id).where(videos.c.video_id.in_(uploads), settled)))
        new += [video_id for video_id in uploads if video_id not in there]
        known += [video_id for video_id in uploads if video_id in there]
        walked.append(channel_id)
        progress(f"{niche}: channels", len(walked), len(chosen))
    new = list(dict.fromkeys(new))  # a list that grows while it is paged through repeats itself
    for batch in batches([name for name in new if name in seen.looked_at], PAGE, f"{niche}: uploads", progress):
        _commit(lab, youtube, [seen.looked_at[video_id] for video_id in batch], seen)
    for batch in batches([name for name in new if name not in seen.looked_at], PAGE, f"{niche}: uploads", progress):
        _commit(lab, youtube, youtube.videos(batch, niche), seen)
    for batch in batches(list(dict.fromkeys(known)), PAGE, f"{niche}: known uploads", progress):
        observed, fresh = observe_counts(lab, youtube, batch)
        seen.ids.update(observed)
        seen.saved += Saved(0, fresh)
    with lab.engine.begin() as connection:
        connection.execute(update(channels).where(channels.c.channel_id.in_(walked)).values(walked_at=youtube.now))
    seen.walked = len(walked)


def _channels_to_walk(lab: Lab, niche: str, limit: int) -> list[tuple[str, str]]:
    """Channels of the niche with their uploads playlist, the longest unvisited first."""
    of_niche = select(videos.c.channel_id).where(videos.c.niche == niche).distinct()
    statement = (
        select(channels.c.channel_id, channels.c.uploads_playlist)
        .where(channels.c.channel_id.in_(of_niche), channels.c.uploads_playlist.is_not(None))
        .order_by(channels.c.walked_at.nulls_first(), channels.c.channel_id)
        .limit(min(limit, lab.settings.channels_per_refresh))
    )
    with lab.engine.connect() as connection:
        return [(row.channel_id, row.uploads_playlist) for row in connection.execute(statement)]


def _commit(lab: Lab, youtube: YouTube, records: Sequence[VideoRecord], seen: _Seen) -> None:
    """Save the videos, and first the channels that are new to the lab."""
    wanted = {record.channel_id for record in records}
    playlist_known = select(channels.c.channel_id).where(
        channels.c.channel_id.in_(wanted), channels.c.uploads_playlist.is_not(None)
    )
    with lab.engine.connect() as connection:
        unknown = sorted(wanted - set(connection.scalars(playlist_known)))
    found = [record for batch in batches(unknown, PAGE, "", silent) for record in youtube.channels(batch)]
    with lab.engine.begin() as connection:
        save_channels(connection, found)
        there = set(connection.scalars(select(channels.c.channel_id).where(channels.c.channel_id.in_(wanted))))
        # A channel that vanished between two calls takes its videos with it.
        kept = [record for record in records if record.channel_id in there]
        seen.saved += save_videos(connection, kept)
    seen.ids.update(record.video_id for record in kept)
    seen.formats.update(record.format for record in kept)


def observe_counts(lab: Lab, youtube: YouTube, video_ids: Sequence[str]) -> tuple[list[str], int]:
    """Add an observation to each of at most 50 known videos: the ids of those that YouTube told of, and how many are new."""
    found, at = youtube.statistics(video_ids)
    with lab.engine.begin() as connection:
        # Locked as a foreign key would lock them, so that none is forgotten before its observation is written.
        chosen = (
            select(videos.c.video_id, videos.c.format)
            .where(videos.c.video_id.in_(video_ids))
            .order_by(videos.c.video_id)
            .with_for_update(read=True, key_share=True)
        )
        formats = dict(connection.execute(chosen).all())
        rows = [
            {
                "video_id": counts.video_id,
                "observed_at": at,
                "view_count": counts.view_count,
                "like_count": counts.like_count,
                "comment_count": counts.comment_count,
                "era": era(formats[counts.video_id], at),
            }
            for counts in sorted(found, key=lambda counts: counts.video_id)
            if counts.video_id in formats
        ]
        fresh = 0
        if rows:
            statement = insert(video_stats).values(rows).on_conflict_do_nothing().returning(video_stats.c.video_id)
            fresh = len(connection.execute(statement).all())
    return [str(row["video_id"]) for row in rows], fresh


def check_collection(lab: Lab, niche: str) -> list[CheckResult]:
    """Is there anything, and does it look like YouTube?"""
    statement = text("""
        SELECT count(DISTINCT v.video_id) AS videos, count(DISTINCT v.channel_id) AS channels,
               count(*) FILTER (WHERE v.published_at > s.observed_at + interval '1 day' AND v.format <> 'upcoming')
                 AS unborn,
               count(*) FILTER (WHERE s.view_count IS NULL) AS uncounted, count(*) AS observations
        FROM videos v
        JOIN LATERAL ( -- the latest: a premiere that was put off was seen before its publication of now, and rightly
          SELECT observed_at, view_count FROM video_stats
          WHERE video_stats.video_id = v.video_id ORDER BY observed_at DESC LIMIT 1
        ) s ON true
        WHERE v.niche = :niche
    """)
    with lab.engine.connect() as connection:
        row = connection.execute(statement, {"niche": niche}).one()
    counted = row.observations - row.uncounted
    return [
        CheckResult("collected", row.videos > 0, f"{row.videos} videos of {row.channels} channels"),
        CheckResult(
            "plausible",
            row.unborn == 0 and counted * 2 >= row.observations,
            f"{row.unborn} of {row.observations} last seen before publication, {row.uncounted} without views",
        ),
    ]
