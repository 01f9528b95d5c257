"""A YouTube Data API v3 on a socket of this machine, good enough for the unmodified google-api-python-client.

Run it with `python -m demo.emulator`, or hold it in a `with` block. It serves the API below `/youtube/v3/`, the thumbnails
below `/vi/`, the Reporting API below `/v1/` and its tokens at `/token`. Its clock starts at the catalogue's `observed_at`,
stands still until `advance`, and is the `Date` of every answer.
"""

import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType

from demo.api import Api
from demo.catalogues.source import Source
from demo.clock import Clock
from demo.errors import ApiError, invalid_key, no_such_thing
from demo.faults import Fault, Faults
from demo.images import Images
from demo.messages import Reply, Request, error_reply, json_reply
from demo.quota import Quota, Style
from demo.reporting import REPORTING, ReachReport, Reporting
from demo.server import Server
from demo.wire import Wire
from demo.world import World

_API = "/youtube/v3/"
_IMAGE = "image"


@dataclass(frozen=True)
class Counts:
    """What was asked of the emulator since it started.

    `calls` has the API calls by endpoint, refused ones included; `spent` has what was paid, by quota bucket, and
    `spent_today` the part of it since the last midnight Pacific.
    """

    calls: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    spent_today: dict[str, int] = field(default_factory=dict)
    images: int = 0
    images_not_modified: int = 0
    images_missing: int = 0


