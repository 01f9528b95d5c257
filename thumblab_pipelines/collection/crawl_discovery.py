"""Do the first part of a crawl: find the channels of a niche by search, and check each channel."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from thumblab_core.niches import Niche
from thumblab_core.niches.searching import language_of, region_of
from thumblab_core.settings import Settings
from thumblab_pipelines.collection import crawl_channels, crawl_rules, crawl_searches
from thumblab_pipelines.progress import Progress
from thumblab_pipelines.videos.records import save_channels
from thumblab_pipelines.youtube.answers import SearchHit
from thumblab_pipelines.youtube.client import PAGE_SIZE, SearchQuery, YouTube
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.paging import MAX_SEARCH_PAGES, Paging
from thumblab_pipelines.youtube.quota import SEARCHES

_MOST_BARREN = 4
"""The lab assumes that it knows all channels if this number of successive search pages brought no new channel. It then
ends all unfinished searches of the niche. A later run searches only weeks that were not searched before."""

_RECHECK_AFTER = timedelta(days=30)
"""Time after which an excluded channel is checked again, because it may have gained subscribers."""


@dataclass
class Discovery:
    """Finds the channels of one niche by search, and checks these channels.

    `remarks`: a list of sentences. A sentence is added for each search that the run did not read to the last page.
    """

    engine: Engine
    youtube: YouTube
    niche: Niche
    settings: Settings
    progress: Progress
    remarks: list[str]

    def find_channels(self, share: int) -> str | None:
        """Find channels by searching YouTube. A search asks for videos of the niche's category, or for one of the texts
        that a person gave for the niche.

        Each search covers the uploads of one week. `share` is the number of searches that the run may use. For a niche
        with neither a category nor a text, the method searches for nothing. The method returns None when enough
        channels are known, or when no search is left. If the niche's share of today's searches is used, the method
        returns a sentence that says so. Raises `QuotaError` if YouTube's quota for searches is spent.
        """
        wanted, name = self.settings.crawl_channels, self.niche.name
        with self.engine.begin() as connection:
            crawl_channels.seed(connection, name, self.youtube.now)
            known = crawl_channels.count_channels(connection, name)
            if self.niche.category_id is None and not self.niche.searches:
                return None
            if known < wanted:
                crawl_searches.plan_searches(connection, self.niche, self.youtube.now, self.settings.crawl_days)
        barren = 0
        while known < wanted:
            if self.youtube.ledger.spent[SEARCHES] >= share:
                return (
                    f"{known} of {wanted} channels found with {share} searches, this niche's share of a day; "
                    "the next run continues the search"
                )
            with self.engine.begin() as connection:
                search = crawl_searches.take_search(connection, self.niche)
                if search is None:
                    break
                hits, cursor = self._search(search)
                now = self.youtube.now
                new = crawl_searches.save_search(connection, name, search, hits, cursor, now)
                known = crawl_channels.count_channels(connection, name)
                barren = 0 if new else barren + 1
                if barren == _MOST_BARREN:
                    crawl_searches.end_searches(connection, self.niche, now)
            self.progress(f"{name}: channels found", min(known, wanted), wanted)
        return None

    def _search(self, search: crawl_searches.Search) -> tuple[list[SearchHit], str | None]:
        """Read the next page of the search. Return each video on this page once, and the token of the next page."""
        try:
            page = self.youtube.search(
                SearchQuery(
                    region_of(self.niche, self.settings),
                    self.niche.category_id,
                    "|".join(self.niche.searches),
                    language_of(self.niche, self.settings),
                    search.order,
                ),
                search.published_after,
                search.published_before,
                search.cursor,
            )
        except YouTubeError as error:
            if error.kind is ErrorKind.REQUEST and search.cursor is not None:
                # An earlier run stored the token of this page, and YouTube no longer accepts this token. So the search
                # ends.
                return [], None
            raise
        what = f"the search of {self.niche.name} from {search.published_after:%Y-%m-%d}"
        paging = Paging[SearchHit](what, lambda hit: hit.video_id, MAX_SEARCH_PAGES, search.pages, search.cursor)
        hits = paging.take(page)
        if paging.remark is not None:
            self.remarks.append(paging.remark)
        return hits, paging.cursor

    def check_channels(self) -> None:
        """Check the channels that were never checked, and the channels that were left out more than 30 days ago.

        To check a channel means to fetch its facts from YouTube, and to leave the channel out if the rules exclude it.
        """
        while True:
            with self.engine.begin() as connection:
                before = self.youtube.now - _RECHECK_AFTER
                ids = crawl_channels.take_unchecked(connection, self.niche.name, PAGE_SIZE, before)
                if not ids:
                    return
                records = {record.channel_id: record for record in self.youtube.channels(ids)}
                save_channels(connection, list(records.values()))
                excluded = {channel_id: crawl_rules.exclude_channel(records.get(channel_id)) for channel_id in ids}
                crawl_channels.save_checked(connection, excluded, self.youtube.now)
