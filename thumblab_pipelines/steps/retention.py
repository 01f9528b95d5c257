"""What the lab may keep: refresh what YouTube told before it is 30 days old, and forget what is gone or too old.

To forget a video is to delete it from every table, its pictures from the image store, and it from every release but those of
models. Each part compares what is there with what the `videos` table still has, so a run that was killed is made up for by
the next. The rules in plain words, and what stays in models, are in docs/retention.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, select, text, update

from thumblab_core.channel_history import ADAPTER
from thumblab_core.database.tables import channels, crawl_channels, thumbnail_versions, video_stats, videos
from thumblab_pipelines.steps.crawl_rules import KEPT, OUTLIER
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.records import save_channels, save_videos
from thumblab_pipelines.steps.traces import (
    CleanedHistories,
    alive_videos,
    clean_histories,
    clean_images,
    clean_indices,
    clean_pairs,
    clean_unfinished,
    stale_indices,
)
from thumblab_pipelines.steps.verdict import Verdict
from thumblab_pipelines.steps.youtube.client import PAGE, YouTube
from thumblab_pipelines.steps.youtube.errors import Trouble, YouTubeError
from thumblab_pipelines.steps.youtube.quota import QuotaError, Spending

LONGEST = timedelta(days=30)
"""The age at which facts that were told without an owner's authorisation must have been refreshed or deleted (YouTube's
Developer Policies, III.E.4)."""

_TRAINABILITY_PER_RUN = 500

_TOLD = 5
"""Releases that a verdict names."""

_TOO_MANY = 20
"""That so many channels vanish at once is more likely an error of YouTube's than true."""

GONE, EXPIRED, STALE, CLOSED = (
    "removed or private",
    "out of the library's days",
    "not refreshed in 30 days",
    "channel gone",
)


@dataclass(frozen=True)
class Retained:
    """What a run refreshed and what it forgot, by reason; what went with it; what it cost; and why it ended early."""

    videos: int
    refreshed: int
    forgotten: dict[str, int]
    images_deleted: int
    releases_deleted: int
    histories: CleanedHistories
    unfinished_deleted: int
    quota: Spending
    stopped: str | None


def retain(lab: Lab, niche: str, progress: Progress = silent, run_id: str | None = None) -> Retained:
    """Apply the rules to a niche. What could not be refreshed for want of quota is only deleted when its time is up.

    Raises `LabError` when no key is set, or YouTube refuses or is not to be reached; what has to go is deleted all the same.
    """
    forgotten: Counter[str] = Counter()
    now = datetime.now(UTC)
    try:
        with YouTube.connect(lab.settings, lab.engine) as youtube:
            now = youtube.now
            forgotten[EXPIRED] = _expire(lab, niche, now)  # before a unit is spent on what leaves
            refreshed = _refresh(lab, youtube, niche, forgotten, progress)
    finally:
        # Also without YouTube, by this machine's clock then: facts do not get younger because nobody can be asked.
        forgotten[EXPIRED] += _expire(lab, niche, now)
        forgotten[STALE] = _forget_stale(lab, niche, now)
        releases_deleted = clean_indices(lab, niche, run_id) + clean_pairs(lab, run_id)
        images_deleted = clean_images(lab)
        histories, unfinished_deleted = clean_histories(lab, progress), clean_unfinished(lab)
    with lab.engine.connect() as connection:
        left = len(alive_videos(connection, niche))
    counts = {reason: count for reason, count in forgotten.items() if count}
    return Retained(
        left,
        refreshed.videos,
        counts,
        images_deleted,
        releases_deleted,
        histories,
        unfinished_deleted,
        refreshed.quota,
        refreshed.stopped,
    )


@dataclass(frozen=True)
class _Refreshed:
    videos: int
    quota: Spending
    stopped: str | None


def _refresh(lab: Lab, youtube: YouTube, niche: str, forgotten: Counter[str], progress: Progress) -> _Refreshed:
    """Ask again for everything that is due, channels first: a channel that is gone takes its videos with it."""
    due = youtube.now - timedelta(days=lab.settings.refresh_days)
    refreshed = 0
    stopped = None
    try:
        forgotten[CLOSED] += _refresh_channels(lab, youtube, niche, due, progress)
        for batch in batches(_due(lab, niche, due), PAGE, f"{niche}: refreshing", progress):
            looked = look_again(lab, youtube, niche, batch)
            refreshed += looked.there
            forgotten[GONE] += looked.gone
        if lab.settings.train_only_on_opted_in:
            _ask_trainability(lab, youtube, niche, progress)
    except QuotaError as error:
        stopped = str(error)
    return _Refreshed(refreshed, youtube.ledger.spending(youtube.now), stopped)


