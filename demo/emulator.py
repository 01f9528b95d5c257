"""An emulator of the YouTube Data API v3 on a local socket.

The emulator works with an unmodified google-api-python-client.

Run the emulator with `python -m demo.emulator`, or use the class `Emulator` as a context manager. The emulator serves
the Data API below `/youtube/v3/`, the thumbnails below `/vi/`, the Reporting API below `/v1/`, and OAuth tokens at
`/token`.

The emulator has its own clock, which gives the `Date` of every answer. The clock starts at the catalogue's
`observed_at`, and moves only when `advance` is called.
"""

import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Unpack

from demo.api import Api
from demo.catalogues.source import Source
from demo.clock import Clock
from demo.errors import ApiError, invalid_key, not_found
from demo.faults import Fault, Faults
from demo.images import Images
from demo.messages import Reply, Request, error_reply, json_reply
from demo.quota import Quota, QuotaOptions
from demo.reporting import REPORTING, ReachReport, Reporting
from demo.server import Server
from demo.wire import Wire
from demo.world import World

_API = "/youtube/v3/"
_IMAGE = "image"


@dataclass(frozen=True)
class Counts:
    """The numbers of requests that the emulator received since it was created.

    `calls` has the calls of the Data API by endpoint, including refused calls. `spent` has the calls charged to each
    quota bucket. `spent_today` has the calls charged since the last midnight in Los Angeles.

    `images` is the number of thumbnails that were sent. For requests for thumbnails, `images_not_modified` is the
    number of answers with status 304, and `images_missing` is the number of answers with status 404.
    """

    calls: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    spent_today: dict[str, int] = field(default_factory=dict)
    images: int = 0
    images_not_modified: int = 0
    images_missing: int = 0


