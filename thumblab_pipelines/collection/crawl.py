"""Crawl a niche: find its channels, list their uploads, examine each video once, and keep the videos that are fit for
training.

To walk a channel means to list its uploads, page by page. The crawl spends one unit of quota per 50 channels, per 50
uploads of a channel, and per 50 videos. Searches have their own quota. The whole state of the crawl is in
PostgreSQL (see `crawl_state`). So the crawl can be stopped at any moment and continued later, and any number of threads
and processes may share its work.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, event

from thumblab_core.database.engine import NO_IDLE_TIMEOUT, make_engine
from thumblab_core.niches import Niche
from thumblab_core.niches.cost import kept_quota
from thumblab_core.niches.store import active_niche, all_niches
from thumblab_core.settings import Settings
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection import crawl_channels, crawl_rules, crawl_state
from thumblab_pipelines.collection.crawl_discovery import Discovery
from thumblab_pipelines.collection.crawl_state import Counted
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.videos.records import save_videos
from thumblab_pipelines.youtube.answers import Upload
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.paging import Paging
from thumblab_pipelines.youtube.quota import SEARCHES, UNITS, QuotaError, Spending
from thumblab_pipelines.youtube.uploads import concerns_this_list, published_since, upload_paging

_MOST_RESTARTS = 2
"""Maximum number of times that a walk starts again at the first page.

A walk starts again if YouTube refuses the token of the next page of the channel's uploads.
"""

_IDLE_S = 0.05
"""Seconds that a worker without work waits before it looks for work again.