class Emulator:
    """Serves a catalogue on 127.0.0.1 from a `with` block, or between `start` and `stop`.

    Args:
        catalogue: channels, videos and pictures to serve.
        port: where to listen; 0 takes a free one, see `endpoint`.
        key: the only API key accepted; None accepts any that is not empty.
        daily_units: calls a day of all endpoints that the other two do not pay for; None is unlimited. YouTube's own default
            is 10,000.
        daily_searches: search.list calls a day; None is unlimited. YouTube's own default is 100.
        daily_stats: videos.batchGetStats calls a day; None is unlimited. YouTube's own default is 10,000.
        quota_style: whether a spent quota answers 403 `quotaExceeded` or 429 RESOURCE_EXHAUSTED.
        refresh_token: the only OAuth refresh token that `/token` accepts; None accepts any that is not empty.

    `reach_reports` is what the Reporting API has to tell; it may be changed at any time.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        catalogue: Source,
        port: int = 0,
        *,
        key: str | None = None,
        daily_units: int | None = None,
        daily_searches: int | None = None,
        daily_stats: int | None = None,
        quota_style: Style = "403",
        refresh_token: str | None = None,
    ) -> None:
        self._key = key
        self._clock = Clock(catalogue.observed_at)
        self._world = World(catalogue, self._clock)
        limits = {"units": daily_units, "searches": daily_searches, "stats": daily_stats}
        self.quota = Quota(self._clock, limits, quota_style)
        self.reach_reports: list[ReachReport] = []
        self._faults = Faults()
        self._images = Images(self._world)
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._server = Server(port, self)
        base = self.endpoint.rstrip("/")
        self._api = Api(self._world, Wire(self._world, base))
        self._reporting = Reporting(self._clock, base, refresh_token)

    @property
    def endpoint(self) -> str:
        """The `api_endpoint` for the client, such as `http://127.0.0.1:8090/`."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def now(self) -> datetime:
        """The simulated moment, aware, UTC."""
        return self._clock.now

    @property
    def date(self) -> str:
        """The simulated moment as an HTTP date."""
        return self._clock.http_date

    @property
    def counts(self) -> Counts:
        """A snapshot; it does not change any more."""
        with self._lock:
            calls = dict(self._calls)
        images = self._images
        return Counts(
            calls, self.quota.spent, self.quota.spent_today, images.served, images.not_modified, images.missing
        )

    def advance(self, by: timedelta) -> None:
        """Move the clock on: views grow, and a midnight in Los Angeles brings the quotas back."""
        self._clock.advance(by)

    def inject(self, fault: Fault, *, endpoint: str | None = None, times: int | None = 1, after: int = 0) -> None:
        """Let a fault hit requests; each request takes the oldest fault that is due.

        Args:
            fault: made by a function of `demo.faults`.
            endpoint: `search`, `videos`, `videos:batchGetStats`, ...; `image`; `token`, `jobs`, `reports` or
                `download` of the Reporting API; None for any request.
            times: how many requests; None for all until `heal`.
            after: how many requests get away before.

        Raises:
            ValueError: there is no such endpoint, or a count makes no sense.
        """
        known = {_IMAGE, *REPORTING, *self._api.endpoints}
        if endpoint is not None and endpoint not in known:
            raise ValueError(f"there is no endpoint {endpoint!r}; there are {', '.join(sorted(known))}")
        self._faults.inject(fault, endpoint, times, after)

    def heal(self) -> None:
        """Take back every fault."""
        self._faults.heal()

    def remove(self, video_id: str) -> None:
        """Delete a video: it is in no list any more and its pictures are 404. KeyError for an unknown id, here and below."""
        self._world.remove(video_id)

    def make_private(self, video_id: str) -> None:
        """Hide a video: as removed, but its channel's uploads still list it as "Private video"."""
        self._world.make_private(video_id)

    def close_channel(self, channel_id: str) -> None:
        """Close a channel: it, its playlist, its videos and their pictures are gone."""
        self._world.close_channel(channel_id)

    def change_thumbnail(self, video_id: str, jpeg: bytes) -> None:
        """Put another picture at a video's addresses; OSError when it is no picture."""
        self._world.change_thumbnail(video_id, jpeg)

    def rename(self, video_id: str, title: str) -> None:
        """Give a video another title."""
        self._world.rename(video_id, title)

    def start(self) -> "Emulator":
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="emulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and hang up on every client."""
        self._stopping.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> "Emulator":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def respond(self, request: Request) -> Reply:
        """The answer to a request, with the fault that is due."""
        endpoint = _endpoint(request.path)
        fault = self._faults.take(endpoint)
        self._stopping.wait(fault.delay_s)
        try:
            if request.path.startswith(_API):
                reply = self._call(request, endpoint, fault)
            elif fault.instead is not None:
                reply = fault.instead(request)
            elif endpoint in REPORTING:
                reply = self._reporting.reply(request, endpoint, self.reach_reports)
            else:
                reply = self._image(request)
        except ApiError as error:
            reply = error_reply(error)
        return fault.upon(reply)

    def picture(self, video_id: str, file: str) -> bytes | None:
        """The thumbnail as JPEG bytes, or None where YouTube would answer 404."""
        return self._images.picture(video_id, file)

    def _call(self, request: Request, endpoint: str, fault: Fault) -> Reply:
        """An answer of the Data API; raises ApiError. Any call with a good key is paid for, unless its quota is spent."""
        with self._lock:
            self._calls[endpoint] += 1
        if fault.instead is not None and fault.unheard:
            return fault.instead(request)
        if request.method != "GET":
            raise ApiError(401, "required", "Login Required.", "global")
        if not request.key or self._key not in (None, request.key):
            raise invalid_key()
        if endpoint not in self._api.endpoints:
            raise no_such_thing()
        self.quota.spend(endpoint)
        if fault.instead is not None:
            return fault.instead(request)
        return json_reply(200, self._api.endpoints[endpoint](request.params))

    def _image(self, request: Request) -> Reply:
        match request.path.split("/"):
            case ["", "vi", video_id, file] if request.method == "GET":
                return self._images.reply(request, video_id, file, self.picture)
        raise no_such_thing()


def _endpoint(path: str) -> str:
    """What a path asks for, by the names that `inject` and `Counts.calls` know; of the Data API, whatever is named."""
    if path.startswith(_API):
        return path.removeprefix(_API)
    match path.split("/"):
        case ["", "vi", *_]:
            return _IMAGE
        case ["", "token"]:
            return "token"
        case ["", "v1", "jobs"]:
            return "jobs"
        case ["", "v1", "jobs", _, "reports"]:
            return "reports"
        case ["", "v1", "media", _]:
            return "download"
    return ""


if __name__ == "__main__":
    from demo.command import main

    sys.exit(main())
