"""The client for the YouTube Reporting API v1.

A reporting job makes one reach report for each day. YouTube keeps a report for 60 days, and may replace it by a newer
report of the same day. Reference: https://developers.google.com/youtube/reporting/v1/reports (read in autumn 2026).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from thumblab_core.settings import Settings
from thumblab_pipelines.owner_ctr.reach_api.credentials import OwnerCredentials
from thumblab_pipelines.owner_ctr.reach_api.session import OwnerSession
from thumblab_pipelines.youtube.answers import Page, next_page_token
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.paging import Paging, pages

REPORT_TYPE = "channel_reach_basic_a1"
LARGEST_REPORT = 64 * 2**20
"""Maximum size of a report in bytes. A row has about 70 bytes, so the report of a million videos is small enough."""

_PAGE = 200
"""Number of items that the lab requests from YouTube for one page of a list."""


@dataclass(frozen=True)
class Job:
    """A reporting job, which makes one report a day. `new`: whether this run created the job."""

    job_id: str
    created_at: datetime
    new: bool = False


@dataclass(frozen=True)
class Report:
    """A report that can be downloaded.

    The report covers the day from `starts_at` to `ends_at`, and YouTube made it at `created_at`.
    """

    report_id: str
    job_id: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    url: str


class ReachReports:
    """Client that is signed in as the owner of a channel. Use the client in one thread only, and in a `with` block."""

    def __init__(self, session: OwnerSession) -> None:
        self._session = session
        self._jobs = session.build("youtubereporting", "v1").jobs()
        self.remarks: list[str] = []
        """A sentence for each list from YouTube that this client did not read to its last page."""

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Return a client that signs in with the credentials file that the settings name.

        Raises `LabError` if the settings name no file, or a file that cannot be used.
        """
        return cls(OwnerSession(settings, OwnerCredentials.of(settings)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def ensure_job(self) -> Job:
        """Return the channel's job for reach reports. Create the job if there is none. Raises `YouTubeError` if a call
        fails.
        """
        job = self._find_job()
        if job is not None:
            return job
        body = {"reportTypeId": REPORT_TYPE, "name": "Thumbnail Lab: reach"}
        try:
            return _job(self._session.call(self._jobs.create(body=body)), new=True)
        except YouTubeError as error:
            # The job may exist in spite of the error. Another run may have created the job. Or this call created the
            # job, but its answer was lost.
            job = self._find_job()
            if job is None:
                raise error from None
            return job

    def reports(self, job: Job) -> list[Report]:
        """Return every report that YouTube still keeps. YouTube keeps a report for 60 days. Raises `YouTubeError` if a
        call fails.
        """
        return [_report(item, job) for item in self._items(self._jobs.reports(), "reports", jobId=job.job_id)]

    def download(self, report: Report) -> bytes:
        """Download the CSV of a report.

        Raises `YouTubeError` if the call fails. Raises `LabError` if the report's URL is not a URL of this API, or if
        the report is too large.
        """
        return self._session.read(report.url, LARGEST_REPORT)

    def _find_job(self) -> Job | None:
        now = datetime.now(UTC)
        for item in self._items(self._jobs, "jobs"):
            expired = "expireTime" in item and _timestamp(item["expireTime"]) < now
            if item.get("reportTypeId") == REPORT_TYPE and not expired:
                return _job(item)
        return None

    def _items(self, resource: Any, name: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """Yield each item of the API's list `name` once. `parameters` are sent with every request for a page of the
        list.
        """

        def ask(cursor: str | None) -> Page[dict[str, Any]]:
            body = self._session.call(resource.list(pageSize=_PAGE, pageToken=cursor, **parameters))
            return Page(body.get(name, []), next_page_token(body))

        paging = Paging[dict[str, Any]](f"YouTube's list of {name}", lambda item: str(item.get("id")))
        for items in pages(paging, ask):
            yield from items
        if paging.remark is not None:
            self.remarks.append(paging.remark)


def _job(item: dict[str, Any], new: bool = False) -> Job:
    try:
        return Job(str(item["id"]), _timestamp(item["createTime"]), new)
    except KeyError as error:
        raise _unreadable_error("a job", error) from None


def _report(item: dict[str, Any], job: Job) -> Report:
    try:
        starts, ends, created = (_timestamp(item[name]) for name in ("startTime", "endTime", "createTime"))
        return Report(str(item["id"]), job.job_id, starts, ends, created, str(item["downloadUrl"]))
    except KeyError as error:
        raise _unreadable_error("a report", error) from None


def _timestamp(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _unreadable_error("a time", error) from None


def _unreadable_error(what: str, error: Exception) -> YouTubeError:
    return YouTubeError(f"YouTube's Reporting API sent {what} that cannot be read ({error})", ErrorKind.REQUEST)
