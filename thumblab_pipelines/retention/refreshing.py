"""Fetch the facts of a niche's videos and channels from YouTube again when they are due.

A video or channel is due when its last refresh is more than `refresh_days` days ago. The setting is 25 by default, so
that facts are refreshed before they are 30 days old.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text, update

from thumblab_core.database.tables import videos
from thumblab_pipelines.collection.crawl_rules import GONE
from thumblab_pipelines.collection.refetch import refetch
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches
from thumblab_pipelines.videos.deletion import collected_videos, delete_channels
from thumblab_pipelines.videos.limited_deletion import LimitedDeletion
from thumblab_pipelines.videos.records import save_channels
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.quota import QuotaError, Spending

CLOSED = "channel gone"
"""The reason that is given for deleting the videos of a closed or private channel."""

_TRAINABILITY_PER_RUN = 500
"""Maximum number of videos that `_ask_trainability` asks YouTube about in one run. Each video costs one unit of
quota."""

_IMPLAUSIBLE_CLOSURES = 20
"""If YouTube's answer about at least this many channels contains none of the channels, the answer counts as an error.

It is not plausible that so many channels were closed at the same time.
"""

_DUE_CHANNELS = text("""
SELECT channel_id FROM channels c
WHERE refreshed_at < :before
  AND (EXISTS (SELECT 1 FROM videos v WHERE v.channel_id = c.channel_id AND v.niche = :niche)
       OR EXISTS (SELECT 1 FROM crawl_channels k WHERE k.channel_id = c.channel_id AND k.niche = :niche))
ORDER BY refreshed_at, channel_id
""")


@dataclass(frozen=True)
class RefreshedFacts:
    """The result of `refresh_due`.

    `videos`: number of updated videos. `stopped`: why the run ended early, or None.
    """

    videos: int
    quota: Spending
    stopped: str | None


def due_videos(lab: Lab, niche: str, before: datetime) -> list[str]:
    """Return the ids of the niche's videos that were last refreshed before the moment `before`.

    The videos whose last refresh is the oldest come first.
    """
    statement = (
        select(videos.c.video_id)
        .where(videos.c.niche == niche, videos.c.source == "youtube", videos.c.refreshed_at < before)
        .order_by(videos.c.refreshed_at, videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        return list(connection.scalars(statement))


def refresh_due(
    lab: Lab, youtube: YouTube, niche: str, deletion: LimitedDeletion, progress: Progress
) -> RefreshedFacts:
    """Refresh the channels and videos that are due. Delete the channels and videos that are no longer on YouTube.

    Channels are refreshed first. The videos of a closed channel are deleted with the channel, so no quota is spent on
    these videos.
    """
    before = youtube.now - timedelta(days=lab.settings.refresh_days)
    refreshed = asked = 0
    gone: list[str] = []
    stopped = None
    try:
        _refresh_channels(lab, youtube, niche, before, deletion, progress)
        for batch in batches(due_videos(lab, niche, before), PAGE_SIZE, f"{niche}: refreshing", progress):
            refetched = refetch(lab, youtube, niche, batch)
            refreshed += refetched.present
            asked += len(batch)
            gone += refetched.gone
        if lab.settings.train_only_on_opted_in:
            _ask_trainability(lab, youtube, niche, progress)
    except QuotaError as error:
        stopped = str(error)
    finally:
        deletion.delete(GONE, gone, asked)
    return RefreshedFacts(refreshed, youtube.ledger.spending(youtube.now), stopped)


def _refresh_channels(
    lab: Lab, youtube: YouTube, niche: str, before: datetime, deletion: LimitedDeletion, progress: Progress
) -> None:
    """Refresh the channels that are due. Then delete the channels that are no longer on YouTube, with the videos that
    were collected from YouTube.

    If `deletion` does not allow deleting all these videos, no channel is deleted. Raises `YouTubeError` if YouTube
    reports an implausible number of closed channels (see `_IMPLAUSIBLE_CLOSURES`).
    """
    with lab.engine.connect() as connection:
        due = list(connection.scalars(_DUE_CHANNELS, {"before": before, "niche": niche}))
    closed: list[str] = []
    for batch in batches(due, PAGE_SIZE, f"{niche}: refreshing channels", progress):
        records = youtube.channels(batch)
        missing = sorted(set(batch) - {record.channel_id for record in records})
        gone = sorted(set(missing) - youtube.existing_channels(missing)) if missing else []
        if len(gone) == len(batch) >= _IMPLAUSIBLE_CLOSURES:
            raise YouTubeError(
                f"YouTube says that none of {len(gone)} channels exists any more. This is implausible, so nothing of "
                "these channels was deleted; start the run again later",
                ErrorKind.SERVER,
            )
        with lab.engine.begin() as connection:
            save_channels(connection, records)
        closed += gone
    with lab.engine.connect() as connection:
        videos_of_closed = collected_videos(connection, closed)
    if closed and deletion.allows(CLOSED, len(videos_of_closed)):
        with lab.engine.begin() as connection:
            deletion.deleted[CLOSED] += delete_channels(connection, closed)


def _ask_trainability(lab: Lab, youtube: YouTube, niche: str, progress: Progress) -> None:
    """Ask YouTube for each video whether its uploader allows other people to train models on it.

    A video whose answer is known is skipped. The newest videos come first. Each video costs one unit of quota.
    """
    statement = (
        select(videos.c.video_id)
        .where(videos.c.niche == niche, videos.c.source == "youtube", videos.c.may_train.is_(None))
        .order_by(videos.c.published_at.desc(), videos.c.video_id)
        .limit(_TRAINABILITY_PER_RUN)
    )
    with lab.engine.connect() as connection:
        ids = list(connection.scalars(statement))
    for (video_id,) in batches(ids, 1, f"{niche}: asking who allows training", progress):
        may_train = youtube.may_train(video_id)
        with lab.engine.begin() as connection:
            connection.execute(update(videos).where(videos.c.video_id == video_id).values(may_train=may_train))
