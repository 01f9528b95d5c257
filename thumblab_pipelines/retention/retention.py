"""What the lab may keep: refresh what YouTube told before it is 30 days old, and forget what is gone or too old.

To forget a video is to delete it from every table, its pictures from the image store, and it from every release but those of
models. Each part compares what is there with what the `videos` table still has, so a run that was killed is made up for by
the next. The rules in plain words, and what stays in models, are in docs/retention.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn, TypeVar

from sqlalchemy import Connection, delete, select, text, update

from thumblab_core.database.tables import channels, crawl_channels, thumbnail_versions, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapters
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.crawl_rules import GONE, KEPT, OUTLIER
from thumblab_pipelines.collection.refetch import refetch
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.retention.purge import (
    CleanedHistories,
    alive_videos,
    clean_histories,
    clean_images,
    clean_indices,
    clean_pairs,
    clean_unfinished,
    stale_indices,
)
from thumblab_pipelines.videos.deletion import Deletion, delete_videos, last_heard
from thumblab_pipelines.videos.records import save_channels
from thumblab_pipelines.youtube.client import PAGE, YouTube
from thumblab_pipelines.youtube.errors import Trouble, YouTubeError
from thumblab_pipelines.youtube.quota import QuotaError, Spending

T = TypeVar("T")

LONGEST = timedelta(days=30)
"""The age at which facts that were told without an owner's authorisation must have been refreshed or deleted (YouTube's
Developer Policies, III.E.4)."""

_PAIRS_REST = timedelta(hours=20)
"""So pairs that are needed are published anew once a day, by the first niche of the day, and not by each."""

_TRAINABILITY_PER_RUN = 500

_TOLD = 5
"""Releases that a verdict names."""

_TOO_MANY = 20
"""That so many channels vanish at once is more likely an error of YouTube's than true."""

EXPIRED, STALE, CLOSED = "out of the library's days", "not refreshed in 30 days", "channel gone"


_EXPIRED = text("""
SELECT v.video_id FROM videos v
WHERE v.niche = :niche AND v.source = 'youtube' AND NOT v.channel_id = ANY(CAST(:added AS text[]))
  AND v.collected_at < CASE
    WHEN EXISTS (SELECT FROM crawl_videos k WHERE k.video_id = v.video_id AND k.outcome = ANY(:crawled))
    THEN CAST(:training AS timestamptz)
    ELSE CAST(:library AS timestamptz)
  END
ORDER BY v.collected_at, v.video_id
""")
"""Videos of a channel that a person added stay as long as it is added, those that the crawl keeps for the training days."""


@dataclass(frozen=True)
class Retained:
    """What a run refreshed and what it forgot, by reason; what went with it; what it cost; why it ended early; and whether
    something was withheld, because it was too much at once."""

    videos: int
    refreshed: int
    forgotten: dict[str, int]
    images_deleted: int
    releases_deleted: int
    histories: CleanedHistories
    unfinished_deleted: int
    quota: Spending
    stopped: str | None
    withheld: CheckResult


def retain(
    lab: Lab, niche: str, progress: Progress = silent, run_id: str | None = None, confirmed: bool = False
) -> Retained:
    """Apply the rules to a niche. What could not be refreshed for want of quota is only deleted when its time is up.

    Never more than a share of the niche at once, unless a person has `confirmed` it; see `Forgetting`. Raises `LabError`
    when no key is set, or YouTube refuses or is not to be reached; what has to go is deleted all the same, as far as that is
    certain by what YouTube told last. A confirmed run takes this machine's clock for right then. A clean-up that fails is
    raised too, after the others were done.
    """
    forgetting = Deletion(lab, niche, "retention", confirmed)
    now: datetime | None = None
    refused: Exception | None = None
    refreshed: _Refreshed | None = None
    try:
        with YouTube.connect(lab.settings, lab.engine) as youtube:
            now = youtube.now
            _expire(lab, niche, now, forgetting)  # before a unit is spent on what leaves
            refreshed = _refresh(lab, youtube, niche, forgetting, progress)
    except Exception as error:  # noqa: BLE001  whatever it is, facts do not get younger by it: raised below
        refused = error
    clock = datetime.now(UTC)
    if now is None:
        now = clock if confirmed else last_heard(lab)
        due = len(_due(lab, niche, clock - LONGEST)) - len(_due(lab, niche, now - LONGEST))
        if due > 0:
            forgetting.withheld[f"{STALE} by this machine's clock alone"] = due
    _forget_stale(lab, niche, now, forgetting)
    _expire(lab, niche, now, forgetting, oldest=True)  # last: what it takes of the share is what the others have left
    ahead = max(0.0, (clock - now).total_seconds())  # files are dated by this machine's clock
    failures = [] if refused is None else [refused]
    indices_deleted = _attempt(failures, 0, lambda: clean_indices(lab, niche, run_id))
    pairs_deleted = _attempt(failures, 0, lambda: clean_pairs(lab, run_id, _pairs_rest(lab, forgetting)))
    images_deleted = _attempt(failures, 0, lambda: clean_images(lab, ahead))
    histories = _attempt(failures, CleanedHistories(), lambda: clean_histories(lab, progress))
    unfinished_deleted = _attempt(failures, 0, lambda: clean_unfinished(lab, ahead))
    if failures:
        _raise(failures, forgetting)
    assert refreshed is not None
    with lab.engine.connect() as connection:
        left = len(alive_videos(connection, niche))
    return Retained(
        left,
        refreshed.videos,
        {reason: count for reason, count in forgetting.deleted.items() if count},
        images_deleted,
        indices_deleted + pairs_deleted,
        histories,
        unfinished_deleted,
        refreshed.quota,
        refreshed.stopped,
        forgetting.check(),
    )


