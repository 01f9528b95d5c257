"""A YouTube Data API v3 on a socket of this machine, good enough for the unmodified google-api-python-client.

Run it with `python -m demo.emulator`, or hold it in a `with` block. It serves the API below `/youtube/v3/` and the
thumbnails below `/vi/`. Its clock is the catalogue's `observed_at`, stands still, and is the `Date` of every answer.
"""

import argparse
import contextlib
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType

from demo.api import Api
from demo.catalogue import Catalogue, read_catalogue
from demo.pictures import render
from demo.server import Server
from demo.synthetic import synthetic_catalogue
from demo.wire import ApiError, Json, Wire
from thumblab_core.errors import LabError

_EXCEEDED = (
    "The request cannot be completed because you have exceeded your "
    '<a href="/youtube/v3/getting-started#quota">quota</a>.'
)


@dataclass(frozen=True)
class Counts:
    """What was asked of the emulator since it started. `calls` has the API calls by endpoint, refused ones included."""

    calls: dict[str, int] = field(default_factory=dict)
    units: int = 0
    images: int = 0
    images_missing: int = 0


class Emulator:
    """Serves a catalogue on 127.0.0.1 from a `with` block, or between `start` and `stop`.

    Args:
        catalogue: channels, videos and pictures to serve.
        port: where to listen; 0 takes a free one, see `endpoint`.
        key: the only API key accepted; None accepts any that is not empty.
        daily_units: quota of all endpoints but search, one unit a call; None is unlimited. YouTube's own default is 10,000.
        daily_searches: quota of search calls; None is unlimited. YouTube's own default is 100.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        port: int = 0,
        *,
        key: str | None = None,
        daily_units: int | None = None,
        daily_searches: int | None = None,
    ) -> None:
        self._key = key
        self._daily_units = daily_units
        self._daily_searches = daily_searches
        self._catalogue = catalogue
        self._date = format_datetime(catalogue.observed_at.replace(microsecond=0), usegmt=True)
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._images: Counter[bool] = Counter()
        self._spent: Counter[str] = Counter()
        self._server = Server(port, self)
        self._thread: threading.Thread | None = None
        self._api = Api(catalogue, Wire(catalogue, self.endpoint.rstrip("/")))

    @property
    def endpoint(self) -> str:
        """The `api_endpoint` for the client, such as `http://127.0.0.1:8090/`."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def date(self) -> str:
        """The frozen clock as an HTTP date."""
        return self._date

    @property
    def counts(self) -> Counts:
        """A snapshot; it does not change any more."""
        with self._lock:
            units = self._spent["units"] + self._spent["searches"]
            return Counts(dict(self._calls), units, self._images[True], self._images[False])

    def reset_quota(self) -> None:
        """What midnight Pacific does for the real one; this one's clock never gets there."""
        with self._lock:
            self._spent.clear()

    def start(self) -> "Emulator":
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="emulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and hang up on every client."""
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

    def answer(self, endpoint: str, params: dict[str, list[str]]) -> Json:
        """The API's answer to a query; raises ApiError. Any call with a good key costs its unit."""
        with self._lock:
            self._calls[endpoint] += 1
        key = params.get("key", [""])[-1]
        if not key or (self._key is not None and key != self._key):
            raise ApiError(400, "keyInvalid", "API key not valid. Please pass a valid API key.", "usageLimits")
        if endpoint not in self._api.endpoints:
            raise ApiError(404, "notFound", "The requested resource cannot be found.", "global")
        self._spend(endpoint)
        return self._api.endpoints[endpoint](params)

    def picture(self, video_id: str, file: str) -> bytes | None:
        """The thumbnail as JPEG bytes, or None where YouTube would answer 404."""
        try:
            picture = render(self._catalogue.image(video_id), file)
        except (KeyError, OSError):
            picture = None
        with self._lock:
            self._images[picture is not None] += 1
        return picture

    def _spend(self, endpoint: str) -> None:
        bucket, limit = ("searches", self._daily_searches) if endpoint == "search" else ("units", self._daily_units)
        with self._lock:
            if limit is not None and self._spent[bucket] >= limit:
                raise ApiError(403, "quotaExceeded", _EXCEEDED, "youtube.quota")
            self._spent[bucket] += 1


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.emulator", description="A YouTube Data API v3 for the lab.")
    parser.add_argument("--catalogue", type=Path, metavar="DIR", help="a folder with videos.csv and its images")
    parser.add_argument("--port", type=int, default=8090, help="where to listen on 127.0.0.1 (default: %(default)s)")
    parser.add_argument(
        "--videos", type=int, default=1800, help="videos of the synthetic catalogue (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    try:
        catalogue = read_catalogue(chosen.catalogue) if chosen.catalogue else synthetic_catalogue(chosen.videos)
        emulator = Emulator(catalogue, chosen.port)
    except (LabError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, OverflowError) as error:
        print(f"Port {chosen.port} cannot be used: {error}. Choose another with --port.", file=sys.stderr)
        return 1
    with emulator:
        print(
            f"YouTube emulator on {emulator.endpoint} with {len(catalogue.videos)} videos of {len(catalogue.channels)} "
            f"channels, seen at {emulator.date}. Any API key will do. Ctrl-C stops it.",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
