"""Collect the videos that trend in a niche.

The videos come from YouTube's chart for the niche's category, or from a search for the most viewed videos of this
category.
"""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import charts
from thumblab_core.niches import Niche
from thumblab_pipelines.collection.collecting import Collecting
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress
from thumblab_pipelines.videos.records import VIDEO, VideoRecord
from thumblab_pipelines.youtube.answers import Page, SearchHit
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube
from thumblab_pipelines.youtube.paging import MAX_SEARCH_PAGES, Paging, pages

_PROBE_AGAIN = timedelta(days=30)
"""Time after which the lab asks YouTube again for a chart that did not exist."""


def collect_trending(lab: Lab, youtube: YouTube, niche: str, collecting: Collecting, progress: Progress) -> None:
    """Save the videos of YouTube's chart for the niche's category, if there is such a chart.

    The setting `videos_per_niche` is the wanted number of ordinary videos. If there is no chart, or if the chart has
    fewer ordinary videos, also save the most viewed videos of a search.
    """
    wanted = lab.settings.videos_per_niche
    chart = _chart(lab, youtube, niche)
    if chart is not None:
        collecting.trending_from = "chart"
        collecting.save(lab, youtube, _up_to(chart, wanted))
    if collecting.formats[VIDEO] >= wanted:
        return
    if chart is None:
        collecting.trending_from = "search"
    settings = lab.settings
    after = youtube.now - timedelta(days=settings.search_days)
    progress(f"{niche}: trending", collecting.formats[VIDEO], wanted)
    paging = Paging[SearchHit](f"the search of {niche}", lambda hit: hit.video_id, MAX_SEARCH_PAGES)

    def ask(cursor: str | None) -> Page[SearchHit]:
        return youtube.search(
            Niche(niche).category_id, settings.region, after, cursor=cursor, language=settings.language
        )

    for hits in pages(paging, ask):
        video_ids = [hit.video_id for hit in hits if hit.video_id not in collecting.video_ids]
        # A call for up to 50 videos costs one unit. So the facts of all videos of the page are fetched, even if the lab
        # does not need all of them.
        records = youtube.videos(video_ids, niche) if video_ids else []
        collecting.records |= {record.video_id: record for record in records}
        rank = {video_id: place for place, video_id in enumerate(video_ids)}
        ranked = sorted(records, key=lambda record: rank.get(record.video_id, len(rank)))
        collecting.save(lab, youtube, _up_to(ranked, wanted - collecting.formats[VIDEO]))
        progress(f"{niche}: trending", min(collecting.formats[VIDEO], wanted), wanted)
        collecting.search_pages += 1
        if collecting.formats[VIDEO] >= wanted or collecting.search_pages >= _most_pages(wanted):
            break
    if paging.remark is not None:
        collecting.remarks.append(paging.remark)


def _most_pages(wanted: int) -> int:
    """Return how many pages of a search are read at most.

    If most results are Shorts, finding the wanted number of ordinary videos could take many pages. Each page costs one
    unit of the daily quota for searches. So the lab stops after the returned number of pages, even if it wants more
    videos.
    """
    return max(2, -(-wanted // PAGE_SIZE))


def _chart(lab: Lab, youtube: YouTube, niche: str) -> list[VideoRecord] | None:
    """Return the videos of the chart of the niche's category, or None if YouTube has no such chart.

    If YouTube answers that it has no chart, the lab does not ask again for 30 days.
    """
    category, region = Niche(niche).category_id, lab.settings.region
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
