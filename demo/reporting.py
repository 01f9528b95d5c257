"""The endpoints with which the owner of a channel gets its click-through rates.

The endpoints emulate the YouTube Reporting API v1.

A client sends a refresh token to `POST /token`, and gets an access token. The client creates a job for the reach
report, which contains click-through rates. The client then lists the reports of the job, and downloads them as CSV. In
this emulator, every job lists all reports.
"""

import csv
import hashlib
import io
import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import parse_qs

from demo import params as query_params
from demo.clock import PACIFIC, Clock
from demo.errors import STATUS_NAMES, Json
from demo.messages import Reply, Request, json_reply

REPORTING = ("token", "jobs", "reports", "download")
"""The names of the endpoints of this module."""

REACH = "channel_reach_basic_a1"
"""The report type that has click-through rates. The emulator offers no other type."""

COLUMNS = ("date", "channel_id", "video_id", "video_thumbnail_impressions", "video_thumbnail_impressions_ctr")
"""The columns of a report. `date` has the format YYYYMMDD. The last column is the click-through rate, a fraction."""

_SCOPE = "https://www.googleapis.com/auth/yt-analytics.readonly"
_TOKEN_LIFETIME = timedelta(seconds=3599)
_PAGE_SIZE = 50
"""The number of reports on a page, if the client does not ask for another number."""


@dataclass(frozen=True)
class ReachReport:
    """A report as CSV text. The report covers the time from the start of the day `start` to the start of the day `end`.

    A day is a calendar day in Los Angeles. `created` is the time at which YouTube made the report. If `created` is
    None, YouTube made the report at the start of the day `end`.
    """

    start: date
    end: date
    csv: str
    created: datetime | None = None

    @property
    def created_at(self) -> datetime:
        """The time at which YouTube made the report."""
        return self.created or _midnight(self.end)


def reach_csv(rows: Iterable[tuple[date, str, str, int, float]]) -> str:
    """Return rows as CSV text with a header.

    Each row contains the day, the channel id, the video id, the impressions, and the click-through rate as a fraction.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([f"{day:%Y%m%d}", *rest] for day, *rest in rows)
    return buffer.getvalue()


class _RefusedError(Exception):
    """An error that is sent to the client, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Reporting:
    """The endpoints for tokens, jobs and reports.

    Args:
        clock: the clock by which access tokens expire.
        base: the start of the addresses of downloads, such as `http://127.0.0.1:8090`.
        refresh_token: the only refresh token that is accepted. If it is None, any token is accepted that is not empty.
    """

    def __init__(self, clock: Clock, base: str, refresh_token: str | None) -> None:
        self._clock = clock
        self._base = base
        self._refresh_token = refresh_token
        self._tokens: dict[str, datetime] = {}
        """The time at which each access token expires."""
        self._jobs: dict[str, Json] = {}
        self._lock = threading.Lock()

    def reply(self, request: Request, endpoint: str, reports: Sequence[ReachReport]) -> Reply:
        """Return the answer to a request for one of the endpoints in `REPORTING`."""
        if endpoint == "token":
            return self._token(request)
        try:
            self._authorize(request)
            if endpoint == "jobs":
                return json_reply(200, self._make_job(request) if request.method == "POST" else self._list_jobs())
            if endpoint == "reports":
                return json_reply(200, self._list_reports(request, request.path.split("/")[3], reports))
            return self._download(request.path.rpartition("/")[2], reports)
        except _RefusedError as refused:
            error = {"code": refused.status, "message": str(refused), "status": STATUS_NAMES[refused.status]}
            return json_reply(refused.status, {"error": error})

    def _token(self, request: Request) -> Reply:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if request.method != "POST" or form.get("grant_type") != "refresh_token":
            return json_reply(400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"})
        if not form.get("client_id") or not form.get("client_secret"):
            return json_reply(401, {"error": "invalid_client", "error_description": "The OAuth client was not found."})
        refresh_token = form.get("refresh_token")
        if not refresh_token or self._refresh_token not in (None, refresh_token):
            message = "Token has been expired or revoked."
            return json_reply(400, {"error": "invalid_grant", "error_description": message})
        with self._lock:
            token = "ya29." + hashlib.sha256(f"{refresh_token}/{len(self._tokens)}".encode()).hexdigest()
            self._tokens[token] = self._clock.now + _TOKEN_LIFETIME
        lifetime_s = int(_TOKEN_LIFETIME.total_seconds())
        return json_reply(
            200, {"access_token": token, "expires_in": lifetime_s, "scope": _SCOPE, "token_type": "Bearer"}
        )

    def _authorize(self, request: Request) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        expires_at = self._tokens.get(token)
        if kind != "Bearer" or expires_at is None or self._clock.now >= expires_at:
            raise _RefusedError(401, "Request had invalid authentication credentials.")

    def _make_job(self, request: Request) -> Json:
        try:
            job = json.loads(request.body)
            report_type, name = job["reportTypeId"], job["name"]
        except (ValueError, KeyError, TypeError):
            raise _RefusedError(400, "A job needs a reportTypeId and a name.") from None
        if report_type != REACH:
            raise _RefusedError(400, f"The report type {report_type} does not exist.")
        with self._lock:
            if self._jobs:
                raise _RefusedError(409, "A job for this report type exists already.")
            job_id = hashlib.sha256(REACH.encode()).hexdigest()[:32]
            self._jobs[job_id] = {
                "id": job_id,
                "reportTypeId": report_type,
                "name": name,
                "createTime": _time(self._clock.now),
            }
            return self._jobs[job_id]

    def _list_jobs(self) -> Json:
        return {"jobs": list(self._jobs.values())} if self._jobs else {}

    def _list_reports(self, request: Request, job_id: str, reports: Sequence[ReachReport]) -> Json:
        if job_id not in self._jobs:
            raise _RefusedError(404, "The job does not exist.")
        after = _moment(request, "createdAfter")
        since, before = _moment(request, "startTimeAtOrAfter"), _moment(request, "startTimeBefore")
        listed = [
            {
                "id": str(number),
                "jobId": job_id,
                "startTime": _time(_midnight(report.start)),
                "endTime": _time(_midnight(report.end)),
                "createTime": _time(report.created_at),
                "downloadUrl": f"{self._base}/v1/media/{number}?alt=media",
            }
            for number, report in enumerate(reports, 1)
            if (after is None or report.created_at > after)
            and (since is None or _midnight(report.start) >= since)
            and (before is None or _midnight(report.start) < before)
        ]
        size, start = _count(request, "pageSize", _PAGE_SIZE), _count(request, "pageToken", 0)
        next_page = {"nextPageToken": str(start + size)} if start + size < len(listed) else {}
        return {"reports": listed[start : start + size], **next_page} if listed else {}

    def _download(self, name: str, reports: Sequence[ReachReport]) -> Reply:
        if not name.isdigit() or not 1 <= int(name) <= len(reports):
            raise _RefusedError(404, "The report does not exist.")
        return Reply(200, "text/csv; charset=UTF-8", reports[int(name) - 1].csv.encode())


def _moment(request: Request, name: str) -> datetime | None:
    text = query_params.text(request.params, name)
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise _RefusedError(400, f"Invalid value at '{name}'.") from None


def _count(request: Request, name: str, default: int) -> int:
    text = query_params.text(request.params, name)
    if text and not text.isdigit():
        raise _RefusedError(400, f"Invalid value at '{name}'.")
    return int(text) if text and int(text) else default


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), PACIFIC).astimezone(UTC)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
