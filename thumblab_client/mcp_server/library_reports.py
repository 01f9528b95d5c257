"""The answer of the tool `search_library`: videos of the library that are similar to a query."""

from dataclasses import dataclass

from thumblab_client.models.library import SimilarOut


@dataclass(frozen=True)
class FoundVideo:
    """A video of the library. `outlier_multiple` is the video's views, divided by the usual views of its channel."""

    video_id: str
    title: str
    channel: str
    niche: str
    picture_url: str | None
    similarity: float
    winner: bool
    views_per_hour: float
    outlier_multiple: float | None
    age_days: int | None


@dataclass(frozen=True)
class LibrarySearch:
    """The found videos. `matched_by` says whether pictures or titles were compared with the query."""

    matched_by: str
    videos: list[FoundVideo]
    index_releases: dict[str, str | None]
    degraded: list[str]


def library_search(found: SimilarOut) -> LibrarySearch:
    """Return the parts of the service's answer that an assistant needs."""
    return LibrarySearch(
        matched_by=found.query.matched_by,
        videos=[
            FoundVideo(
                video_id=item.video_id,
                title=item.title,
                channel=item.channel,
                niche=item.niche,
                picture_url=item.picture_url,
                similarity=item.similarity,
                winner=item.winner,
                views_per_hour=item.views_per_hour,
                outlier_multiple=item.outlier_multiple,
                age_days=item.age_days,
            )
            for item in found.items
        ],
        index_releases={library.niche: library.release for library in found.searched},
        degraded=found.degraded,
    )
