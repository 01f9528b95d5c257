"""Estimate what the daily refresh of a niche costs in YouTube quota."""

from dataclasses import dataclass

from sqlalchemy import Connection

from thumblab_core.niches import DEFAULT_NICHES, Niche
from thumblab_core.niches.searching import PAGE_SIZE, most_pages
from thumblab_core.niches.store import all_niches
from thumblab_core.settings import Settings


@dataclass(frozen=True)
class DailyCost:
    """The most calls that the refresh of a niche needs on a day: calls of `search.list`, and units for all other calls.

    The first refresh needs more units, see `first_units`, because it fetches the facts of the channels.
    """

    searches: int
    units: int
    first_units: int


def daily_cost(niche: Niche, settings: Settings) -> DailyCost:
    """Return the largest cost of a niche with the given settings.

    A page of a search costs one search, one unit for its videos and one unit for channels that are new to the lab. A
    channel costs one unit for each 50 uploads that are listed, and new uploads cost one unit for each 50.
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

    The settings say how much the niches of a new lab need. The lab's niches may cost more than these niches, by their
    texts, categories and given channels. The crawl leaves this difference too.
    """
    usual = [daily_cost(niche, settings) for niche in DEFAULT_NICHES]
    costs = [daily_cost(niche, settings) for niche in all_niches(connection)]
    searches = sum(cost.searches for cost in costs) - sum(cost.searches for cost in usual)
    units = sum(cost.units for cost in costs) - sum(cost.units for cost in usual)
    return KeptQuota(
        min(settings.quota_kept_searches + max(0, searches), settings.quota_searches),
        min(settings.quota_kept_units + max(0, units), settings.quota_units),
    )