@dataclass(frozen=True)
class Looked:
    """How many of a batch of videos are there still, and how many were forgotten."""

    there: int
    gone: int


def look_again(lab: Lab, youtube: YouTube, niche: str, video_ids: Sequence[str]) -> Looked:
    """Bring at most 50 videos up to date, and forget those that are gone.

    What is missing, or cannot be read, is asked for once more by its id alone: what is forgotten in error is lost.
    """
    found = youtube.videos(video_ids, niche)
    missing = sorted(set(video_ids) - {record.video_id for record in found})
    gone = sorted(set(missing) - youtube.existing_videos(missing)) if missing else []
    with lab.engine.begin() as connection:
        save_videos(connection, found)
        if lab.settings.train_only_on_opted_in:  # a choice may be taken back: it is asked for anew
            ids = [record.video_id for record in found]
            connection.execute(update(videos).where(videos.c.video_id.in_(ids)).values(may_train=None))
    with lab.engine.begin() as connection:  # on its own, so that it waits for nobody while it holds what others want
        return Looked(len(found), forget_videos(connection, gone))


def forget_videos(connection: Connection, video_ids: Sequence[str]) -> int:
    """Delete the videos and all that the tables know of them; how many there were.

    Their pictures and their places in releases go with the next `retain`. The owner's own reach (`video_reach`) stays: it
    was given by the owner, not told by the public API.
    """
    if not video_ids:
        return 0
    # The rows of the crawl first: its workers hold theirs while they write to `videos`.
    ids = {"ids": list(video_ids)}
    connection.execute(text("DELETE FROM crawl_videos WHERE video_id = ANY(:ids)"), ids)
    return connection.execute(text("DELETE FROM videos WHERE video_id = ANY(:ids)"), ids).rowcount


def _expire(lab: Lab, niche: str, now: datetime) -> int:
    """A video stays for the library's days from when it was first collected."""
    settings = lab.settings
    before = now - timedelta(days=settings.library_days)
    old = select(videos.c.video_id).where(
        videos.c.niche == niche, videos.c.source == "youtube", videos.c.collected_at < before
    )
    with lab.engine.begin() as connection:
        expired = forget_videos(connection, connection.scalars(old).all())
        if settings.history_days is not None:
            _shorten_histories(connection, niche, now - timedelta(days=settings.history_days))
    return expired


def _shorten_histories(connection: Connection, niche: str, before: datetime) -> None:
    """The stricter choice: neither old counts nor replaced thumbnails, save the latest of each."""
    of_niche = select(videos.c.video_id).where(videos.c.niche == niche, videos.c.source == "youtube")
    for table, moment in (
        (video_stats, video_stats.c.observed_at),
        (thumbnail_versions, thumbnail_versions.c.last_seen),
    ):
        later = table.alias()
        newer = select(later.c.video_id).where(later.c.video_id == table.c.video_id, later.c[moment.name] > moment)
        connection.execute(delete(table).where(table.c.video_id.in_(of_niche), moment < before, newer.exists()))


