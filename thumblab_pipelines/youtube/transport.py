"""Make calls to YouTube with google-api-python-client.

Each call is first reserved in the quota ledger. A failed call is repeated if it may succeed after a wait. Each answer
is returned together with the server's time.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from thumblab_core.hosts import is_loopback, url_host
from thumblab_pipelines.youtube.answers import Json
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError, classify, explain, redact
from thumblab_pipelines.youtube.quota import Ledger

_TIMEOUT_S = 30
_TRIES = 5
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class ApiAnswer:
    """The body of an answer, and the time of the answer by the server's clock (UTC). The counts in the body, such as
    views, are the counts at this time.
    """

    body: Json
    at: datetime


class Transport:
    """Sends calls to one endpoint. Any number of threads may share one `Transport`.

    Each thread has its own connections, because httplib2 is not thread-safe. The API key is sent in a header and never
    in a URL, because URLs appear in logs, errors and proxies.
    """

    def __init__(self, endpoint: str, secret: str, ledger: Ledger, first_wait_s: float) -> None:
        self._endpoint = endpoint
        self._secret = secret
        self._ledger = ledger
        self._first_wait_s = first_wait_s
        self._thread_local = threading.local()
        self._connections: list[Any] = []
        self._lock = threading.Lock()
        self._now: datetime | None = None

    @property
    def now(self) -> datetime:
        """The time of the server's last answer, by the server's clock (UTC)."""
        assert self._now is not None, "call fetch_server_time() first"
        return self._now

    def close(self) -> None:
        """Close the connections of every thread."""
        with self._lock:
            for http in self._connections:
                http.close()
            self._connections.clear()
        self._thread_local = threading.local()

    def call(self, bucket: str, request: Any) -> ApiAnswer:
        """Reserve a call in the quota ledger and make it. Repeat a failed call if it may succeed after a wait.

        Raises `QuotaError` if the bucket has no call left, and `YouTubeError` if the call fails.
        """
        request.headers["X-Goog-Api-Key"] = self._secret
        request.add_response_callback(self._read_server_time)

        def attempt() -> ApiAnswer:
            self._ledger.reserve(bucket, self.now)
            try:
                return self._execute(request)
            except YouTubeError as error:
                if error.kind is ErrorKind.DAILY_QUOTA:
                    raise self._ledger.exhaust(bucket, self.now) from None
                if error.kind is ErrorKind.KEY:
                    self._ledger.give_back(bucket, self.now)
                raise

        answer: ApiAnswer = self._retry(attempt)
        return answer

    def _execute(self, request: Any) -> ApiAnswer:
        from googleapiclient.errors import HttpError

        try:
            body = request.execute(http=self._http(), num_retries=0)
        except HttpError as error:
            raise self._refusal_error(error.resp, error.content) from None
        except UnicodeDecodeError:
            body = None
        except _connection_errors() as error:
            raise self._connection_error(error) from None
        if not isinstance(body, dict):  # Google's client returns the raw text of a body that is not JSON.
            raise YouTubeError(
                f"the server at {self._endpoint} does not answer like YouTube's API (no JSON); check whether a proxy "
                "or a sign-in page answers instead",
                ErrorKind.SERVER,
            )
        return ApiAnswer(body, self._thread_local.answered_at)

    def _refusal_error(self, response: Any, content: bytes) -> YouTubeError:
        refusal = classify(int(response.status), content, self._secret)
        wait = str(response.get("retry-after", ""))
        retry_after_s = float(wait) if wait.isascii() and wait.isdigit() else None
        return YouTubeError(explain(refusal, _TRIES), refusal.kind, refusal.reason, retry_after_s)

    def _connection_error(self, error: Exception) -> YouTubeError:
        details = redact(f"{type(error).__name__}: {error}", self._secret)
        return YouTubeError(
            f"YouTube could not be reached at {self._endpoint} ({details}) and {_TRIES} tries failed; check the network "
            "and run again",
            ErrorKind.TIMEOUT,
        )

    def _retry(self, attempt: Callable[[], Any]) -> Any:
        """Call the function `attempt` until it succeeds, and return its result.

        After `_TRIES` failed calls, the last error is raised. An error that is not `transient` is raised at once. The
        waits between the calls are random, up to a growing limit, so that many clients do not call again at the same
        moment. If the server names a longer wait, the server's wait is used, but never more than one minute.
        """
        from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        jitter = wait_random_exponential(multiplier=self._first_wait_s, max=_LONGEST_WAIT_S)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            requested_s = error.retry_after_s if isinstance(error, YouTubeError) and error.retry_after_s else 0.0
            return max(jitter(state), min(requested_s, _LONGEST_WAIT_S))

        return Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=wait,
            retry=retry_if_exception(lambda error: isinstance(error, YouTubeError) and error.transient),
            reraise=True,
        )(attempt)

    def _http(self) -> Any:
        """Return the HTTP client of the calling thread. Each thread has its own client."""
        http = getattr(self._thread_local, "http", None)
        if http is None:
            http = self._thread_local.http = new_http(self._endpoint)
            with self._lock:
                self._connections.append(http)
        return http

    def fetch_server_time(self) -> None:
        """Read the server's time from the `Date` header of an answer.

        The request is for a path outside the API, so it costs no quota. YouTube answers with the status 404, and even
        this answer has the header.
        """

        def attempt() -> None:
            try:
                response, _ = self._http().request(self._endpoint, "HEAD")
            except _connection_errors() as error:
                raise self._connection_error(error) from None
            self._read_server_time(response)

        self._retry(attempt)

    def _read_server_time(self, response: Any) -> None:
        try:
            at = parsedate_to_datetime(response.get("date") or "").astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            at = datetime.now(UTC)
        self._thread_local.answered_at = self._now = at


def new_http(endpoint: str) -> Any:
    """Return a new HTTP client. Each thread needs its own client, because threads cannot share connections."""
    import httplib2

    # httplib2 needs the package PySocks for proxies. If PySocks is missing and proxy settings are given, every call
    # fails, even a call to a host in `no_proxy`. So httplib2 gets no proxy settings for a loopback host.
    local = is_loopback(url_host(endpoint))
    http = httplib2.Http(timeout=_TIMEOUT_S, proxy_info=None if local else httplib2.proxy_info_from_environment)
    http.follow_redirects = False  # A redirect would send the key to another host.
    return http


def _connection_errors() -> tuple[type[Exception], ...]:
    from http.client import HTTPException

    from httplib2 import HttpLib2Error

    return (OSError, HTTPException, HttpLib2Error)
