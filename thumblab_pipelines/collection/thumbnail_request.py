"""Request the thumbnail of one video, and compare the answer with the picture that the lab has."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Row

from thumblab_core.fetch import FetchedAnswer, FetchError, RefusedError
from thumblab_core.images import ImageError, Picture, decode
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_pipelines.collection.retrying_fetch import RetryingFetcher
from thumblab_pipelines.collection.thumbnails_wanted import Wanted
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.versions import Missing, Origin, Shown, Sighting, Unchanged, still_shows

_GONE = {404, 410}

_PLACEHOLDER = (120, 90)
"""Width and height in pixels of the grey picture that YouTube sends if a thumbnail does not exist in the requested size.
YouTube's smallest real size, `default`, has the same width and height."""

_SMALLEST = "default"


class Kind(StrEnum):
    """The result of a request for a thumbnail. Each value is the name of a field of `Downloaded`."""

    NEW = "downloaded"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    GONE = "gone"
    UNREADABLE = "unreadable"
    POSTPONED = "postponed"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request for a thumbnail.

    `sighting`: a row for the database. The row says that the video now shows this picture, or no picture. `size`:
    number of bytes that were read. `refused`: whether the setting `image_hosts` forbids the URL. If it does, no request
    was made. `store_error`: the error of the image store if it could not be used, else None.
    """

    kind: Kind
    sighting: Sighting | None = None
    size: int = 0
    refused: bool = False
    store_error: OSError | None = None


def request_thumbnail(lab: Lab, fetcher: RetryingFetcher, wanted: Wanted) -> Outcome:
    """Request the thumbnail in its best size, then in smaller sizes until a size exists. Store the picture if it is
    new."""
    missing: tuple[str, datetime | None] | None = None
    size = 0
    for url in wanted.urls:
        try:
            answer = _fetch(lab, fetcher, url, wanted.known)
        except FetchError as error:
            if error.status in _GONE:
                missing = missing or (str(error), error.date)
                continue
            return Outcome(Kind.POSTPONED, size=size, refused=isinstance(error, RefusedError))
        except OSError as error:
            return Outcome(Kind.POSTPONED, size=size, store_error=error)
        size += len(answer.body)
        at = answer.date or datetime.now(UTC)
        if answer.unchanged:
            return Outcome(Kind.UNCHANGED, Unchanged(wanted.video_id, at, _origin(url, answer, wanted.known)), size)
        try:
            picture = decode(answer.body)
        except ImageError as error:
            if wanted.known is not None:
                return Outcome(Kind.POSTPONED, size=size)
            return Outcome(Kind.UNREADABLE, Missing(wanted.video_id, at, str(error)), size)
        if _is_placeholder(picture, url):
            missing = missing or (f"{url[:200]} answered with YouTube's placeholder", answer.date)
            continue
        try:
            return _compare(lab, wanted, picture, answer, Origin(url, answer.etag, answer.last_modified), size)
        except OSError as error:
            return Outcome(Kind.POSTPONED, size=size, store_error=error)
    assert missing is not None  # A wanted video has at least one URL. At each URL, the picture was missing.
    problem, date = missing
    kind = Kind.UNREADABLE if wanted.known is None else Kind.GONE
    return Outcome(kind, Missing(wanted.video_id, date or datetime.now(UTC), problem), size)


def _fetch(lab: Lab, fetcher: RetryingFetcher, url: str, known: Row[Any] | None) -> FetchedAnswer:
    if known is None or known.url != url or not lab.images.has(known.sha256):
        return fetcher.get(url)
    return fetcher.get(url, etag=known.etag, last_modified=known.last_modified)


def _compare(lab: Lab, wanted: Wanted, picture: Picture, answer: FetchedAnswer, origin: Origin, size: int) -> Outcome:
    """Compare the downloaded picture with the picture that the lab has of this video. If the two pictures show
    different things, store the downloaded picture.

    A picture with exactly the same bytes is stored again, because the lab may have lost its file. Raises `OSError` if
    the image store cannot be used.
    """
    at = answer.date or datetime.now(UTC)
    known = wanted.known
    same = known is not None and still_shows(lab.images, known.sha256, picture)
    if not same or (known is not None and picture.sha256 == known.sha256):
        lab.images.put(answer.body)
    if same:
        return Outcome(Kind.UNCHANGED, Unchanged(wanted.video_id, at, origin), size)
    phash = perceptual_hash(picture.pixels)
    shown = Shown(wanted.video_id, at, picture.sha256, picture.width, picture.height, phash, origin)
    return Outcome(Kind.NEW if known is None else Kind.CHANGED, shown, size)


def _origin(url: str, answer: FetchedAnswer, known: Row[Any] | None) -> Origin:
    """Return the origin of a picture: its URL, its ETag and the time of its last change.

    An answer with status 304 may leave out the ETag and the time of the last change. If these headers are missing, the
    stored values of the known picture are used.
    """
    origin = Origin(url, answer.etag, answer.last_modified)
    if known is None:
        return origin
    return replace(origin, etag=origin.etag or known.etag, last_modified=origin.last_modified or known.last_modified)


def _is_placeholder(picture: Picture, url: str) -> bool:
    """Return whether the picture is the grey picture that YouTube sends if the requested size does not exist.

    Usually, the status of the answer already says that the size is missing.
    """
    name = urlsplit(url).path.rpartition("/")[2]
    return (picture.width, picture.height) == _PLACEHOLDER and not name.startswith(_SMALLEST)
