"""Serve thumbnails over HTTP.

An answer has an `ETag` and a `Last-Modified` header. A client that has the current picture gets status 304. A request
for a missing picture gets status 404 and a small JPEG.
"""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from demo.clock import http_date
from demo.etags import etag as make_etag
from demo.messages import JPEG, Reply, Request
from demo.pictures import missing, offered_sizes, render
from demo.world import World

_SERVED, _NOT_MODIFIED, _MISSING = "served", "not modified", "missing"


class Images:
    """Answers the requests for the pictures of videos, `/vi/<video>/<file>`, and counts its answers.

    Args:
        world: the videos and their pictures.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def served(self) -> int:
        return self._counts[_SERVED]

    @property
    def not_modified(self) -> int:
        return self._counts[_NOT_MODIFIED]

    @property
    def missing(self) -> int:
        return self._counts[_MISSING]

    def picture(self, video_id: str, file: str) -> bytes | None:
        """Return a thumbnail as JPEG bytes.

        Return None if the video does not exist, has no thumbnail of this size, or has no readable picture.
        """
        try:
            return render(self._world.image(video_id), file)
        except (KeyError, OSError):
            return None

    def reply(self, request: Request, video_id: str, file: str, picture: Callable[[str, str], bytes | None]) -> Reply:
        """Return the answer to a request for the file `file` of a video.

        `picture` is a function that returns the thumbnail for a video id and a file name. The function `picture` is
        called only if the client does not have the current picture.
        """
        video = self._world.video(video_id)
        headers = {}
        if video is not None and file in self._offered(video_id):
            version, since = self._world.image_version(video)
            etag = f'"{make_etag(video_id, file, version)}"'
            headers = {"ETag": etag, "Last-Modified": http_date(since)}
            if _unchanged(request, etag, since):
                self._count(_NOT_MODIFIED)
                return Reply(304, JPEG, b"", headers)
        body = picture(video_id, file)
        self._count(_MISSING if body is None else _SERVED)
        return Reply(404, JPEG, missing()) if body is None else Reply(200, JPEG, body, headers)

    def _offered(self, video_id: str) -> set[str]:
        return {size.file for size in offered_sizes(*self._world.image_size(video_id)).values()}

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._counts[outcome] += 1


def _unchanged(request: Request, etag: str, since: datetime) -> bool:
    """Return whether the client has the current picture already.

    If the request has `If-None-Match`, `If-Modified-Since` is ignored (RFC 9110, 13.2.2).
    """
    if client_tags := request.headers.get("If-None-Match"):
        return client_tags.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in client_tags.split(",")]
    try:
        client_date = parsedate_to_datetime(request.headers.get("If-Modified-Since", ""))
    except ValueError:
        return False
    return since.replace(microsecond=0) <= (client_date if client_date.tzinfo else client_date.replace(tzinfo=UTC))
