"""The crawl: find channels of a niche, walk their uploads, look at each video once, keep what may be learnt from.

It costs a unit per fifty channels, per fifty uploads of a channel and per fifty videos; searches have a bucket of their own.
Everything it knows is in PostgreSQL (`crawl_state`), so it can be stopped at any moment and goes on from there, and any
number of threads and processes may share the work.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from thumblab_core.database.engine import make_engine
from thumblab_core.niches import NICHES, Niche
from thumblab_core.settings import Settings
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection import crawl_rules, crawl_state
from thumblab_pipelines.collection.crawl_state import Counted
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.videos.records import save_channels, save_videos
from thumblab_pipelines.youtube.answers import Hit, Upload
from thumblab_pipelines.youtube.client import PAGE, YouTube
from thumblab_pipelines.youtube.errors import Trouble, YouTubeError
from thumblab_pipelines.youtube.paging import MOST_PAGES_OF_A_SEARCH, Paging
from thumblab_pipelines.youtube.quota import SEARCHES, UNITS, QuotaError, Spending

_BARREN = 4
"""After so many searches in a row without a new channel, all are taken to be found; next week is searched again."""

_ANOTHER_CHANCE = timedelta(days=30)
"""A channel that was left out is looked at again after this long: it may have found its subscribers."""

_MOST_RESTARTS = 2
_IDLE_S = 0.05
_TELL_EVERY_S = 1.0


@dataclass(frozen=True)
class Crawled:
    """How the niche stands after this run, what the run cost by bucket, and why it ended early, if it did.

    `remarks` name each list that was left before its end, since YouTube did not end it.
    """

    counted: Counted
    videos_looked_at: int
    quota: Spending
    stopped: str | None
    remarks: list[str]


def crawl(lab: Lab, niche: str, progress: Progress = silent) -> Crawled:
    """Bring the corpus of a niche up to date, as far as today's quota reaches. Run again, it goes on where it was.

    Raises `LabError` when no key is set, or YouTube refuses or is not to be reached; what was seen until then is kept.
    """
    settings = lab.settings
    keep = {UNITS: settings.quota_kept_units, SEARCHES: settings.quota_kept_searches}
    with _many_connections(lab.engine, settings.crawl_threads) as engine:
        with YouTube.connect(settings, engine, keep) as youtube:
            run = _Run(engine, youtube, niche, settings, progress)
            stopped = run.to_the_end()
            quota = youtube.ledger.spending(youtube.now)
        with engine.begin() as connection:
            crawl_state.mark_outliers(connection, niche)
            counted = crawl_state.count(connection, niche, run.walk_before)
    return Crawled(counted, run.looked_at, quota, stopped, run.remarks)


@contextmanager
def _many_connections(engine: Engine, threads: int) -> Iterator[Engine]:
    """Each worker holds a transaction while it waits for YouTube, and its ledger needs another connection meanwhile."""
    own = make_engine(engine.url, pool_size=2 * threads + 1, max_overflow=0, pool_pre_ping=True)
    try:
        yield own
    finally:
        own.dispose()


class _Run:
    """One run over one niche."""

    def __init__(self, engine: Engine, youtube: YouTube, niche: str, settings: Settings, progress: Progress) -> None:
        self._engine = engine
        self._youtube = youtube
        self._niche = niche
        self._settings = settings
        self._progress = progress
        self._cutoff = youtube.now - timedelta(days=settings.crawl_days)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._told_at = 0.0
        self.walk_before: datetime = youtube.now - timedelta(days=settings.crawl_again_days)
        self.looked_at = 0
        self.remarks: list[str] = []
        self._walks: dict[str, Paging[Upload]] = {}

    def to_the_end(self) -> str | None:
        """Work until nothing is left, or the quota is spent: then why and until when."""
        try:
            more_to_find = self._discover()
        except QuotaError as error:
            more_to_find = str(error)  # what has been found until now can be walked all the same
        try:
            self._check_channels()
            with ThreadPoolExecutor(self._settings.crawl_threads, thread_name_prefix="crawl") as threads:
                workers = [threads.submit(self._work) for _ in range(self._settings.crawl_threads)]
                try:
                    for worker in workers:
                        worker.result()
                finally:
                    self._stop.set()  # whoever interrupts us waits for the calls under way, not for the whole crawl
        except QuotaError as error:
            return str(error)
        return more_to_find

    def _discover(self) -> str | None:
        """Channels of the niche, by searching week after week of its category. Why it ended before all were found."""
        wanted = self._settings.crawl_channels
        with self._engine.begin() as connection:
            crawl_state.seed(connection, self._niche, self._youtube.now)
            found = crawl_state.count_channels(connection, self._niche)
            if found < wanted:
                crawl_state.plan_searches(connection, self._niche, self._youtube.now, self._settings.crawl_days)
        # Every niche has its share of the day's searches, or the first would take them all.
        share = max(1, (self._settings.quota_searches - self._settings.quota_kept_searches) // len(NICHES))
        barren = 0
        while found < wanted:
            if self._youtube.ledger.spent[SEARCHES] >= share:
                return (
                    f"{found} of {wanted} channels found with {share} searches, this niche's share of a day; the next run "
                    "searches on"
                )
            with self._engine.begin() as connection:
                search = crawl_state.take_search(connection, self._niche)
                if search is None:
                    break
                hits, cursor = self._search(search)
                now = self._youtube.now
                new = crawl_state.save_search(connection, self._niche, search, hits, cursor, now)
                found = crawl_state.count_channels(connection, self._niche)
                barren = 0 if new else barren + 1
                if barren == _BARREN:
                    crawl_state.end_searches(connection, self._niche, now)
            self._progress(f"{self._niche}: channels found", min(found, wanted), wanted)
        return None

    def _search(self, search: crawl_state.Search) -> tuple[list[Hit], str | None]:
        try:
            page = self._youtube.search(
                Niche(self._niche).category_id,
                self._settings.region,
                search.published_after,
                search.published_before,
                search.cursor,
                self._settings.language,
                search.order,
            )
        except YouTubeError as error:
            if error.trouble is Trouble.REQUEST and search.cursor is not None:
                return [], None  # the token of yesterday's page is no longer good: this stretch is done
            raise
        what = f"the search of {self._niche} from {search.published_after:%Y-%m-%d}"
        paging = Paging[Hit](what, lambda hit: hit.video_id, MOST_PAGES_OF_A_SEARCH, search.pages, search.cursor)
        hits = paging.take(page)
        if paging.remark is not None:
            self.remarks.append(paging.remark)
        return hits, paging.cursor

    def _check_channels(self) -> None:
        while True:
            with self._engine.begin() as connection:
                ids = crawl_state.unchecked(connection, self._niche, PAGE, self._youtube.now - _ANOTHER_CHANCE)
                if not ids:
                    return
                records = {record.channel_id: record for record in self._youtube.channels(ids)}
                save_channels(connection, list(records.values()))
                excluded = {name: crawl_rules.exclude_channel(records.get(name)) for name in ids}
                crawl_state.save_checked(connection, excluded, self._youtube.now)

    def _work(self) -> None:
        """One worker: look at full batches first, else walk on, else wait for those who walk; at last take what is left."""
        try:
            while not self._stop.is_set():
                if self._look(at_least=PAGE) or self._walk():
                    continue
                with self._engine.connect() as connection:
                    others_walk = crawl_state.any_to_walk(connection, self._niche, self.walk_before)
                if others_walk:
                    time.sleep(_IDLE_S)
                elif not self._look(at_least=1):
                    return
        except BaseException:
            self._stop.set()
            raise

    def _look(self, at_least: int) -> bool:
        """Look at up to 50 waiting videos, unless fewer than `at_least` wait: a call costs its unit however few it asks."""
        with self._engine.begin() as connection:
            ids = crawl_state.take_videos(connection, self._niche, PAGE)
            if len(ids) < at_least:
                return False
            records = {record.video_id: record for record in self._youtube.videos(list(ids), self._niche)}
            outcomes = {
                name: crawl_rules.outcome(records.get(name), channel_id, self._settings.language)
                for name, channel_id in ids.items()
            }
            save_videos(connection, [records[name] for name in ids if outcomes[name] == crawl_rules.KEPT])
            crawl_state.save_outcomes(connection, outcomes)
        self._tell(len(ids))
        return True

    def _walk(self) -> bool:
        """Read one page of the uploads of one channel; False where no channel is free."""
        with self._engine.begin() as connection:
            walk = crawl_state.take_walk(connection, self._niche, self.walk_before)
            if walk is None:
                return False
            try:
                page = self._youtube.uploads(walk.playlist, walk.cursor)
            except YouTubeError as error:
                if error.trouble is Trouble.REQUEST and error.reason and walk.cursor is not None:
                    self._lose_the_page(connection, walk)
                elif error.trouble is Trouble.NOT_FOUND or (error.trouble is Trouble.REQUEST and error.reason):
                    reason = crawl_rules.exclude_unreachable(error.reason)
                    crawl_state.exclude(connection, walk.channel_id, reason)
                else:  # what gives no reason of YouTube's says nothing of the channel
                    raise
                return True
            inactive = None if walk.pages else crawl_rules.exclude_inactive(page.items, self._youtube.now)
            if inactive is not None:
                crawl_state.exclude(connection, walk.channel_id, inactive)
                return True
            paging = self._paging(walk)
            dated = paging.take(page)
            recent = [item for item in dated if item.published_at and item.published_at >= self._cutoff]
            new = crawl_state.save_page(connection, self._niche, walk, recent)
            # Newest first: what follows is older still, or was all seen when the channel was last walked to its end.
            end = paging.cursor is None or len(recent) < len(dated) or (walk.again and new < len(recent))
            crawl_state.save_walk(connection, walk, None if end else paging.cursor, self._youtube.now if end else None)
            if end:
                del self._walks[walk.channel_id]
        if paging.remark is not None:
            self.remarks.append(paging.remark)
        return True

    def _paging(self, walk: crawl_state.Walk) -> Paging[Upload]:
        """What this run has seen of the walk, which another process may have begun."""
        if walk.pages == 0 or walk.channel_id not in self._walks:
            self._walks[walk.channel_id] = Paging(
                f"the list of uploads of {walk.channel_id}",
                lambda item: item.video_id if item.published_at else None,
                pages=walk.pages,
                cursor=walk.cursor,
            )
        return self._walks[walk.channel_id]

    def _lose_the_page(self, connection: Connection, walk: crawl_state.Walk) -> None:
        """A token was refused: tokens of pages are not good for ever. Begin anew, but not again and again."""
        if walk.restarts < _MOST_RESTARTS:
            crawl_state.restart_walk(connection, walk)
        else:
            crawl_state.save_walk(connection, walk, None, self._youtube.now)

    def _tell(self, looked_at: int) -> None:
        with self._lock:
            self.looked_at += looked_at
            if time.monotonic() - self._told_at < _TELL_EVERY_S:
                return
            self._told_at = time.monotonic()
            with self._engine.connect() as connection:
                counted = crawl_state.count(connection, self._niche, self.walk_before)
            done = sum(counted.videos.values())
            self._progress(f"{self._niche}: videos looked at", done, done + counted.videos_waiting)


def check_crawl(found: Crawled) -> list[CheckResult]:
    """Is there a corpus, or a reason why there is none yet?"""
    counted = found.counted
    excluded = sum(counted.channels_excluded.values())
    listed = sum(counted.videos.values())
    explanation = (
        f"{counted.kept} of {listed} videos kept, {counted.channels - excluded} of {counted.channels} channels"
    )
    return [CheckResult("corpus", counted.kept > 0 or found.stopped is not None, explanation)]
