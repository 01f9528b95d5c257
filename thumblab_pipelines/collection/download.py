"""Download the thumbnails that the library lacks, and ask for those it has again: creators change them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Row, and_, case, func, select, update

from thumblab_core.database.tables import thumbnail_versions, thumbnails, videos
from thumblab_core.errors import LabError
from thumblab_core.fetch import Answer, Fetcher, FetchError, RefusedError
from thumblab_core.images import ImageError, Picture, decode
from thumblab_core.images.perceptual import near_duplicates, perceptual_hash
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.retrying_fetch import RetryingFetcher
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.versions import Missing, Origin, Shown, Sighting, Unchanged, record, still_shows

_BATCH = 64
_THREADS = 8
_GONE = {404, 410}
_PLACEHOLDER = (120, 90)
_SMALLEST = "default"

_YOUNG = timedelta(days=14)
_DAILY = timedelta(days=1)
_EARLY = timedelta(hours=4)
"""A daily run comes a little sooner after the last download than a day."""


@dataclass(frozen=True)
class Downloaded:
    """What a run found. Counts are videos, but for `bytes`.

    `had` a picture before; `downloaded` have their first now. Of those `rechecked`, `unchanged` still show their picture,
    `changed` another and `gone` none (the known one is kept). `unreadable` have no picture, which is recorded with the
    reason and asked for again after the recheck interval; `postponed` are asked for again next time.
    `duplicates` show the very file that another video of the niche shows; `near_duplicates` are the different pictures
    that look like another of the niche.
    """

    had: int = 0
    downloaded: int = 0
    bytes: int = 0
    unreadable: int = 0
    postponed: int = 0
    rechecked: int = 0
    unchanged: int = 0
    changed: int = 0
    gone: int = 0
    duplicates: int = 0
    near_duplicates: int = 0


class _Found(StrEnum):
    """Each of these is a count of `Downloaded`."""

    NEW = "downloaded"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    GONE = "gone"
    UNREADABLE = "unreadable"
    POSTPONED = "postponed"


@dataclass(frozen=True)
class _Wanted:
    """A video whose picture is to be asked for; `known` is its row of `thumbnails`, if that has a picture."""

    video_id: str
    urls: Sequence[str]
    known: Row[Any] | None
    again: bool


@dataclass(frozen=True)
class _Outcome:
    """What asking for a picture gave: `size` bytes; `refused` when its host is none that the lab reads from."""

    found: _Found
    sighting: Sighting | None = None
    size: int = 0
    refused: bool = False
    broken: OSError | None = None


def download_thumbnails(lab: Lab, niche: str, progress: Progress = silent) -> Downloaded:
    """Fetch, check and store the picture of every video of the niche that has none, and ask again for those that are due.

    Of the sizes on offer the best that is there is taken. A picture is due `thumbnail_recheck_days` after its last check, or
    a day after it while its video is younger than 14 days; at most `thumbnail_rechecks` a run, the longest unchecked
    first. Where the host answers that it has not changed, that costs no bytes. One that looks the same is the same,
    however it is encoded now, and the stored one stays; another is a new version, and the old one is kept beside it.

    Commits every 64. Times are those of the hosts' clocks. Raises `LabError` when there were pictures to fetch and not one
    could be reached, or the image store cannot be written.
    """
    lab.images.sweep()
    _hash_the_rest(lab, niche)
    had, missing = _missing(lab, niche)
    due = _due(lab, niche)
    wanted = missing + due
    counts: dict[str, int] = dict.fromkeys(_Found, 0)
    size = rechecked = unreachable = refused = done = 0
    with Fetcher(lab.settings.image_hosts) as fetcher, ThreadPoolExecutor(_THREADS) as threads:
        patient = RetryingFetcher(fetcher)
        for batch in batches(wanted, _BATCH, f"{niche}: thumbnails", progress):
            outcomes = list(threads.map(lambda one: _look(lab, patient, one), batch))
            with lab.engine.begin() as connection:
                record(connection, [outcome.sighting for outcome in outcomes if outcome.sighting is not None])
            done += len(batch)
            for one, outcome in zip(batch, outcomes, strict=True):
                counts[outcome.found] += 1
                size += outcome.size
                rechecked += one.again and outcome.found is not _Found.POSTPONED
                unreachable += outcome.found is _Found.POSTPONED and not outcome.refused
                refused += outcome.refused
                if outcome.broken is not None:
                    raise LabError(
                        f"the image store {lab.images.root} cannot be written ({outcome.broken.strerror}); "
                        "make room or give access, and run again"
                    )
            if len(batch) == _BATCH and all(o.found is _Found.POSTPONED and not o.refused for o in outcomes):
                break  # a host that gave nothing to a whole batch is not asked thousands of times more
    counts[_Found.POSTPONED] += len(wanted) - done
    # One that is missing where others are had is its own trouble; nothing at all is the network's.
    if missing and not had and done - refused > 0 and unreachable == done - refused:
        raise LabError(
            f"none of the {len(wanted) - refused} thumbnails of {niche} could be reached; "
            "check the network and run again"
        )
    duplicates, near = _alike(lab, niche)
    return Downloaded(had=had, bytes=size, rechecked=rechecked, duplicates=duplicates, near_duplicates=near, **counts)


def _hash_the_rest(lab: Lab, niche: str) -> None:
    """Hash the pictures that were stored before there were hashes. One that cannot be read is the checks' business."""
    statement = (
        select(thumbnails.c.video_id, thumbnails.c.sha256)
        .join(videos, videos.c.video_id == thumbnails.c.video_id)
        .where(videos.c.niche == niche, thumbnails.c.sha256.is_not(None), thumbnails.c.phash.is_(None))
        .order_by(thumbnails.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    for batch in batches(rows, _BATCH, f"{niche}: hashes", silent):
        with lab.engine.begin() as connection:
            for row in batch:
                try:
                    picture = decode(lab.images.get(row.sha256))
                except ImageError:
                    continue
                phash = perceptual_hash(picture.pixels)
                for table, values in (
                    (thumbnails, {"phash": phash, "width": picture.width, "height": picture.height}),
                    (thumbnail_versions, {"phash": phash}),
                ):
                    same = and_(table.c.video_id == row.video_id, table.c.sha256 == row.sha256)
                    connection.execute(update(table).where(same).values(values))


def _missing(lab: Lab, niche: str) -> tuple[int, list[_Wanted]]:
    """How many videos of the niche have a picture, and those of which none was ever asked for."""
    joined = videos.outerjoin(thumbnails, thumbnails.c.video_id == videos.c.video_id)
    had = select(func.count(thumbnails.c.sha256)).select_from(joined).where(videos.c.niche == niche)
    never = (
        select(videos.c.video_id, videos.c.thumbnail_urls)
        .select_from(joined)
        .where(videos.c.niche == niche, thumbnails.c.video_id.is_(None), func.cardinality(videos.c.thumbnail_urls) > 0)
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(never).all()
        return connection.scalar(had) or 0, [_Wanted(row.video_id, row.thumbnail_urls, None, False) for row in rows]


def _due(lab: Lab, niche: str) -> list[_Wanted]:
    """The videos whose picture, or want of one, is to be checked again, the longest unchecked first."""
    offered = and_(videos.c.niche == niche, func.cardinality(videos.c.thumbnail_urls) > 0)
    days = timedelta(days=lab.settings.thumbnail_recheck_days)
    with lab.engine.connect() as connection:
        # YouTube's clock, when the niche was last collected: the lab's own may be another, the emulator's stands still.
        now = connection.scalar(select(func.max(videos.c.refreshed_at)).where(offered))
        if now is None:
            return []
        latest = case(
            (videos.c.published_at > now - _YOUNG, now - min(days, _DAILY) + _EARLY), else_=now - days + _EARLY
        )
        statement = (
            select(videos.c.thumbnail_urls, thumbnails)
            .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
            .where(offered, thumbnails.c.checked_at <= latest)
            .order_by(thumbnails.c.checked_at, thumbnails.c.video_id)
            .limit(lab.settings.thumbnail_rechecks)
        )
        rows = connection.execute(statement).all()
    return [_Wanted(row.video_id, row.thumbnail_urls, row if row.sha256 is not None else None, True) for row in rows]


def _look(lab: Lab, fetcher: RetryingFetcher, wanted: _Wanted) -> _Outcome:
    """Ask for the sizes of a picture, the best first, until one is there."""
    missing: tuple[str, datetime | None] | None = None
    size = 0
    for url in wanted.urls:
        try:
            answer = _ask(lab, fetcher, url, wanted.known)
        except FetchError as error:
            if error.status in _GONE:
                missing = missing or (str(error), error.date)
                continue
            refused = isinstance(error, RefusedError)
            return _Outcome(_Found.POSTPONED, size=size, refused=refused)
        size += len(answer.body)
        at = answer.date or datetime.now(UTC)
        if answer.unchanged:
            return _Outcome(_Found.UNCHANGED, Unchanged(wanted.video_id, at, _origin(url, answer, wanted.known)), size)
        try:
            picture = decode(answer.body)
        except ImageError as error:
            if wanted.known is not None:
                return _Outcome(_Found.POSTPONED, size=size)
            return _Outcome(_Found.UNREADABLE, Missing(wanted.video_id, at, str(error)), size)
        if _is_placeholder(picture, url):
            missing = missing or (f"{url[:200]} answered with YouTube's placeholder", answer.date)
            continue
        return _judge(lab, wanted, picture, answer, at, url, size)
    assert missing is not None  # a wanted video has an address, and each was missing
    problem, date = missing
    found = _Found.UNREADABLE if wanted.known is None else _Found.GONE
    return _Outcome(found, Missing(wanted.video_id, date or datetime.now(UTC), problem), size)


def _ask(lab: Lab, fetcher: RetryingFetcher, url: str, known: Row[Any] | None) -> Answer:
    if known is None or known.url != url or not lab.images.path(known.sha256).is_file():
        return fetcher.get(url)
    return fetcher.get(url, etag=known.etag, last_modified=known.last_modified)


def _judge(lab: Lab, wanted: _Wanted, picture: Picture, answer: Answer, at: datetime, url: str, size: int) -> _Outcome:
    origin = Origin(url, answer.etag, answer.last_modified)
    known = wanted.known
    same = known is not None and still_shows(lab.images, known.sha256, picture)
    if not same or (known is not None and picture.sha256 == known.sha256):  # the latter heals a file that was lost
        try:
            lab.images.put(answer.body)
        except OSError as error:
            return _Outcome(_Found.POSTPONED, size=size, broken=error)
    if same:
        return _Outcome(_Found.UNCHANGED, Unchanged(wanted.video_id, at, origin), size)
    phash = perceptual_hash(picture.pixels)
    shown = Shown(wanted.video_id, at, picture.sha256, picture.width, picture.height, phash, origin)
    return _Outcome(_Found.NEW if known is None else _Found.CHANGED, shown, size)


def _origin(url: str, answer: Answer, known: Row[Any] | None) -> Origin:
    """A 304 need not repeat what its host calls this version."""
    told = Origin(url, answer.etag, answer.last_modified)
    if known is None:
        return told
    return replace(told, etag=told.etag or known.etag, last_modified=told.last_modified or known.last_modified)


def _is_placeholder(picture: Picture, url: str) -> bool:
    """Whether this is the grey picture that YouTube sends where a size is missing; the status usually says so already."""
    name = urlsplit(url).path.rpartition("/")[2]
    return (picture.width, picture.height) == _PLACEHOLDER and not name.startswith(_SMALLEST)


def _alike(lab: Lab, niche: str) -> tuple[int, int]:
    """Videos that share a file with another of the niche, and different pictures that look like another."""
    statement = (
        select(thumbnails.c.sha256, func.min(thumbnails.c.phash).label("phash"), func.count().label("shown"))
        .join(videos, videos.c.video_id == thumbnails.c.video_id)
        .where(videos.c.niche == niche, thumbnails.c.sha256.is_not(None))
        .group_by(thumbnails.c.sha256)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    near = near_duplicates([row.phash for row in rows if row.phash is not None])
    return sum(row.shown for row in rows if row.shown > 1), int(near.sum())


def check_thumbnails(lab: Lab, niche: str) -> list[CheckResult]:
    """Are most pictures readable, and are the files there? Looks at up to 50 of them."""
    of_niche = thumbnails.c.video_id.in_(select(videos.c.video_id).where(videos.c.niche == niche))
    with lab.engine.connect() as connection:
        total, good = connection.execute(
            select(func.count(), func.count(thumbnails.c.sha256)).select_from(thumbnails).where(of_niche)
        ).one()
        names = connection.scalars(
            select(thumbnails.c.sha256)
            .where(of_niche, thumbnails.c.sha256.is_not(None))
            .order_by(func.random())
            .limit(50)
        ).all()
    lost = sum(not lab.images.path(name).is_file() for name in names)
    return [
        CheckResult("mostly_readable", total == 0 or good * 2 >= total, f"{good} of {total} thumbnails could be read"),
        CheckResult("stored", lost == 0, f"{len(names) - lost} of {len(names)} sampled files are in the image store"),
    ]
