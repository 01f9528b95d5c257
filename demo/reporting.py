"""The YouTube Reporting API v1, as far as an owner's click-through rates need it, and the OAuth endpoint before it.

A client sends a refresh token to `POST /token`, makes a job of the reach report, lists the job's reports and downloads
them as CSV. Every report that the emulator has is in every job.
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

from demo import params as read
from demo.clock import PACIFIC, Clock
from demo.errors import STATUS_NAMES, Json
from demo.messages import Reply, Request, json_reply

REPORTING = ("token", "jobs", "reports", "download")
"""The endpoints' names."""

REACH = "channel_reach_basic_a1"
"""The one report type that is offered."""

COLUMNS = ("date", "channel_id", "video_id", "video_thumbnail_impressions", "video_thumbnail_impressions_ctr")
"""`date` is YYYYMMDD and the rate a fraction."""

_SCOPE = "https://www.googleapis.com/auth/yt-analytics.readonly"
_LIFE = timedelta(seconds=3599)
_PAGE = 50


@dataclass(frozen=True)
class ReachReport:
    """A report from the start of one Pacific day to the start of another, as CSV text; `created` None is at its end."""

    start: date
    end: date
    csv: str
    created: datetime | None = None

    @property
    def created_at(self) -> datetime:
        return self.created or _midnight(self.end)


def reach_csv(rows: Iterable[tuple[date, str, str, int, float]]) -> str:
    """CSV text of rows of day, channel id, video id, impressions and click-through rate (a fraction)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([f"{day:%Y%m%d}", *rest] for day, *rest in rows)
    return text.getvalue()


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Reporting:
    """Tokens, jobs and reports.

    Args:
        clock: tokens expire by it.
        base: where the downloads are, such as `http://127.0.0.1:8090`.
        refresh_token: the only one accepted; None accepts any that is not empty.
    """

    def __init__(self, clock: Clock, base: str, refresh_token: str | None) -> None:
        self._clock = clock
        self._base = base
        self._refresh_token = refresh_token
        self._tokens: dict[str, datetime] = {}  # until when each is good
        self._jobs: dict[str, Json] = {}
        self._lock = threading.Lock()

    def reply(self, request: Request, endpoint: str, reports: Sequence[ReachReport]) -> Reply:
        """The answer of one of `REPORTING`."""
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
        sent = form.get("refresh_token")
        if not sent or self._refresh_token not in (None, sent):
            message = "Token has been expired or revoked."
            return json_reply(400, {"error": "invalid_grant", "error_description": message})
        with self._lock:
            token = "ya29." + hashlib.sha256(f"{sent}/{len(self._tokens)}".encode()).hexdigest()
            self._tokens[token] = self._clock.now + _LIFE
        life = int(_LIFE.total_seconds())
        return json_reply(200, {"access_token": token, "expires_in": life, "scope": _SCOPE, "token_type": "Bearer"})

    def _authorize(self, request: Request) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        until = self._tokens.get(token)
        if kind != "Bearer" or until is None or self._clock.now >= until:
            raise _RefusedError(401, "Request had invalid authentication credentials.")

    def _make_job(self, request: Request) -> Json:
        try:
            wanted = json.loads(request.body)
            report_type, name = wanted["reportTypeId"], wanted["name"]
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
        found = [
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
        size, start = _count(request, "pageSize", _PAGE), _count(request, "pageToken", 0)
        more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        return {"reports": found[start : start + size], **more} if found else {}

    def _download(self, name: str, reports: Sequence[ReachReport]) -> Reply:
        if not name.isdigit() or not 1 <= int(name) <= len(reports):
            raise _RefusedError(404, "The report does not exist.")
        return Reply(200, "text/csv; charset=UTF-8", reports[int(name) - 1].csv.encode())


def _moment(request: Request, name: str) -> datetime | None:
    text = read.one(request.params, name)
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise _RefusedError(400, f"Invalid value at '{name}'.") from None


def _count(request: Request, name: str, default: int) -> int:
    text = read.one(request.params, name)
    if text and not text.isdigit():
        raise _RefusedError(400, f"Invalid value at '{name}'.")
    return int(text) if text and int(text) else default


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), PACIFIC).astimezone(UTC)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
