"""Making a call over google-api-python-client: reserved first, made again where waiting helps, dated by the server."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from thumblab_core.hosts import is_loopback
from thumblab_pipelines.youtube.answers import Json
from thumblab_pipelines.youtube.errors import Trouble, YouTubeError, classify, explain, redact
from thumblab_pipelines.youtube.quota import Ledger

_TIMEOUT_S = 30
_TRIES = 5
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class Answer:
    """The body of one answer, and when the server says it was given (the moment its counts were true)."""

    body: Json
    at: datetime


class Transport:
    """The way to one endpoint. Any number of threads may share it: httplib2 is not safe between them, so each has its own
    connections.

    The API key travels in a header. URLs end up in logs, errors and proxies; this one never holds a secret.
    """

    def __init__(self, endpoint: str, secret: str, ledger: Ledger, first_wait_s: float) -> None:
        self._endpoint = endpoint
        self._secret = secret
        self._ledger = ledger
        self._first_wait_s = first_wait_s
        self._of_thread = threading.local()
        self._opened: list[Any] = []
        self._lock = threading.Lock()
        self._clock: datetime | None = None

    @property
    def now(self) -> datetime:
        """The server's time as of its last answer (UTC)."""
        assert self._clock is not None, "ask_the_time() comes first"
        return self._clock

    def close(self) -> None:
        """Close the connections of every thread."""
        with self._lock:
            for http in self._opened:
                http.close()
            self._opened.clear()
        self._of_thread = threading.local()

    def call(self, bucket: str, request: Any) -> Answer:
        """Reserve the call, make it, and try again where waiting helps. Raises `YouTubeError` or `QuotaError`."""
        request.headers["X-Goog-Api-Key"] = self._secret
        request.add_response_callback(self._read_clock)

        def once() -> Answer:
            self._ledger.reserve(bucket, self.now)
            try:
                return self._execute(request)
            except YouTubeError as error:
                if error.trouble is Trouble.DAILY_QUOTA:
                    raise self._ledger.exhaust(bucket, self.now) from None
                if error.trouble is Trouble.KEY:
                    self._ledger.give_back(bucket, self.now)
                raise

        answer: Answer = self._patiently(once)
        return answer

    def _execute(self, request: Any) -> Answer:
        from googleapiclient.errors import HttpError

        try:
            body = request.execute(http=self._http(), num_retries=0)
        except HttpError as error:
            raise self._refused(error.resp, error.content) from None
        except UnicodeDecodeError:
            body = None
        except _unreachable() as error:
            raise self._lost(error) from None
        if not isinstance(body, dict):  # what is no JSON is handed through as it came
            raise YouTubeError(
                f"what answers at {self._endpoint} does not speak YouTube's API (no JSON); is a proxy or a sign-in page "
                "in between?",
                Trouble.SERVER,
            )
        return Answer(body, self._of_thread.answered_at)

    def _refused(self, response: Any, content: bytes) -> YouTubeError:
        refusal = classify(int(response.status), content, self._secret)
        wait = str(response.get("retry-after", ""))
        retry_after_s = float(wait) if wait.isascii() and wait.isdigit() else None
        return YouTubeError(explain(refusal, _TRIES), refusal.trouble, refusal.reason, retry_after_s)

    def _lost(self, error: Exception) -> YouTubeError:
        said = redact(f"{type(error).__name__}: {error}", self._secret)
        return YouTubeError(
            f"YouTube could not be reached at {self._endpoint} ({said}), also at try {_TRIES}; check the network and run "
            "again",
            Trouble.TIMEOUT,
        )

    def _patiently(self, once: Callable[[], Any]) -> Any:
        """Full jitter between tries, as the clients of many runs must not come back in step; never less than was asked."""
        from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        jitter = wait_random_exponential(multiplier=self._first_wait_s, max=_LONGEST_WAIT_S)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after_s if isinstance(error, YouTubeError) and error.retry_after_s else 0.0
            return max(jitter(state), min(asked, _LONGEST_WAIT_S))

        return Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=wait,
            retry=retry_if_exception(lambda error: isinstance(error, YouTubeError) and error.transient),
            reraise=True,
        )(once)

    def _http(self) -> Any:
        """The connections of this thread."""
        http = getattr(self._of_thread, "http", None)
        if http is None:
            http = self._of_thread.http = new_http(self._endpoint)
            with self._lock:
                self._opened.append(http)
        return http

    def ask_the_time(self) -> None:
        """Any answer has a date, also the 404 of a path that is no part of the API; it costs no quota."""

        def once() -> None:
            try:
                response, _ = self._http().request(self._endpoint, "HEAD")
            except _unreachable() as error:
                raise self._lost(error) from None
            self._read_clock(response)

        self._patiently(once)

    def _read_clock(self, response: Any) -> None:
        try:
            at = parsedate_to_datetime(response.get("date") or "").astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            at = datetime.now(UTC)
        self._of_thread.answered_at = self._clock = at


def new_http(endpoint: str) -> Any:
    """Connections for one thread."""
    import httplib2

    # httplib2 wants support for proxies as soon as one is set, also where `no_proxy` says that none is used.
    local = is_loopback(urlsplit(endpoint).hostname or "")
    http = httplib2.Http(timeout=_TIMEOUT_S, proxy_info=None if local else httplib2.proxy_info_from_environment)
    http.follow_redirects = False  # the key would follow them, to whatever host they name
    return http


def _unreachable() -> tuple[type[Exception], ...]:
    from http.client import HTTPException

    from httplib2 import HttpLib2Error

    return (OSError, HTTPException, HttpLib2Error)
