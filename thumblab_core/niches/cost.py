"""Estimate what the daily refresh of a niche costs in YouTube quota."""

from dataclasses import dataclass

from sqlalchemy import Connection

from thumblab_core.niches import DEFAULT_NICHES, Niche
from thumblab_core.niches.searching import PAGE_SIZE, most_pages
from thumblab_core.niches.store import all_niches
from thumblab_core.settings import Settings


@dataclass(frozen=True)
class DailyCost:
    """The largest quota that the refresh of a niche needs on one day. `searches`: calls of `search.list`. `units`: the
    units of all other calls.

    The first refresh needs more units, see `first_units`, because it fetches the facts of the channels.
    """

    searches: int
    units: int
    first_units: int


def daily_cost(niche: Niche, settings: Settings) -> DailyCost:
    """Return the largest quota that a niche needs on one day with the given settings.

    A page of a search costs one search, one unit for its videos and one unit for channels that are new to the lab. A
    channel costs one unit for each 50 uploads that are listed. The facts of new videos cost one unit for each 50
    videos.
    """
    is_category = niche.category_id is not None and not niche.searches
    searches = len(niche.searches) or (most_pages(settings) if is_category else 0)
    walked = settings.channels_per_refresh + len(niche.channels)
    pages = -(-settings.uploads_per_channel // PAGE_SIZE)
    details = -(-walked * settings.uploads_per_channel // PAGE_SIZE)
    units = (2 if is_category else 0) + 2 * searches + walked * pages + details
    return DailyCost(searches, units, units + len(niche.channels))


@dataclass(frozen=True)
class KeptQuota:
    """How many searches and units of each day's quota the crawl leaves to the refresh."""

    searches: int
    units: int


def kept_quota(connection: Connection, settings: Settings) -> KeptQuota:
    """Return the quota that the crawl leaves to the refresh: at most the whole quota of a day.

    The settings state what the crawl leaves for the niches of a new lab. A person may have added niches, searches or
    channels, so that the lab's present niches cost more. Then the crawl also leaves the difference.
    """
    usual = [daily_cost(niche, settings) for niche in DEFAULT_NICHES]
    costs = [daily_cost(niche, settings) for niche in all_niches(connection)]
    searches = sum(cost.searches for cost in costs) - sum(cost.searches for cost in usual)
    units = sum(cost.units for cost in costs) - sum(cost.units for cost in usual)
    return KeptQuota(
        min(settings.quota_kept_searches + max(0, searches), settings.quota_searches),
        min(settings.quota_kept_units + max(0, units), settings.quota_units),
    )