class Emulator:
    """A server that serves a catalogue on 127.0.0.1. The server runs in a `with` block, or from `start` to `stop`.

    Args:
        catalogue: the channels, videos and pictures to serve.
        port: the port to listen on. If it is 0, a free port is chosen, which is then part of `endpoint`.
        key: the only API key that is accepted. If it is None, any key is accepted that is not empty.
        refresh_token: the only OAuth refresh token that `/token` accepts. If it is None, any token is accepted that is
            not empty.
        quota: the fields of `QuotaOptions` as keyword arguments: `daily_units`, `daily_searches`, `daily_stats` and
            `quota_style`.

    `reach_reports` contains the reports of the Reporting API and may be changed at any time.

    Raises:
        OSError: the port is in use.
    """

    def __init__(
        self,
        catalogue: Source,
        port: int = 0,
        *,
        key: str | None = None,
        refresh_token: str | None = None,
        **quota: Unpack[QuotaOptions],
    ) -> None:
        self._key = key
        self._clock = Clock(catalogue.observed_at)
        self._world = World(catalogue, self._clock)
        self.quota = Quota(self._clock, quota)
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
        """The address of the emulator, such as `http://127.0.0.1:8090/`.

        Give this address to the client as `api_endpoint`.
        """
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def now(self) -> datetime:
        """The simulated time, in UTC."""
        return self._clock.now

    @property
    def date(self) -> str:
        """The simulated time as an HTTP date."""
        return self._clock.http_date

    @property
    def counts(self) -> Counts:
        """The numbers of requests until now. The returned object does not count later requests."""
        with self._lock:
            calls = dict(self._calls)
        images = self._images
        return Counts(
            calls, self.quota.spent, self.quota.spent_today, images.served, images.not_modified, images.missing
        )

    def advance(self, by: timedelta) -> None:
        """Move the clock forward. Views grow with the time, and midnight in Los Angeles resets the quotas.

        If the catalogue planned changes of thumbnails for the time that passes, this method makes these changes.
        """
        before = self._clock.now
        self._clock.advance(by)
        self._world.apply_changes(before)

    def inject(self, fault: Fault, *, endpoint: str | None = None, times: int | None = 1, after: int = 0) -> None:
        """Apply a fault to later requests. If several faults match a request, the request gets the fault that was
        injected first.

        Args:
            fault: a fault that one of the functions of `demo.faults` returned.
            endpoint: the endpoint whose requests get the fault, or None for all requests. The endpoint can belong to
                the Data API, such as `search` or `videos:batchGetStats`. The endpoint can also be `token`, `jobs`,
                `reports` or `download` of the Reporting API. `image` stands for thumbnails.
            times: the number of requests that get the fault. With None, all requests get the fault until `heal` is
                called.
            after: the number of requests that are skipped before the first request with the fault.

        Raises:
            ValueError: the endpoint is unknown, `times` is below 1 or `after` is below 0.
        """
        known = {_IMAGE, *REPORTING, *self._api.endpoints}
        if endpoint is not None and endpoint not in known:
            raise ValueError(f"there is no endpoint {endpoint!r}; use one of {', '.join(sorted(known))}")
        self._faults.inject(fault, endpoint, times, after)

    def heal(self) -> None:
        """Remove all injected faults."""
        self._faults.heal()

    def remove(self, video_id: str) -> None:
        """Delete a video.

        No list contains the video any more, and requests for its pictures get status 404. Raise KeyError for an unknown
        id. The methods `make_private`, `close_channel`, `change_thumbnail` and `rename` also raise KeyError.
        """
        self._world.remove(video_id)

    def make_private(self, video_id: str) -> None:
        """Hide a video as `remove` does, but keep it in the uploads of its channel with the title "Private video"."""
        self._world.make_private(video_id)

    def close_channel(self, channel_id: str) -> None:
        """Close a channel. The channel, its playlist, its videos and their pictures disappear."""
        self._world.close_channel(channel_id)

    def change_thumbnail(self, video_id: str, jpeg: bytes) -> None:
        """Replace the picture of a video. Raise OSError if the bytes are not a picture.

        The new picture changes how fast the video gains views if two conditions hold. The catalogue drew this picture,
        and `views_follow_changes` of the catalogue's planted effects is true.
        """
        self._world.change_thumbnail(video_id, jpeg)

    def rename(self, video_id: str, title: str) -> None:
        """Change the title of a video."""
        self._world.rename(video_id, title)

    def start(self) -> "Emulator":
        """Start to serve in a new thread, and return the emulator."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="emulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and close every connection."""
        self._stopping.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> "Emulator":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def respond(self, request: Request) -> Reply:
        """Return the answer to a request. If an injected fault matches the request, apply the fault."""
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
        """Return a thumbnail as JPEG bytes, or None if YouTube would answer with status 404."""
        return self._images.picture(video_id, file)

    def _call(self, request: Request, endpoint: str, fault: Fault) -> Reply:
        """Answer a call of the Data API, or raise ApiError.

        A call costs quota if its key is valid and its endpoint exists, even if the answer is an error. A call costs no
        quota if the quota is used up already, or if a fault refuses the call before it is counted.
        """
        with self._lock:
            self._calls[endpoint] += 1
        if fault.instead is not None and fault.unpaid:
            return fault.instead(request)
        if request.method != "GET":
            raise ApiError(401, "required", "Login Required.", "global")
        if not request.key or self._key not in (None, request.key):
            raise invalid_key()
        if endpoint not in self._api.endpoints:
            raise not_found()
        self.quota.spend(endpoint)
        if fault.instead is not None:
            return fault.instead(request)
        return json_reply(200, self._api.endpoints[endpoint](request.params))

    def _image(self, request: Request) -> Reply:
        match request.path.split("/"):
            case ["", "vi", video_id, file] if request.method == "GET":
                return self._images.reply(request, video_id, file, self.picture)
        raise not_found()


def _endpoint(path: str) -> str:
    """Return the name of the endpoint that a path belongs to. `inject` and `Counts.calls` use these names.

    For a path of the Data API, the name is the part after `/youtube/v3/`, even if the API has no endpoint of this name.
    For an unknown path, the name is an empty text.
    """
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
