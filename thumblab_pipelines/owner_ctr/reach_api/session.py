"""Make HTTP calls to the YouTube Reporting API, signed in as a channel's owner.

The session gets the access tokens that the API requires. If a failed call may succeed later, the session waits and
repeats the call. The session keeps secrets out of every error.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import httpx

from thumblab_core.errors import LabError
from thumblab_core.hosts import USUAL_PORTS, is_loopback, split_authority, url_host
from thumblab_core.settings import Settings
from thumblab_pipelines.owner_ctr.reach_api.credentials import OwnerCredentials
from thumblab_pipelines.youtube.errors import ErrorKind, Refusal, YouTubeError, classify

SCOPE = "https://www.googleapis.com/auth/yt-analytics.readonly"
_REAL_ENDPOINT = "https://youtubereporting.googleapis.com/"
_LARGEST_ERROR = 64 * 2**10
"""Maximum number of bytes that are read from an error answer."""

_TIMEOUT_S = 30
_TRIES = 5
_LONGEST_WAIT_S = 60.0
_SIGN_IN = f"sign in again as the channel's owner, with the scope {SCOPE} (docs/own-channel.md)"

T = TypeVar("T")


class SignInError(YouTubeError):
    """Raised if a sign-in gave no access token.

    The session does not repeat a failed sign-in, because the library google-auth has already repeated the sign-in if
    the error was temporary.
    """


class OwnerSession:
    """A signed-in session. Only one thread may use a session.

    The session calls the real API, or the endpoint in `THUMBLAB_YOUTUBE_ENDPOINT` if this setting is set, for example
    the emulator.
    """

    def __init__(self, settings: Settings, owner: OwnerCredentials) -> None:
        import google_auth_httplib2  # type: ignore[import-untyped]
        import httplib2
        from google.oauth2.credentials import Credentials

        self.endpoint = settings.youtube_endpoint or _REAL_ENDPOINT
        self._owner = owner
        self._local = is_loopback(url_host(self.endpoint))
        self._first_wait_s = settings.youtube_first_wait_s
        self._credentials: Any = Credentials(  # type: ignore[no-untyped-call]
            None,
            refresh_token=owner.refresh_token,
            token_uri=owner.token_uri,
            client_id=owner.client_id,
            client_secret=owner.client_secret,
        )
        proxy = None if self._local else httplib2.proxy_info_from_environment
        self._http = httplib2.Http(timeout=_TIMEOUT_S, proxy_info=proxy)
        # The API never redirects, so no redirect is followed. A redirect could send the token or other secrets to
        # another host.
        self._http.follow_redirects = False
        self._token_request = google_auth_httplib2.Request(self._http)
        self._signed_http = google_auth_httplib2.AuthorizedHttp(self._credentials, http=self._http)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def build(self, name: str, version: str) -> Any:
        """Return a Google API client. This session adds the owner's access token to each request of the client."""
        from googleapiclient.discovery import build

        return build(
            name,
            version,
            http=self._signed_http,
            client_options={"api_endpoint": self.endpoint},
            static_discovery=True,
            cache_discovery=False,
        )

    def call(self, request: Any) -> dict[str, Any]:
        """Send a request that was made with a client from `build`, and return the JSON of the answer.

        Raises `YouTubeError` if the call fails.
        """
        return self._retry(lambda: self._execute(request))

    def read(self, url: str, largest: int) -> bytes:
        """Download a URL of this API. At most `largest` bytes are read.

        Raises `YouTubeError` if the call fails. Raises `LabError` if the URL does not belong to this API, or if the
        answer is larger than `largest`.
        """
        if not self._is_own(url):
            raise LabError(
                f"YouTube named {url[:100]!r} as the address of a report, but this address is not at {self.endpoint}; "
                "the "
                "report was not downloaded, because the other server would get the owner's token"
            )
        return self._retry(lambda: self._download(url, largest))

    def _execute(self, request: Any) -> dict[str, Any]:
        # request.execute() is not used, because it would log the server's error text before secrets are removed from
        # the text.
        try:
            response, content = self._signed_http.request(
                request.uri, method=request.method, body=request.body, headers=request.headers
            )
        except _connection_errors() as error:
            raise self._connection_error(error) from None
        if not 200 <= int(response.status) < 300:
            raise self._refusal_error(int(response.status), content)
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise YouTubeError(
                f"the server at {self.endpoint} does not answer like YouTube's Reporting API", ErrorKind.SERVER
            )
        return body

    def _download(self, url: str, largest: int) -> bytes:
        # The server is asked not to compress the answer. So the number of received bytes is the size of the report.
        headers = {"Accept-Encoding": "identity"}
        body = bytearray()
        try:
            self._credentials.before_request(self._token_request, "GET", url, headers)
            client = httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=not self._local)
            with client, client.stream("GET", url, headers=headers) as answer:
                ok = answer.status_code == httpx.codes.OK
                for chunk in answer.iter_raw():
                    body += chunk
                    if len(body) > (largest if ok else _LARGEST_ERROR):
                        break
        except _connection_errors() as error:
            raise self._connection_error(error) from None
        if not ok:
            raise self._refusal_error(answer.status_code, bytes(body))
        if len(body) > largest:
            raise LabError(f"a report is larger than {largest / 2**20:g} MiB; it was not imported")
        return bytes(body)

    def _is_own(self, url: str) -> bool:
        """Return whether the URL is an address of this API. No other URL may get the token."""
        try:
            requested, own = urlsplit(url), urlsplit(self.endpoint)
            return _address(requested) == _address(own)
        except ValueError:
            return False

    def _refusal_error(self, status: int, content: bytes) -> YouTubeError:
        refusal = classify(status, content, self._credentials.token or "[no token]")
        details = " ".join(part for part in (str(refusal.status), refusal.reason) if part)
        details = self._redact(details + (f": {refusal.message}" if refusal.message else ""))
        message = f"YouTube's Reporting API refused a call ({details}); {_advice(refusal, content)}"
        return YouTubeError(message, refusal.kind, refusal.reason)

    def _connection_error(self, error: Exception) -> YouTubeError:
        from google.auth.exceptions import RefreshError

        if not isinstance(error, RefreshError):
            details = self._redact(f"{type(error).__name__}: {error}")
            return YouTubeError(
                f"YouTube's Reporting API could not be reached at {self.endpoint} ({details}) and {_TRIES} tries failed; "
                "check the network and run again",
                ErrorKind.TIMEOUT,
            )
        # Only the error code of the answer is shown. The error text comes from the server and may contain anything.
        answer = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
        code = self._redact(str(answer.get("error", "no reason given")))[:60]
        if error.retryable:
            return SignInError(f"Google returned no access token ({code}); run again later", ErrorKind.SERVER, code)
        advice = _SIGN_IN
        if code in ("invalid_client", "unauthorized_client"):
            advice = "client_id and client_secret must be those of the OAuth client that the owner signed in with"
        return SignInError(f"Google refused the sign-in of the channel's owner ({code}); {advice}", ErrorKind.KEY, code)

    def _redact(self, text: str) -> str:
        return self._owner.redact(text, self._credentials.token)

    def _retry(self, attempt: Callable[[], T]) -> T:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        def may_pass(error: BaseException) -> bool:
            return isinstance(error, YouTubeError) and error.transient and not isinstance(error, SignInError)

        wait = wait_random_exponential(multiplier=self._first_wait_s, max=_LONGEST_WAIT_S)
        tries = Retrying(stop=stop_after_attempt(_TRIES), wait=wait, retry=retry_if_exception(may_pass), reraise=True)
        return tries(attempt)


def _address(url: SplitResult) -> tuple[str, str, int | None]:
    """Return the scheme, host and port of a URL. Raises `ValueError` if the URL cannot be read, or if it contains
    credentials."""
    host, port = split_authority(url.netloc)
    return url.scheme, host, port or USUAL_PORTS.get(url.scheme)


def _connection_errors() -> tuple[type[Exception], ...]:
    """Return the types of the exceptions that a call raises if it gets no answer."""
    from http.client import HTTPException

    from google.auth.exceptions import GoogleAuthError
    from httplib2 import HttpLib2Error

    return (OSError, HTTPException, HttpLib2Error, GoogleAuthError, httpx.HTTPError, httpx.InvalidURL)


def _advice(refusal: Refusal, content: bytes) -> str:
    if refusal.status == 403 and (b"accessNotConfigured" in content or b"SERVICE_DISABLED" in content):
        return "enable the YouTube Reporting API for the Google Cloud project of the OAuth client, wait a minute, run again"
    if refusal.kind is ErrorKind.DAILY_QUOTA:
        return "run again tomorrow"
    return _SIGN_IN if refusal.status in (401, 403) and refusal.kind is not ErrorKind.RATE else "run again later"
