"""Keep the crawl's searches in PostgreSQL. Each search covers one week, and its row says how many pages were read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import crawl_searches
from thumblab_core.niches import Niche
from thumblab_pipelines.collection import crawl_channels
from thumblab_pipelines.youtube.answers import SearchHit

_WEEK = timedelta(days=7)
_A_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_ORDERS = ("viewCount", "date")
"""The orders of the results. Each week is searched once in each order.

A search in the order of views finds only the most viewed channels. A search in the order of date also finds channels
with few views.
"""

_LEAST_NEW_CHANNELS = 3
"""A search ends after a page with fewer new channels than this number."""


@dataclass(frozen=True)
class Search:
    """A search for the videos of one week. The order of the results is by views or by date.

    `query` says what is searched, see `query_of`. `pages` is the number of pages that were read so far, and `cursor` is
    the token of the next page.
    """

    query: str
    published_after: datetime
    published_before: datetime
    order: str
    pages: int
    cursor: str | None


def query_of(niche: Niche) -> str:
    """Return a text that says what is searched for the niche: its search texts and its category.

    If the search texts or the category change, the returned text changes too. All weeks are then searched again.
    """
    return "|".join(niche.searches) + ("" if niche.category_id is None else f" in category {niche.category_id}")


def plan_searches(connection: Connection, niche: Niche, now: datetime, days: int) -> None:
    """Plan the searches of each week of the last `days` days: one search for each order of the results. Searches that
    exist already stay as they are.
    """
    # The periods are calendar weeks. So a later run plans the same weeks, and can skip searches that exist already.
    this_week = _A_MONDAY + (now - _A_MONDAY) // _WEEK * _WEEK
    weeks = -(-days // _WEEK.days)
    rows = [
        {
            "niche": niche.name,
            "query": query_of(niche),
            "published_after": this_week - n * _WEEK,
            "published_before": this_week - (n - 1) * _WEEK,
            "order": order,
        }
        for n in range(weeks + 1)
        for order in _ORDERS
    ]
    connection.execute(insert(crawl_searches).values(rows).on_conflict_do_nothing())


def take_search(connection: Connection, niche: Niche) -> Search | None:
    """Take the unfinished search with the fewest pages read so far. Among several such searches, take a search of the
    newest week.

    So the first page of every search is read before the second page of any search. The search is locked for this
    connection until its transaction ends. Return None if every search is finished, or if other connections have locked
    all unfinished searches.
    """
    table = crawl_searches.c
    row = connection.execute(
        select(table.query, table.published_after, table.published_before, table.order, table.pages, table.cursor)
        .where(table.niche == niche.name, table.query == query_of(niche), table.finished_at.is_(None))
        .order_by(table.pages, table.published_after.desc(), table.order.desc())
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    return None if row is None else Search(*row)


def save_search(
    connection: Connection, niche: str, search: Search, hits: Sequence[SearchHit], cursor: str | None, now: datetime
) -> int:
    """Store the channels of a page that was read, and the token of the next page. Return how many channels are new.

    The search ends if there is no next page, or if the page brought fewer than `_LEAST_NEW_CHANNELS` new channels.
    """
    new = crawl_channels.add(connection, niche, {hit.channel_id: hit.channel_title for hit in hits}, now)
    is_finished = cursor is None or new < _LEAST_NEW_CHANNELS
    table = crawl_searches.c
    connection.execute(
        update(crawl_searches)
        .where(
            table.niche == niche,
            table.query == search.query,
            table.published_after == search.published_after,
            table.published_before == search.published_before,
            table.order == search.order,
        )
        .values(pages=search.pages + 1, cursor=cursor, finished_at=now if is_finished else None)
    )
    return new


def end_searches(connection: Connection, niche: Niche, now: datetime) -> None:
    """Mark as finished all searches for the search texts that the niche has now, or for its category."""
    table = crawl_searches.c
    connection.execute(
        update(crawl_searches)
        .where(table.niche == niche.name, table.query == query_of(niche), table.finished_at.is_(None))
        .values(finished_at=now)
    )


def pages_searched(connection: Connection, niche: str) -> int:
    """Return how many pages of searches were read for the niche."""
    table = crawl_searches.c
    statement = select(func.coalesce(func.sum(table.pages), 0)).where(table.niche == niche)
    return int(connection.execute(statement).scalar_one())
