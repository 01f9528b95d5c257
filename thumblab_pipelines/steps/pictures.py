"""Download the thumbnails that the library lacks."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import thumbnails, videos
from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher, FetchError
from thumblab_core.images import ImageError, decode
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.verdict import Verdict

_BATCH = 64
_THREADS = 8
_GONE = {403, 404, 410}


@dataclass(frozen=True)
class Downloaded:
    """`unreadable` are recorded with the reason and not tried again; `postponed` are tried again next time."""

    had: int
    downloaded: int
    bytes: int
    unreadable: int
    postponed: int


@dataclass(frozen=True)
class _Outcome:
    """A row of `thumbnails`, or None when trying again may help; and the bytes that were read."""

    row: dict[str, object] | None
    size: int


def download_thumbnails(lab: Lab, niche: str, progress: Progress = silent) -> Downloaded:
    """Fetch, check and store the picture of every video of the niche that has none. Commits every 64.

    Raises `LabError` when there were pictures to fetch and not one could be reached.
    """
    statement = (
        select(videos.c.video_id, videos.c.thumbnail_url, thumbnails.c.video_id.label("had"))
        .outerjoin(thumbnails, thumbnails.c.video_id == videos.c.video_id)
        .where(videos.c.niche == niche)
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    missing = [(row.video_id, row.thumbnail_url) for row in rows if row.had is None and row.thumbnail_url]
    downloaded = size = unreadable = postponed = 0
    with Fetcher(lab.settings.image_hosts) as fetcher, ThreadPoolExecutor(_THREADS) as threads:
        for batch in batches(missing, _BATCH, f"{niche}: thumbnails", progress):
            outcomes = list(threads.map(lambda item: _fetch(lab, fetcher, *item), batch))
            kept = [outcome.row for outcome in outcomes if outcome.row is not None]
            if kept:
                with lab.engine.begin() as connection:
                    connection.execute(insert(thumbnails).values(kept).on_conflict_do_nothing())
            downloaded += sum(1 for row in kept if row["sha256"] is not None)
            unreadable += sum(1 for row in kept if row["sha256"] is None)
            postponed += len(outcomes) - len(kept)
            size += sum(outcome.size for outcome in outcomes)
    if missing and postponed == len(missing):
        raise LabError(
            f"none of the {postponed} thumbnails of {niche} could be reached; check the network and run again"
        )
    return Downloaded(len(rows) - len(missing), downloaded, size, unreadable, postponed)


def _fetch(lab: Lab, fetcher: Fetcher, video_id: str, url: str) -> _Outcome:
    row: dict[str, object] = {
        "video_id": video_id,
        "sha256": None,
        "width": None,
        "height": None,
        "problem": None,
        "fetched_at": datetime.now(UTC),
    }
    try:
        data = fetcher.get(url)
        picture = decode(data)
    except FetchError as error:
        if error.status not in _GONE:
            return _Outcome(None, 0)
        return _Outcome({**row, "problem": str(error)}, 0)
    except ImageError as error:
        return _Outcome({**row, "problem": str(error)}, len(data))
    lab.images.put(data)
    return _Outcome({**row, "sha256": picture.sha256, "width": picture.width, "height": picture.height}, len(data))


def judge_thumbnails(lab: Lab, niche: str) -> list[Verdict]:
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
        Verdict("mostly_readable", total == 0 or good * 2 >= total, f"{good} of {total} thumbnails could be read"),
        Verdict("stored", lost == 0, f"{len(names) - lost} of {len(names)} sampled files are in the image store"),
    ]