def _attempt(failures: list[Exception], nothing: T, clean: Callable[[], T]) -> T:
    """Do one clean-up; where it fails, the others are done all the same."""
    try:
        return clean()
    except Exception as error:  # noqa: BLE001  whatever it is: see `_raise`
        failures.append(error)
        return nothing


def _raise(failures: list[Exception], forgetting: Deletion) -> NoReturn:
    """Raise the first failure; its message also tells the others, and what is withheld."""
    first, *others = failures
    more = [str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}" for error in others]
    if forgetting.withheld:
        more.append(forgetting.explanation)
    if not isinstance(first, LabError) or not more:
        for one in more:
            first.add_note(one)
        raise first
    told = LabError("; ".join([str(first), *more]))
    told.transient = first.transient
    raise told from first


def _pairs_rest(lab: Lab, forgetting: Deletion) -> timedelta:
    """How long pairs may name a forgotten video: not at all if its 30 days are over, or soon will be."""
    if forgetting.deleted[STALE]:
        return timedelta(0)
    return min(_PAIRS_REST, LONGEST - timedelta(days=lab.settings.refresh_days))


@dataclass(frozen=True)
class _Refreshed:
    videos: int
    quota: Spending
    stopped: str | None


def _refresh(lab: Lab, youtube: YouTube, niche: str, forgetting: Deletion, progress: Progress) -> _Refreshed:
    """Ask again for everything that is due, channels first: a channel that is gone takes its videos with it."""
    due = youtube.now - timedelta(days=lab.settings.refresh_days)
    refreshed = asked = 0
    gone: list[str] = []
    stopped = None
    try:
        _refresh_channels(lab, youtube, niche, due, forgetting, progress)
        for batch in batches(_due(lab, niche, due), PAGE, f"{niche}: refreshing", progress):
            looked = refetch(lab, youtube, niche, batch)
            refreshed += looked.there
            asked += len(batch)
            gone += looked.gone
        if lab.settings.train_only_on_opted_in:
            _ask_trainability(lab, youtube, niche, progress)
    except QuotaError as error:
        stopped = str(error)
    finally:
        forgetting.delete(GONE, gone, asked)
    return _Refreshed(refreshed, youtube.ledger.spending(youtube.now), stopped)


def _expire(lab: Lab, niche: str, now: datetime, forgetting: Deletion, oldest: bool = False) -> None:
    """A video stays for the library's days from when it was first collected; see `_EXPIRED` for those that stay longer.

    Where they are too many at once, none is forgotten, or the `oldest` of them.
    """
    settings = lab.settings
    parameters = {
        "niche": niche,
        "library": now - timedelta(days=settings.library_days),
        "training": now - timedelta(days=settings.training_days),
        "crawled": [KEPT, OUTLIER],
        "added": ChannelAdapters(lab.releases).channels(),
    }
    with lab.engine.connect() as connection:
        old = list(connection.scalars(_EXPIRED, parameters))
    if oldest:
        forgetting.delete_oldest(EXPIRED, old)
    else:
        forgetting.delete(EXPIRED, old)
    if settings.history_days is not None:
        with lab.engine.begin() as connection:
            _shorten_histories(connection, niche, now - timedelta(days=settings.history_days))


