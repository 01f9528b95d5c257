"""What a crawl will cost, told before anything is spent. No call is made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from thumblab_pipelines.collection import crawl_state
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import PAGE
from thumblab_pipelines.youtube.quota import SEARCHES, UNITS, Balance, Ledger

VIDEOS_PER_CHANNEL = 133
"""Uploads of a channel within the crawl's days, until the lab has counted its own: 200,000 videos of 1,500 channels."""

_NEW_PER_SEARCH = 15
"""New channels that a search is taken to bring until the lab has counted its own."""

_ENOUGH_PAGES = 5


@dataclass(frozen=True)
class NichePlan:
    """What is left to do in a niche, and what it will cost. Channels and videos that are not found yet are estimates."""

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
    """All niches together. `days` until it is done at the quota of the settings; `naive_days` by search alone."""

    niches: list[NichePlan]
    videos_per_channel: float
    searches: int
    units: int
    days: int
    naive_days: int
    balances: list[Balance]


def plan_crawl(lab: Lab, niches: Sequence[str], channels: int | None = None, per_channel: float | None = None) -> Plan:
    """Plan the crawl of the niches to `channels` each (default: the setting), of `per_channel` videos each (default: as
    many as the channels walked so far have, else 133)."""
    settings = lab.settings
    # Nothing is asked of YouTube here, so the days are those of this machine's clock.
    now = datetime.now(UTC)
    mean = per_channel or _videos_per_channel(lab)
    wanted = channels or settings.crawl_channels
    planned = [
        _plan_niche(lab, niche, wanted, mean, now - timedelta(days=settings.crawl_again_days)) for niche in niches
    ]
    searches, units = sum(p.searches for p in planned), sum(p.units for p in planned)
    balances = Ledger.of(lab.engine, settings).balances(now)
    by_bucket = {balance.bucket: balance for balance in balances}
    days = max(
        _days(units, by_bucket[UNITS], settings.quota_kept_units),
        _days(searches, by_bucket[SEARCHES], settings.quota_kept_searches),
    )
    videos = sum(p.videos_expected for p in planned)
    naive = math.ceil(videos / PAGE / max(settings.quota_searches, 1))
    return Plan(planned, mean, searches, units, days, naive, balances)


def _plan_niche(lab: Lab, niche: str, wanted: int, mean: float, before: datetime) -> NichePlan:
    with lab.engine.connect() as connection:
        counted = crawl_state.count(connection, niche, before)
        pages_searched = crawl_state.pages_searched(connection, niche)
    found_per_search = counted.channels / pages_searched if pages_searched >= _ENOUGH_PAGES else _NEW_PER_SEARCH
    to_find = max(0, wanted - counted.channels)
    to_check = to_find + counted.channels_to_check
    to_walk = to_check + counted.channels_to_walk
    new_videos = to_walk * mean
    # A channel of n uploads has n/50 pages, rounded up, and none knows its end before the last: one more on the average.
    pages = to_walk * (mean / PAGE + 1)
    looks = (new_videos + counted.videos_waiting) / PAGE
    listed = sum(counted.videos.values()) + counted.videos_waiting
    return NichePlan(
        niche,
        counted.channels,
        to_find,
        to_walk,
        listed,
        round(listed + new_videos),
        math.ceil(to_find / max(found_per_search, 1)),
        math.ceil(to_check / PAGE) + math.ceil(pages) + math.ceil(looks),
    )


def _videos_per_channel(lab: Lab) -> float:
    statement = text("""
        SELECT count(*)::float / NULLIF(count(DISTINCT k.channel_id), 0)
        FROM crawl_videos k JOIN crawl_channels c USING (channel_id) WHERE c.walked_at IS NOT NULL
    """)
    with lab.engine.connect() as connection:
        return connection.execute(statement).scalar() or VIDEOS_PER_CHANNEL


def _days(calls: int, balance: Balance, kept: int) -> int:
    """Days until so many calls are made: what is left of today, then whole days."""
    today = max(0, balance.left - kept)
    a_day = max(1, balance.limit - kept)
    if calls == 0:
        return 0
    return 1 + max(0, math.ceil((calls - today) / a_day)) if today else math.ceil(calls / a_day) + 1
