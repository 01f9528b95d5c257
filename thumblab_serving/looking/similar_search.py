"""Find, in the libraries, the thumbnails that are similar to a query, and compose the answer.

All items of an answer, with their facts, come from the index releases that are named in the answer. A release never
changes. So ids and facts fit together even if another release is promoted while the answer is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index import (
    MAX_NEIGHBOURS,
    MOST_APPROXIMATE,
    ChannelName,
    Filter,
    Item,
    LibraryError,
    Neighbour,
    PublishedBetween,
    diversified,
)
from thumblab_serving.loading.database import NoDatabaseError
from thumblab_serving.loading.stored_library import NothingStoredError
from thumblab_serving.looking.libraries import Library, libraries_of
from thumblab_serving.looking.queries import Asked, Query, query_of
from thumblab_serving.looking.similar_request import MOST_OFFSET, SimilarForm
from thumblab_serving.looking.stored_vectors import MOST_TITLES, NearTitle, near_titles, picture_vectors
from thumblab_serving.schemas.library import SearchedLibraryOut, SimilarItemOut, SimilarOut, SimilarQueryOut
from thumblab_serving.scoring.scorer import Scorer

_LEAST_RANKED = 20
"""Minimum number of videos for a percentile. With fewer videos, one video would be more than five percent of them."""


@dataclass(frozen=True)
class _Hit:
    """A found video of a niche, with the vector of its picture."""

    niche: str
    item: Item
    similarity: float
    vector: Vectors


@dataclass
class _Results:
    """The hits of all libraries.

    `near` has the nearest hits of each library. They are the same for all pages of an answer, because `diversified`
    orders them. `further` has the hits among which the videos after the first `MAX_NEIGHBOURS` are found. `total` is the
    number of videos that the filters admit, or None if this number is not known.
    """

    near: list[_Hit] = field(default_factory=list)
    further: list[_Hit] = field(default_factory=list)
    searched: list[SearchedLibraryOut] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    total: int | None = 0

    def add(self, hits: Sequence[_Hit], further: Sequence[_Hit] | None = None) -> None:
        """Add the nearest hits of a library, and its hits for later pages. Without `further`, these are the same hits."""
        self.near += hits
        self.further += hits if further is None else further

    def count(self, videos: int | None) -> None:
        self.total = None if self.total is None or videos is None else self.total + videos


class SimilarSearch:
    """An object that searches the libraries that `scorer` uses too. Many threads may use it at the same time."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def answer(self, asked: Asked) -> SimilarOut:
        """Return the answer to a request. Blocks the calling thread.

        Raises `BadQueryError`, `UnknownVideoError`, or `NotReadyError` if there is nothing to search.
        """
        form = asked.form
        libraries = libraries_of(self._scorer.releases, form.niche)
        query = query_of(asked, libraries, self._scorer)
        only = self._filter(form, asked.video_id)
        results = _Results(degraded=[*query.remarks, *libraries.left_out(query.picture_encoder)])
        chosen = libraries.of(query.picture_encoder)
        if query.matched_by == "title":
            self._search_titles(chosen, query, only, results)
        else:
            for library in chosen:
                self._search(library, query, only, form, results)
        if only.not_by is not None and not self._has_videos_by(only.not_by, chosen):
            results.degraded.append("exclude_channel left nothing out: no searched library has a video of this channel")
        return _composed(query, form, results)

    def neighbours(self, library: Library, video_id: str, count: int) -> list[SimilarItemOut]:
        """Return the `count` videos of a library that are most similar to the video `video_id` of this library."""
        assert library.index is not None
        index = library.index.value
        found = index.find(index.vector_of(video_id), count, Filter(not_video=video_id))
        hits = _hits(library.niche, found.neighbours, found.vectors)
        return [_item(hit, at, found.total) for at, hit in enumerate(hits)]

    def _filter(self, form: SimilarForm, video_id: str | None) -> Filter:
        channel = None
        if form.exclude_channel is not None:
            names = self._scorer.channel_names
            channel_id = names.known_id(form.exclude_channel)
            title = form.exclude_channel if channel_id is None else names.title_of(channel_id)
            channel = ChannelName(channel_id, title)
        published = PublishedBetween(form.published_after, form.published_before)
        return Filter(published, form.min_outlier_multiple, channel, video_id)

    def _search(self, library: Library, query: Query, only: Filter, form: SimilarForm, results: _Results) -> None:
        if library.index is None:
            self._search_stored(library, query, only, results)
            return
        index = library.index.value
        found = index.find(query.vector, MAX_NEIGHBOURS, only)
        nearest = _hits(library.niche, found.neighbours, found.vectors)
        end, further = form.offset + form.k, None
        if end > MAX_NEIGHBOURS:
            # An approximate index misses a few videos, and other videos for another depth. If a later page came from
            # such a search, it could repeat or leave out videos of an earlier page. So it comes from an exact search.
            deeper = index.find(query.vector, max(end, MOST_APPROXIMATE + 1), only)
            further = _hits(library.niche, deeper.neighbours, deeper.vectors)
        results.add(nearest, further)
        results.count(found.total)
        exact = not only.admits_all_but_one or form.offset >= MAX_NEIGHBOURS
        similarities = [near.similarity for near in found.neighbours]
        typical = only.admits_all_but_one and query.kind != "text"
        results.searched.append(
            SearchedLibraryOut(
                niche=library.niche,
                release=library.index.release_id,
                source="faiss",
                videos=found.total,
                recall=1.0 if exact else index.kind.recall,
                similarity_score=index.percentile_of(similarities) if typical else None,
            )
        )

    def _search_stored(self, library: Library, query: Query, only: Filter, results: _Results) -> None:
        """Search a library in the database. Only the 200 nearest videos are read, and the filters apply only to these
        videos.
        """
        try:
            nearest = self._scorer.stored_libraries.nearest(library.niche, library.encoder, query.vector)
            ids = [near.item.video_id for near in nearest]
            known = self._scorer.database.read(lambda connection: picture_vectors(connection, ids, library.encoder))
        except (NothingStoredError, NoDatabaseError, LibraryError) as error:
            results.degraded.append(
                f"the library of {library.niche} was not searched: {library.why_stored}, and {error}"
            )
            return
        results.degraded.append(f"{library.why_stored}: the library was searched in the database")
        kept = [near for near in nearest if only.admits(near.item)]
        if not only.admits_all_but_one and len(nearest) == MAX_NEIGHBOURS:
            results.degraded.append(
                f"the filters were applied only to the {MAX_NEIGHBOURS} nearest videos of {library.niche}"
            )
        blank = np.zeros(len(query.vector), np.float32)  # A video that was deleted after the search gets this vector.
        results.add(_hits(library.niche, kept, np.array([known.get(n.item.video_id, blank) for n in kept])))
        results.count(None)
        results.searched.append(
            SearchedLibraryOut(
                niche=library.niche, release=None, source="pgvector", videos=None, recall=None, similarity_score=None
            )
        )

    def _search_titles(self, libraries: Sequence[Library], query: Query, only: Filter, results: _Results) -> None:
        """Find the videos whose titles are near to the text. A video is found only if a served release has this video
        with the same title.
        """
        results.count(None)
        served = {library.niche: library.index for library in libraries if library.index is not None}
        for library in libraries:
            if library.index is None:
                results.degraded.append(f"the titles of {library.niche} were not searched: {library.why_stored}")
        niches = list(served)
        try:
            titles: list[NearTitle] = self._scorer.database.read(
                lambda connection: near_titles(connection, query.vector, query.encoder, niches)
            )
        except NoDatabaseError as error:
            results.degraded.append(f"the titles were not searched, because they are in the database, and {error}")
            return
        for title in titles:
            for niche, loaded in served.items():
                item = loaded.value.item_of(title.video_id)
                if item is not None and title.is_of(item) and only.admits(item):
                    vector = loaded.value.vector_of(title.video_id)
                    results.add([_Hit(niche, item, title.similarity, vector)])
                    break
        if len(titles) == MOST_TITLES:
            results.degraded.append(f"only the {MOST_TITLES:,} nearest titles were read")
        for niche, loaded in served.items():
            results.searched.append(
                SearchedLibraryOut(
                    niche=niche,
                    release=loaded.release_id,
                    source="pgvector",
                    videos=None,
                    recall=None,
                    similarity_score=None,
                )
            )

    def _has_videos_by(self, channel: ChannelName, libraries: Sequence[Library]) -> bool:
        found = [library.index.value.has_videos_by(channel) for library in libraries if library.index is not None]
        return any(found) or not found


