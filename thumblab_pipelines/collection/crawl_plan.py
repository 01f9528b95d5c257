"""Estimate what a crawl will cost, without a call to YouTube."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from thumblab_pipelines.collection import crawl_state
from thumblab_pipelines.collection.crawl_searches import pages_searched
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import PAGE_SIZE
from thumblab_pipelines.youtube.quota import SEARCHES, UNITS, Balance, Ledger

VIDEOS_PER_CHANNEL = 133
"""Uploads of a channel within the crawl's days (200,000 videos of 1,500 channels), used until the lab has counted its
own."""

_NEW_PER_SEARCH = 15
"""New channels that a page of a search brings, used until the lab has counted its own."""

_ENOUGH_PAGES = 5
"""Searched pages from which on the lab's own count of new channels is used."""

_MEAN_VIDEOS = text("""
    SELECT count(*)::float / NULLIF(count(DISTINCT k.channel_id), 0)
    FROM crawl_videos k JOIN crawl_channels c USING (channel_id) WHERE c.walked_at IS NOT NULL
""")


@dataclass(frozen=True)
class NichePlan:
    """What is left to do in a niche and what it costs. The numbers of what is not found yet are estimates.

    `videos_listed` are known already; `videos_expected` is their number at the end of the crawl.
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
    """The crawl of all niches together.

    `days` is how long it takes with the quota of the settings, and `naive_days` how long it would take by search alone.
    """

    niches: list[NichePlan]
    videos_per_channel: float
    searches: int
    units: int
    days: int
    naive_days: int
    balances: list[Balance]


def plan_crawl(lab: Lab, niches: Sequence[str], channels: int | None = None, per_channel: float | None = None) -> Plan:
    """Plan the crawl of the niches.

    Args:
        lab: The lab.
        niches: The niches to crawl.
        channels: How many channels to find for each niche; by default the setting.
        per_channel: Videos of a channel; by default the mean of the channels walked so far, or `VIDEOS_PER_CHANNEL`.
    """
    settings = lab.settings
    now = datetime.now(UTC)  # this machine's clock, because YouTube is not asked
    mean = per_channel or _videos_per_channel(lab)
    wanted = channels or settings.crawl_channels
    walk_before = now - timedelta(days=settings.crawl_again_days)
    planned = [_plan_niche(lab, niche, wanted, mean, walk_before) for niche in niches]
    searches, units = sum(p.searches for p in planned), sum(p.units for p in planned)
    balances = Ledger.of(lab.engine, settings).balances(now)
    by_bucket = {balance.bucket: balance for balance in balances}
    days = max(
        _days(units, by_bucket[UNITS], settings.quota_kept_units),
        _days(searches, by_bucket[SEARCHES], settings.quota_kept_searches),
    )
    videos = sum(p.videos_expected for p in planned)
    naive = math.ceil(videos / PAGE_SIZE / max(settings.quota_searches, 1))
    return Plan(planned, mean, searches, units, days, naive, balances)


def _plan_niche(lab: Lab, niche: str, wanted: int, mean: float, walk_before: datetime) -> NichePlan:
    with lab.engine.connect() as connection:
        counted = crawl_state.count(connection, niche, walk_before)
        searched = pages_searched(connection, niche)
    found_per_search = counted.channels / searched if searched >= _ENOUGH_PAGES else _NEW_PER_SEARCH
    to_find = max(0, wanted - counted.channels)
    to_check = to_find + counted.channels_to_check
    to_walk = to_check + counted.channels_to_walk
    new_videos = to_walk * mean
    # The last page is rarely full, and a walk may read one page more to see that it was the last: one page on average.
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
    """Return the days that the calls take: what is left of today, then whole days. `kept` calls a day are not used."""
    today = max(0, balance.left - kept)
    per_day = max(1, balance.limit - kept)
    if calls == 0:
        return 0
    return 1 + max(0, math.ceil((calls - today) / per_day)) if today else math.ceil(calls / per_day) + 1