def _shorten_histories(connection: Connection, niche: str, before: datetime) -> None:
    """The stricter choice: neither old counts nor replaced thumbnails, save the latest of each.

    What is left of a video's thumbnails is marked, because it did not earn the views alone.
    """
    of_niche = select(videos.c.video_id).where(videos.c.niche == niche, videos.c.source == "youtube")
    for table, moment in (
        (video_stats, video_stats.c.observed_at),
        (thumbnail_versions, thumbnail_versions.c.last_seen),
    ):
        later = table.alias()
        newer = select(later.c.video_id).where(later.c.video_id == table.c.video_id, later.c[moment.name] > moment)
        old = delete(table).where(table.c.video_id.in_(of_niche), moment < before, newer.exists())
        shortened = set(connection.scalars(old.returning(table.c.video_id)))
        if table is thumbnail_versions and shortened:
            mine = thumbnail_versions.c.video_id.in_(shortened)
            connection.execute(update(thumbnail_versions).where(mine).values(earlier_deleted=True))


def _due(lab: Lab, niche: str, before: datetime) -> list[str]:
    statement = (
        select(videos.c.video_id)
        .where(videos.c.niche == niche, videos.c.source == "youtube", videos.c.refreshed_at < before)
        .order_by(videos.c.refreshed_at, videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        return list(connection.scalars(statement))


def _refresh_channels(
    lab: Lab, youtube: YouTube, niche: str, before: datetime, forgetting: Deletion, progress: Progress
) -> None:
    """Ask for the channels of the niche that are due; a channel that is gone takes its videos with it."""
    statement = text("""
        SELECT channel_id FROM channels c
        WHERE refreshed_at < :before
          AND (EXISTS (SELECT 1 FROM videos v WHERE v.channel_id = c.channel_id AND v.niche = :niche)
               OR EXISTS (SELECT 1 FROM crawl_channels k WHERE k.channel_id = c.channel_id AND k.niche = :niche))
        ORDER BY refreshed_at, channel_id
    """)
    with lab.engine.connect() as connection:
        due = list(connection.scalars(statement, {"before": before, "niche": niche}))
    closed: list[str] = []
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
        closed += gone
    with lab.engine.connect() as connection:
        theirs = connection.scalars(select(videos.c.video_id).where(videos.c.channel_id.in_(closed))).all()
    if forgetting.allows(CLOSED, len(theirs)):
        with lab.engine.begin() as connection:
            forgetting.deleted[CLOSED] += _forget_channels(connection, closed)


def _forget_channels(connection: Connection, channel_ids: Sequence[str]) -> int:
    """Delete the channels with everything of theirs; how many videos that were."""
    if not channel_ids:
        return 0
    # The rows of the crawl first, as in `forget_videos`.
    connection.execute(delete(crawl_channels).where(crawl_channels.c.channel_id.in_(channel_ids)))
    theirs = connection.scalars(select(videos.c.video_id).where(videos.c.channel_id.in_(channel_ids))).all()
    forgotten = delete_videos(connection, theirs)
    connection.execute(delete(channels).where(channels.c.channel_id.in_(channel_ids)))
    return forgotten


def _forget_stale(lab: Lab, niche: str, now: datetime, forgetting: Deletion) -> None:
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
    forgetting.delete(STALE, _due(lab, niche, before))
    with lab.engine.begin() as connection:
        connection.execute(
            text("""
                DELETE FROM channels c
                WHERE NOT EXISTS (SELECT 1 FROM videos v WHERE v.channel_id = c.channel_id)
                  AND COALESCE(c.refreshed_at, (SELECT k.found_at FROM crawl_channels k WHERE k.channel_id = c.channel_id))
                      < :before
            """),
            {"before": before},
        )


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


def check_retention(lab: Lab, niche: str, found: Retained) -> list[CheckResult]:
    """Is there nothing left that should be gone?"""
    left, _ = stale_indices(lab, niche)
    said = ", ".join(f"{count} {reason}" for reason, count in found.forgotten.items()) or "nothing to forget"
    holding = [str(release) for release in left] + [
        f"{ADAPTER}/{name}: {why}" for name, why in found.histories.failed.items()
    ]
    held = "".join(f"; {one}" for one in holding[:_TOLD])
    told = f"{said}; {len(holding)} releases still hold forgotten videos{held}"
    return [CheckResult("forgotten_everywhere", not holding, told), found.withheld]
