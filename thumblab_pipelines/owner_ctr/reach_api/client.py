"""The YouTube Reporting API v1: a job that makes a report of each day's reach, and the reports it has made.

Reference: https://developers.google.com/youtube/reporting/v1/reports (read in autumn 2026). A report is kept for 60 days,
and a newer one of the same day replaces it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from thumblab_core.settings import Settings
from thumblab_pipelines.owner_ctr.reach_api.credentials import OwnerCredentials
from thumblab_pipelines.owner_ctr.reach_api.session import OwnerSession
from thumblab_pipelines.youtube.answers import Page
from thumblab_pipelines.youtube.errors import Trouble, YouTubeError
from thumblab_pipelines.youtube.paging import Paging, pages

REPORT_TYPE = "channel_reach_basic_a1"
LARGEST_REPORT = 64 * 2**20
"""Bytes; a row has about 70, so this is a million videos a day."""

_PAGE = 200


@dataclass(frozen=True)
class Job:
    """The standing order for a report a day; `new` when it was placed just now."""

    job_id: str
    created_at: datetime
    new: bool = False


@dataclass(frozen=True)
class Report:
    """A report that can be downloaded: of the day between `starts_at` and `ends_at`, as YouTube knew it at `created_at`."""

    report_id: str
    job_id: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    url: str


class ReachReports:
    """A client for one thread, signed in as the owner of a channel. Use it in a `with` block."""

    def __init__(self, session: OwnerSession) -> None:
        self._session = session
        self._jobs = session.build("youtubereporting", "v1").jobs()
        self.remarks: list[str] = []
        """Names each list that was left before its end, since YouTube did not end it."""

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Raises `LabError` when there is no sign-in that could be tried."""
        return cls(OwnerSession(settings, OwnerCredentials.of(settings)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def ensure_job(self) -> Job:
        """The channel's job for reports of reach, placed now if there is none. Raises `YouTubeError`."""
        found = self._find_job()
        if found is not None:
            return found
        body = {"reportTypeId": REPORT_TYPE, "name": "Thumbnail Lab: reach"}
        try:
            return _job(self._session.call(self._jobs.create(body=body)), new=True)
        except YouTubeError as error:
            # Another run was faster; or an answer was lost, and the second try met what the first had made.
            made_meanwhile = self._find_job()
            if made_meanwhile is None:
                raise error from None
            return made_meanwhile

    def reports(self, job: Job) -> list[Report]:
        """Every report that can be downloaded now, at most 60 days of them. Raises `YouTubeError`."""
        return [_report(item, job) for item in self._items(self._jobs.reports(), "reports", jobId=job.job_id)]

    def download(self, report: Report) -> bytes:
        """The CSV of a report. Raises `YouTubeError`, and `LabError` when its URL leads elsewhere or it is too large."""
        return self._session.read(report.url, LARGEST_REPORT)

    def _find_job(self) -> Job | None:
        now = datetime.now(UTC)
        for item in self._items(self._jobs, "jobs"):
            expired = "expireTime" in item and _moment(item["expireTime"]) < now
            if item.get("reportTypeId") == REPORT_TYPE and not expired:
                return _job(item)
        return None

    def _items(self, resource: Any, name: str, **chosen: str) -> Iterator[dict[str, Any]]:
        """Every item of a list, each id once."""

        def ask(cursor: str | None) -> Page[dict[str, Any]]:
            body = self._session.call(resource.list(pageSize=_PAGE, pageToken=cursor, **chosen))
            token = body.get("nextPageToken")
            return Page(body.get(name, []), token if isinstance(token, str) and token else None)

        paging = Paging[dict[str, Any]](f"YouTube's list of {name}", lambda item: str(item.get("id")))
        for items in pages(paging, ask):
            yield from items
        if paging.remark is not None:
            self.remarks.append(paging.remark)


def _job(item: dict[str, Any], new: bool = False) -> Job:
    try:
        return Job(str(item["id"]), _moment(item["createTime"]), new)
    except KeyError as error:
        raise _unreadable("a job", error) from None


def _report(item: dict[str, Any], job: Job) -> Report:
    try:
        starts, ends, created = (_moment(item[name]) for name in ("startTime", "endTime", "createTime"))
        return Report(str(item["id"]), job.job_id, starts, ends, created, str(item["downloadUrl"]))
    except KeyError as error:
        raise _unreadable("a report", error) from None


def _moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _unreadable("a time", error) from None


def _unreadable(what: str, error: Exception) -> YouTubeError:
    return YouTubeError(f"YouTube's Reporting API told {what} that cannot be read ({error})", Trouble.REQUEST)
