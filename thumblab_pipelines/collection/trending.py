"""Collect the videos that trend in a niche.

If the niche has searches, the videos come from these searches. Otherwise, the videos come from YouTube's chart for the
niche's category, and perhaps also from a search for the most viewed videos of the category.
"""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import charts
from thumblab_core.niches import Niche
from thumblab_core.niches.searching import language_of, most_pages, region_of
from thumblab_pipelines.collection.collecting import Collecting
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress
from thumblab_pipelines.videos.records import VIDEO, VideoRecord
from thumblab_pipelines.youtube.answers import SearchHit
from thumblab_pipelines.youtube.client import SearchQuery, YouTube
from thumblab_pipelines.youtube.paging import MAX_SEARCH_PAGES, Paging, pages

_PROBE_AGAIN = timedelta(days=30)
"""Time after which the lab asks YouTube again for a chart that did not exist."""


def collect_trending(lab: Lab, youtube: YouTube, niche: Niche, collecting: Collecting, progress: Progress) -> None:
    """Save the videos that trend in the niche.

    If the niche has searches, save the most viewed videos of each search. If it also has a category, save only videos
    of this category.

    If the niche has only a category, save the videos of YouTube's chart of the category. If YouTube has no such chart,
    or if the chart has too few ordinary videos, search the whole category and save its most viewed videos.

    The setting `videos_per_niche` is the wanted number of ordinary videos per search or category.
    """
    wanted = lab.settings.videos_per_niche
    if niche.searches:
        collecting.trending_from = "searches"
        for text in niche.searches:
            _search(lab, youtube, niche, collecting, progress, text)
    elif niche.category_id is not None:
        chart = _chart(lab, youtube, niche.name, niche.category_id, region_of(niche, lab.settings))
        if chart is not None:
            collecting.trending_from = "chart"
            allowed = (record for record in chart if not niche.excludes(record.title))
            collecting.save(lab, youtube, _up_to(allowed, wanted))
        if collecting.formats[VIDEO] < wanted:
            if chart is None:
                collecting.trending_from = "search"
            _search(lab, youtube, niche, collecting, progress)


def _search(
    lab: Lab, youtube: YouTube, niche: Niche, collecting: Collecting, progress: Progress, text: str | None = None
) -> None:
    """Save the most viewed videos of a search.

    A search for a `text` reads only one page, because a niche may have several texts, and each text has a search of its
    own.
    """
    settings = lab.settings
    wanted = settings.videos_per_niche if text is None else collecting.formats[VIDEO] + settings.videos_per_niche
    pages_left = 1 if text is not None else most_pages(settings)
    after = youtube.now - timedelta(days=settings.search_days)
    query = SearchQuery(region_of(niche, settings), niche.category_id, text, language_of(niche, settings))
    progress(f"{niche.name}: trending", collecting.formats[VIDEO], wanted)
    paging = Paging[SearchHit](f"the search of {niche.name}", lambda hit: hit.video_id, MAX_SEARCH_PAGES)
    for hits in pages(paging, lambda cursor: youtube.search(query, after, cursor=cursor)):
        video_ids = [hit.video_id for hit in hits if hit.video_id not in collecting.video_ids]
        # A call for up to 50 videos costs one unit. So the facts of all videos of the page are fetched, even if the lab
        # does not need all of them.
        records = youtube.videos(video_ids, niche.name) if video_ids else []
        collecting.records |= {record.video_id: record for record in records}
        rank = {video_id: place for place, video_id in enumerate(video_ids)}
        ranked = [record for record in records if not niche.excludes(record.title)]
        ranked.sort(key=lambda record: rank.get(record.video_id, len(rank)))
        collecting.save(lab, youtube, _up_to(ranked, wanted - collecting.formats[VIDEO]))
        progress(f"{niche.name}: trending", min(collecting.formats[VIDEO], wanted), wanted)
        collecting.search_pages += 1
        pages_left -= 1
        if collecting.formats[VIDEO] >= wanted or pages_left == 0:
            break
    if paging.remark is not None:
        collecting.remarks.append(paging.remark)


def _chart(lab: Lab, youtube: YouTube, niche: str, category: int, region: str) -> list[VideoRecord] | None:
    """Return the videos of the chart of a category, or None if YouTube has no such chart.

    If YouTube answers that it has no chart, the lab does not ask again for 30 days.
    """
    with lab.engine.connect() as connection:
        probed_at = connection.scalar(
            select(charts.c.probed_at).where(
                charts.c.category_id == category, charts.c.region == region, charts.c.available.is_(False)
            )
        )
    if probed_at is not None and youtube.now - probed_at < _PROBE_AGAIN:
        return None
    chart = youtube.chart(category, region, niche)
    statement = insert(charts).values(
        category_id=category, region=region, available=chart is not None, probed_at=youtube.now
    )
    fresh = {"available": statement.excluded.available, "probed_at": statement.excluded.probed_at}
    with lab.engine.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["category_id", "region"], set_=fresh))
    return chart


def _up_to(records: Iterable[VideoRecord], wanted: int) -> list[VideoRecord]:
    """Return the first records of the list, with at most `wanted` ordinary videos among them.

    Shorts, live and upcoming videos are returned too, but do not count towards `wanted`.
    """
    kept: list[VideoRecord] = []
    for record in records:
        if record.format == VIDEO:
            if wanted <= 0:
                break
            wanted -= 1
        kept.append(record)
    return kept