def _composed(query: Query, form: SimilarForm, results: _Results) -> SimilarOut:
    first = _merged(results.near)[:MAX_NEIGHBOURS]
    shown_first = {hit.item.video_id for hit in first}
    hits = [*first, *(hit for hit in _merged(results.further) if hit.item.video_id not in shown_first)]
    end = form.offset + form.k
    if first and form.offset < len(first):
        similarities = np.array([hit.similarity for hit in first], np.float32)
        order = diversified(similarities, np.stack([hit.vector for hit in first]), form.diversity, end).tolist()
    else:
        order = list(range(len(first)))
    order += range(len(first), len(hits))
    shown = order[form.offset : end]
    more = len(hits) > end if results.total is None else results.total > end
    return SimilarOut(
        query=SimilarQueryOut(
            kind=query.kind, matched_by=query.matched_by, encoder=query.encoder, dimension=len(query.vector)
        ),
        items=[_item(hits[at], at, results.total) for at in shown],
        total=results.total,
        next_offset=end if more and end <= MOST_OFFSET else None,
        searched=results.searched,
        degraded=list(dict.fromkeys(results.degraded)),
    )


def _hits(niche: str, neighbours: Sequence[Neighbour], vectors: Vectors) -> list[_Hit]:
    return [_Hit(niche, *near, vector) for near, vector in zip(neighbours, vectors, strict=True)]


def _merged(hits: Sequence[_Hit]) -> list[_Hit]:
    """Return the hits of all libraries, the most similar first. A video that is in two libraries appears once."""
    merged: dict[str, _Hit] = {}
    for hit in sorted(hits, key=lambda hit: -hit.similarity):
        merged.setdefault(hit.item.video_id, hit)
    return list(merged.values())


def _item(hit: _Hit, rank: int, total: int | None) -> SimilarItemOut:
    """Return a hit as the answer shows it. `rank` is its place by similarity, counted from 0."""
    item = hit.item
    is_ranked = total is not None and total >= _LEAST_RANKED
    return SimilarItemOut(
        video_id=item.video_id,
        title=item.title,
        channel=item.channel,
        channel_id=item.channel_id,
        niche=hit.niche,
        similarity=min(1.0, max(-1.0, hit.similarity)),
        similarity_percentile=max(0.0, 100.0 * (total - rank - 1) / total) if is_ranked and total else None,
        views=item.views,
        views_per_hour=item.views_per_hour,
        outlier_multiple=item.outlier_multiple,
        winner=item.winner,
        published_on=item.published_on,
        age_days=None if item.published_on is None else _days_since(item.published_on),
        picture_url=item.url,
    )


def _days_since(day: date) -> int:
    return max(0, (datetime.now(UTC).date() - day).days)
