"""Estimate what a crawl will cost, without a call to YouTube."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from thumblab_core.niches.cost import kept_quota
from thumblab_core.niches.store import niche_named
from thumblab_pipelines.collection import crawl_state
from thumblab_pipelines.collection.crawl_searches import pages_searched
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import PAGE_SIZE
from thumblab_pipelines.youtube.quota import SEARCHES, UNITS, Balance, Ledger

VIDEOS_PER_CHANNEL = 133
"""The assumed number of recent uploads per channel, until the crawl has walked a channel and counted its uploads. The
crawl in docs/collection.md has 200,000 videos of 1,500 channels, so 133 per channel."""

_NEW_PER_SEARCH = 15
"""The assumed number of new channels per page of a search, until the lab has searched `_ENOUGH_PAGES` pages."""

_ENOUGH_PAGES = 5
"""After this number of searched pages, the plan uses the number of new channels per page that the lab has found so far,
instead of `_NEW_PER_SEARCH`."""

_MEAN_VIDEOS = text("""
    SELECT count(*)::float / NULLIF(count(DISTINCT k.channel_id), 0)
    FROM crawl_videos k JOIN crawl_channels c USING (channel_id) WHERE c.walked_at IS NOT NULL
""")


@dataclass(frozen=True)
class NichePlan:
    """The work that is left in a niche, and its cost.

    The numbers of channels and videos that are still to be found are estimates.

    `videos_listed` counts the videos that the crawl has already found in lists of uploads. `videos_expected` is the
    expected number of listed videos at the end of the crawl.
    """

    niche: str
    channels_found: int
    channels_to_find: int
    channels_to_walk: int
    videos_listed: int
    videos_expected: int
    searches: int
    units: int


@dataclass(frozen=True)
class Plan:
    """The plan of the crawl of all niches together.

    `days` is how long the crawl takes with the quota of the settings. `naive_days` is how long the crawl would take if
    every video were found by search.
    """

    niches: list[NichePlan]
    videos_per_channel: float
    searches: int
    units: int
    days: int
    naive_days: int
    balances: list[Balance]


def plan_crawl(
    lab: Lab,
    niches: Sequence[str],
    channels: int | None = None,
    per_channel: float | None = None,
    now: datetime | None = None,
) -> Plan:
    """Plan the crawl of the niches.

    Args:
        lab: The lab.
        niches: The niches to crawl.
        channels: The number of channels to find for each niche. By default, the setting `crawl_channels`.
        per_channel: The expected number of videos of a channel. By default, the mean of the channels walked so far, or
            `VIDEOS_PER_CHANNEL` if no channel was walked.
        now: The moment to plan for. By default, the time of this machine.
    """
    settings = lab.settings
    now = now or datetime.now(UTC)
    mean = per_channel or _videos_per_channel(lab)
    wanted = channels or settings.crawl_channels
    walk_before = now - timedelta(days=settings.crawl_again_days)
    planned = [_plan_niche(lab, niche, wanted, mean, walk_before) for niche in niches]
    searches, units = sum(p.searches for p in planned), sum(p.units for p in planned)
    balances = Ledger.of(lab.engine, settings).balances(now)
    with lab.engine.connect() as connection:
        kept = kept_quota(connection, settings)
    by_bucket = {balance.bucket: balance for balance in balances}
    days = max(
        _days(units, by_bucket[UNITS], kept.units),
        _days(searches, by_bucket[SEARCHES], kept.searches),
    )
    videos = sum(p.videos_expected for p in planned)
    naive = math.ceil(videos / PAGE_SIZE / max(settings.quota_searches, 1))
    return Plan(planned, mean, searches, units, days, naive, balances)


def _plan_niche(lab: Lab, niche: str, wanted: int, mean: float, walk_before: datetime) -> NichePlan:
    with lab.engine.connect() as connection:
        counted = crawl_state.count(connection, niche, walk_before)
        searched = pages_searched(connection, niche)
        sources = niche_named(connection, niche)
    found_per_search = counted.channels / searched if searched >= _ENOUGH_PAGES else _NEW_PER_SEARCH
    is_searched = sources.category_id is not None or bool(sources.searches)
    to_find = max(0, wanted - counted.channels) if is_searched else 0
    to_check = to_find + counted.channels_to_check
    to_walk = to_check + counted.channels_to_walk
    new_videos = to_walk * mean
    # The last page of a channel's uploads is rarely full. Also, a walk sometimes needs an extra page to find that no
    # recent upload is left. Together, these two effects cost about one page per channel.
    upload_pages = to_walk * (mean / PAGE_SIZE + 1)
    video_pages = (new_videos + counted.videos_waiting) / PAGE_SIZE
    listed = sum(counted.videos.values()) + counted.videos_waiting
    return NichePlan(
        niche,
        counted.channels,
        to_find,
        to_walk,
        listed,
        round(listed + new_videos),
        math.ceil(to_find / max(found_per_search, 1)),
        math.ceil(to_check / PAGE_SIZE) + math.ceil(upload_pages) + math.ceil(video_pages),
    )


def _videos_per_channel(lab: Lab) -> float:
    with lab.engine.connect() as connection:
        return connection.execute(_MEAN_VIDEOS).scalar() or VIDEOS_PER_CHANNEL


def _days(calls: int, balance: Balance, kept: int) -> int:
    """Return in how many days a quota bucket allows `calls` calls. The rest of today counts as one day.

    `balance`: the bucket's state today. `kept`: number of calls of the bucket that stay reserved for other runs every
    day.
    """
    today = max(0, balance.left - kept)
    per_day = max(1, balance.limit - kept)
    if calls == 0:
        return 0
    return 1 + max(0, math.ceil((calls - today) / per_day)) if today else math.ceil(calls / per_day) + 1