def _due(lab: Lab, niche: str, before: datetime) -> list[str]:
    statement = (
        select(videos.c.video_id)
        .where(videos.c.niche == niche, videos.c.source == "youtube", videos.c.refreshed_at < before)
        .order_by(videos.c.refreshed_at, videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        return list(connection.scalars(statement))


def _refresh_channels(lab: Lab, youtube: YouTube, niche: str, before: datetime, progress: Progress) -> int:
    """Ask for the channels of the niche that are due; a channel that is gone takes its videos with it: how many."""
    statement = text("""
        SELECT channel_id FROM channels c
        WHERE refreshed_at < :before
          AND (EXISTS (SELECT 1 FROM videos v WHERE v.channel_id = c.channel_id AND v.niche = :niche)
               OR EXISTS (SELECT 1 FROM crawl_channels k WHERE k.channel_id = c.channel_id AND k.niche = :niche))
        ORDER BY refreshed_at, channel_id
    """)
    with lab.engine.connect() as connection:
        due = list(connection.scalars(statement, {"before": before, "niche": niche}))
    forgotten = 0
    for batch in batches(due, PAGE, f"{niche}: refreshing channels", progress):
        found = youtube.channels(batch)
        missing = sorted(set(batch) - {record.channel_id for record in found})
        gone = sorted(set(missing) - youtube.existing_channels(missing)) if missing else []
        if len(gone) == len(batch) >= _TOO_MANY:
            raise YouTubeError(
                f"YouTube says that none of {len(gone)} channels exists any more, which is not believed; run again later",
                Trouble.SERVER,
            )
        with lab.engine.begin() as connection:
            save_channels(connection, found)
        with lab.engine.begin() as connection:
            forgotten += _forget_channels(connection, gone)
    return forgotten


def _forget_channels(connection: Connection, channel_ids: Sequence[str]) -> int:
    """Delete the channels with everything of theirs; how many videos that were."""
    if not channel_ids:
        return 0
    # The rows of the crawl first, as in `forget_videos`.
    connection.execute(delete(crawl_channels).where(crawl_channels.c.channel_id.in_(channel_ids)))
    theirs = connection.scalars(select(videos.c.video_id).where(videos.c.channel_id.in_(channel_ids))).all()
    forgotten = forget_videos(connection, theirs)
    connection.execute(delete(channels).where(channels.c.channel_id.in_(channel_ids)))
    return forgotten


def _forget_stale(lab: Lab, niche: str, now: datetime) -> int:
    """What could not be refreshed in time has to go, with what the crawl left out and channels that nobody looks at."""
    before = now - LONGEST
    with lab.engine.begin() as connection:
        connection.execute(
            text("""
                DELETE FROM crawl_videos k USING crawl_channels c
                WHERE k.channel_id = c.channel_id AND k.niche = :niche
                  AND (k.outcome IS NULL OR k.outcome NOT IN (:kept, :outlier))
                  AND (COALESCE(c.walked_at, c.checked_at) < :before OR k.published_at < :window)
            """),
            {
                "niche": niche,
                "before": before,
                "window": now - timedelta(days=lab.settings.crawl_days),
                "kept": KEPT,
                "outlier": OUTLIER,
            },
        )
    with lab.engine.begin() as connection:
        forgotten = forget_videos(connection, _due(lab, niche, before))
        connection.execute(
            text("""
                DELETE FROM channels c
                WHERE NOT EXISTS (SELECT 1 FROM videos v WHERE v.channel_id = c.channel_id)
                  AND COALESCE(c.refreshed_at, (SELECT k.found_at FROM crawl_channels k WHERE k.channel_id = c.channel_id))
                      < :before
            """),
            {"before": before},
        )
    return forgotten


def _ask_trainability(lab: Lab, youtube: YouTube, niche: str, progress: Progress) -> None:
    """Ask the uploaders' choice, a unit a video: some hundreds a day."""
    statement = (
        select(videos.c.video_id)
        .where(videos.c.niche == niche, videos.c.source == "youtube", videos.c.may_train.is_(None))
        .order_by(videos.c.published_at.desc(), videos.c.video_id)
        .limit(_TRAINABILITY_PER_RUN)
    )
    with lab.engine.connect() as connection:
        ids = list(connection.scalars(statement))
    for batch in batches(ids, 1, f"{niche}: asking who may train", progress):
        said = youtube.may_train(batch[0])
        with lab.engine.begin() as connection:
            connection.execute(update(videos).where(videos.c.video_id == batch[0]).values(may_train=said))


def judge_retention(lab: Lab, niche: str, found: Retained) -> list[Verdict]:
    """Is there nothing left that should be gone?"""
    left, _ = stale_indices(lab, niche)
    said = ", ".join(f"{count} {reason}" for reason, count in found.forgotten.items()) or "nothing to forget"
    holding = [str(release) for release in left] + [
        f"{ADAPTER}/{name}: {why}" for name, why in found.histories.failed.items()
    ]
    held = "".join(f"; {one}" for one in holding[:_TOLD])
    told = f"{said}; {len(holding)} releases still hold forgotten videos{held}"
    return [Verdict("forgotten_everywhere", not holding, told)]