Other workers may find more work in this time.
"""

_REPORT_EVERY_S = 1.0


@dataclass(frozen=True)
class Crawled:
    """The result of one run: what the run did, and how many channels and videos of the niche are now known.

    `videos_looked_at`: number of videos that this run examined. `quota`: quota that the run spent, by bucket.
    `stopped`: why the run ended early, or None. `remarks`: sentences about lists of YouTube (such as the uploads of a
    channel) that the run did not read to the last page.
    """

    counted: Counted
    videos_looked_at: int
    quota: Spending
    stopped: str | None
    remarks: list[str]


def crawl(lab: Lab, niche: str, progress: Progress = silent) -> Crawled:
    """Find new channels and videos of a niche for training, as far as today's quota allows.

    The next run continues the work. Raises `LabError` if the niche is retired, if no API key is set, or if YouTube refuses
    a call or cannot be reached. The channels and videos that were found before the error stay in the database.
    """
    settings = lab.settings
    with lab.engine.connect() as connection:
        sources, niches = active_niche(connection, niche), all_niches(connection)
        kept = kept_quota(connection, settings)
    # Each niche gets the same share of the searches that one day's quota allows. Without equal shares, the niche that is
    # crawled first could use all searches.
    share = max(1, (settings.quota_searches - kept.searches) // max(1, len(niches)))
    keep = {UNITS: kept.units, SEARCHES: kept.searches}
    with _many_connections(lab.engine, settings.crawl_threads) as engine:
        with YouTube.connect(settings, engine, keep) as youtube:
            run = _Run(engine, youtube, sources, settings, progress)
            stopped = run.work(share)
            quota = youtube.ledger.spending(youtube.now)
        with engine.begin() as connection:
            crawl_state.mark_outliers(connection, niche)
            counted = crawl_state.count(connection, niche, run.walk_before)
    return Crawled(counted, run.examined, quota, stopped, run.remarks)


@contextmanager
def _many_connections(engine: Engine, threads: int) -> Iterator[Engine]:
    """Yield a new engine for the database of `engine`. The new engine has two connections for each worker, and one
    additional connection.

    A worker needs two connections at the same time. While a worker waits for YouTube, a transaction keeps the first
    connection. Meanwhile, the second connection is needed to reserve calls in the table of the quota.
    """
    own = make_engine(engine.url, pool_size=2 * threads + 1, max_overflow=0, pool_pre_ping=True)

    # A transaction of the crawl is idle while it waits for YouTube, which may take minutes.
    @event.listens_for(own, "begin")
    def may_be_idle(connection: Connection) -> None:
        connection.connection.cursor().execute(NO_IDLE_TIMEOUT)

    try:
        yield own
    finally:
        own.dispose()


class _Run:
    """One run of the crawl over one niche. The object holds the state that the worker threads of the run share."""

    def __init__(self, engine: Engine, youtube: YouTube, niche: Niche, settings: Settings, progress: Progress) -> None:
        self._engine = engine
        self._youtube = youtube
        self._sources = niche
        self._niche = niche.name
        self._settings = settings
        self._progress = progress
        self._oldest = youtube.now - timedelta(days=settings.crawl_days)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._reported_at = 0.0
        self._pagings: dict[str, Paging[Upload]] = {}
        self.walk_before: datetime = youtube.now - timedelta(days=settings.crawl_again_days)
        self.examined = 0
        self.remarks: list[str] = []

    def work(self, share: int) -> str | None:
        """Crawl until no channel or video is left, or the quota is spent. Return why the run ended early, or None.

        `share`: the number of searches that the run may use.
        """
        discovery = Discovery(self._engine, self._youtube, self._sources, self._settings, self._progress, self.remarks)
        try:
            stopped = discovery.find_channels(share)
        except QuotaError as error:
            # Today's quota for searches is spent. The run can still walk the channels that are known so far.
            stopped = str(error)
        try:
            discovery.check_channels()
            with ThreadPoolExecutor(self._settings.crawl_threads, thread_name_prefix="crawl") as threads:
                workers = [threads.submit(self._run_worker) for _ in range(self._settings.crawl_threads)]
                try:
                    for worker in workers:
                        worker.result()
                finally:
                    # After an interruption by a person, each worker finishes its current call to YouTube and then
                    # stops.
                    self._stop.set()
        except QuotaError as error:
            return str(error)
        return stopped

    def _run_worker(self) -> None:
        """Work as one worker until no work is left.

        If at least 50 videos wait to be examined, the worker examines 50 of them. If fewer videos wait, the worker
        reads a page of a channel's uploads. If other workers have locked all channels, the worker waits. When no
        channel is left, the worker examines the remaining videos.
        """
        try:
            while not self._stop.is_set():
                if self._examine(at_least=PAGE_SIZE) or self._walk():
                    continue
                with self._engine.connect() as connection:
                    others_walk = crawl_channels.any_to_walk(connection, self._niche, self.walk_before)
                if others_walk:
                    time.sleep(_IDLE_S)
                elif not self._examine(at_least=1):
                    return
        except BaseException:
            self._stop.set()
            raise

    def _examine(self, at_least: int) -> bool:
        """Examine up to 50 waiting videos, and return True. If fewer than `at_least` videos wait, do nothing and return
        False.

        A call to YouTube costs one unit, whether it asks about one video or 50. So workers wait for full batches.
        """
        with self._engine.begin() as connection:
            channels = crawl_state.take_videos(connection, self._niche, PAGE_SIZE)
            if len(channels) < at_least:
                return False
            records = {record.video_id: record for record in self._youtube.videos(list(channels), self._niche)}
            outcomes = {
                video_id: crawl_rules.outcome(records.get(video_id), channel_id, self._sources, self._settings.language)
                for video_id, channel_id in channels.items()
            }
            kept = [records[video_id] for video_id in channels if outcomes[video_id] == crawl_rules.KEPT]
            save_videos(connection, kept)
            crawl_state.save_outcomes(connection, outcomes)
        self._report_progress(len(channels))
        return True

    def _walk(self) -> bool:
        """Read one page of the uploads of a channel that no other worker has locked, and return True.

        Return False if no channel with unread uploads is free.
        """
        with self._engine.begin() as connection:
            walk = crawl_channels.take_walk(connection, self._niche, self.walk_before)
            if walk is None:
                return False
            try:
                page = self._youtube.uploads(walk.playlist, walk.cursor)
            except YouTubeError as error:
                if not concerns_this_list(error):
                    raise
                if error.kind is ErrorKind.REQUEST and walk.cursor is not None:
                    self._restart_or_end(connection, walk)
                else:
                    reason = crawl_rules.exclude_unreachable(error.reason)
                    crawl_channels.exclude(connection, walk.channel_id, reason)
                return True
            inactive = None if walk.pages else crawl_rules.exclude_inactive(page.items, self._youtube.now)
            if inactive is not None:
                crawl_channels.exclude(connection, walk.channel_id, inactive)
                return True
            paging = self._paging(walk)
            uploads = paging.take(page)
            recent = published_since(uploads, self._oldest)
            new = crawl_state.save_page(connection, self._niche, walk, recent)
            # Uploads come newest first. So the walk ends with this page if the page has an upload that is too old. The
            # walk also ends if the page has an upload that an earlier walk of the channel has already listed. After a
            # restart, this walk itself has listed the first pages, so a known upload does not show the end.
            lists_known = walk.again and walk.restarts == 0 and new < len(recent)
            is_finished = paging.cursor is None or len(recent) < len(uploads) or lists_known
            cursor, walked_at = (None, self._youtube.now) if is_finished else (paging.cursor, None)
            crawl_channels.save_walk(connection, walk, cursor, walked_at)
            if is_finished:
                del self._pagings[walk.channel_id]
        if paging.remark is not None:
            self.remarks.append(paging.remark)
        return True

    def _paging(self, walk: crawl_channels.Walk) -> Paging[Upload]:
        """Return the reading position of the walk in the pages of its channel's uploads.

        An earlier run may have read the first pages. In this case, the position is at the next unread page of the
        channel's uploads.
        """
        if walk.pages == 0 or walk.channel_id not in self._pagings:
            self._pagings[walk.channel_id] = upload_paging(walk.channel_id, walk.pages, walk.cursor)
        return self._pagings[walk.channel_id]

    def _restart_or_end(self, connection: Connection, walk: crawl_channels.Walk) -> None:
        """Start the walk again at the first page, because YouTube refused the token of the next page. The token may be
        too old.

        After `_MOST_RESTARTS` restarts, end the walk instead.
        """
        if walk.restarts < _MOST_RESTARTS:
            crawl_channels.restart_walk(connection, walk)
        else:
            crawl_channels.save_walk(connection, walk, None, self._youtube.now)

    def _report_progress(self, examined: int) -> None:
        with self._lock:
            self.examined += examined
            if time.monotonic() - self._reported_at < _REPORT_EVERY_S:
                return
            self._reported_at = time.monotonic()
            with self._engine.connect() as connection:
                counted = crawl_state.count(connection, self._niche, self.walk_before)
            done = sum(counted.videos.values())
            self._progress(f"{self._niche}: videos examined", done, done + counted.videos_waiting)


def check_crawl(crawled: Crawled) -> list[CheckResult]:
    """Check that the crawl has kept at least one video of the niche. The check also passes if the run ended early."""
    counted = crawled.counted
    excluded = sum(counted.channels_excluded.values())
    listed = sum(counted.videos.values())
    explanation = (
        f"{counted.kept} of {listed} videos kept, {counted.channels - excluded} of {counted.channels} channels"
    )
    figures = {"kept": counted.kept, "listed": listed, "channels": counted.channels, "channels_excluded": excluded}
    return [CheckResult("corpus", counted.kept > 0 or crawled.stopped is not None, explanation, figures=figures)]
