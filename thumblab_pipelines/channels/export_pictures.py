"""Download the thumbnails of a channel's exported videos. The exports themselves contain no pictures."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ARRAY, Text, any_, literal, select

from thumblab_core.database.tables import thumbnails, videos
from thumblab_pipelines.collection.download import fetch_thumbnails
from thumblab_pipelines.collection.thumbnail_request import Kind
from thumblab_pipelines.collection.thumbnails_wanted import Wanted
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress

_MOST_NAMED = 20
"""Maximum number of videos without a picture that the result names."""

_NAMED_BY_CAUSE = 3
"""Maximum number of videos that are named for one reason."""

_SIZES = ("maxresdefault", "hq720", "sddefault", "hqdefault", "mqdefault", "default")
"""File names of the thumbnail sizes on YouTube's image host, best size first. Not every video has every size."""

_IMAGE_HOST = "https://i.ytimg.com/"

_NO_ANSWER = "the image host gave no answer"
_NO_PICTURE = "YouTube has no picture of it (private or deleted?)"
_GONE = re.compile(r" answered (404|410|with YouTube's placeholder)$")
"""The end of an error message which says that the image host does not have the thumbnail."""


@dataclass(frozen=True)
class MissingPictures:
    """The number of videos that have no picture for one reason. `newest`: titles and ids of the newest of them."""

    reason: str
    count: int
    newest: list[str]


@dataclass
class ExportPictures:
    """The result of downloading the missing pictures of exported videos.

    `lacking`: number of videos that still have no picture. `missing`: for each of the newest videos without a picture,
    a sentence with the reason. `causes`: all videos without a picture, grouped by the reason. `problems`: a sentence for
    each fault that concerns all pictures, such as a fault of the network. `why`: one sentence that says why pictures are
    missing.
    """

    downloaded: int = 0
    lacking: int = 0
    missing: list[str] = field(default_factory=list)
    causes: list[MissingPictures] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    why: str = ""


def picture_urls(lab: Lab, video_id: str) -> tuple[str, ...]:
    """Return the URLs of a video's thumbnail on YouTube's image host, the best size first.

    If the lab uses an emulator of YouTube, the URLs lead to the emulator.
    """
    base = lab.settings.youtube_endpoint or _IMAGE_HOST
    return tuple(f"{base.rstrip('/')}/vi/{video_id}/{size}.jpg" for size in _SIZES)


def fetch_pictures(
    lab: Lab, ids: Sequence[str], progress: Progress, prepare: Callable[[], None] = lambda: None
) -> ExportPictures:
    """Download the missing pictures of the videos. Return which videos still have no picture, and why.

    `prepare` is called before the first download, if a picture is missing.
    """
    joined = videos.outerjoin(thumbnails, thumbnails.c.video_id == videos.c.video_id)
    chosen = videos.c.video_id == any_(literal(list(ids), ARRAY(Text)))
    newest_first = (videos.c.published_at.desc(), videos.c.video_id)
    lacking = select(videos.c.video_id, videos.c.title, thumbnails.c.problem).select_from(joined)
    lacking = lacking.where(chosen, thumbnails.c.sha256.is_(None)).order_by(*newest_first)
    with lab.engine.connect() as connection:
        wanted = [
            Wanted(row.video_id, picture_urls(lab, row.video_id), None, False) for row in connection.execute(lacking)
        ]
    if wanted:
        prepare()
    fetched = fetch_thumbnails(lab, wanted, "pictures", progress)
    with lab.engine.connect() as connection:
        rows = connection.execute(lacking).all()
    result = ExportPictures(fetched.counts[Kind.NEW], len(rows))
    result.missing = [f"{row.title} ({row.video_id}): {_why_missing(row.problem)}" for row in rows[:_MOST_NAMED]]
    result.causes = _by_reason((_why_missing(row.problem), f"{row.title} ({row.video_id})") for row in rows)
    if fetched.refused:
        result.problems.append("the settings do not allow requests to the image host, so no picture was requested")
    elif fetched.unanswered:
        result.problems.append("the image host did not answer; check the network, then add the exports again")
    if rows and all(_GONE.search(row.problem or "") for row in rows):
        result.why = f"YouTube has no picture for any of the {len(rows)} videos (private or deleted?)"
    else:
        result.why = "; ".join([*result.problems, *result.missing][:1])
    return result


def _by_reason(found: Iterable[tuple[str, str]]) -> list[MissingPictures]:
    """Group pairs of a reason and a video by the reason. The most frequent reason comes first."""
    grouped: dict[str, list[str]] = {}
    for reason, video in found:
        grouped.setdefault(reason, []).append(video)
    causes = [MissingPictures(reason, len(named), named[:_NAMED_BY_CAUSE]) for reason, named in grouped.items()]
    return sorted(causes, key=lambda cause: -cause.count)


def _why_missing(problem: str | None) -> str:
    if problem is None:
        return _NO_ANSWER
    return _NO_PICTURE if _GONE.search(problem) else problem
