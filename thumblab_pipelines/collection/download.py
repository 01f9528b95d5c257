"""Download missing thumbnails, and check from time to time whether creators have changed known thumbnails."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import and_, func, select, update

from thumblab_core.database.tables import thumbnail_versions, thumbnails, videos
from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.image_store.place import delete_unused_cache
from thumblab_core.images import ImageError, decode
from thumblab_core.images.hash_search import near_duplicates
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_core.object_store.bucket import StoreAwayError, StoreError
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.retrying_fetch import RetryingFetcher
from thumblab_pipelines.collection.thumbnail_request import Kind, request_thumbnail
from thumblab_pipelines.collection.thumbnails_wanted import Wanted, due_thumbnails, missing_thumbnails
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.versions import record

_BATCH = 64
_THREADS = 8
_SAMPLE = 50
"""`check_thumbnails` looks in the image store for the files of this many thumbnails of the niche."""


class UnwritableImagesError(LabError):
    """Raised if the image store cannot be written. The message names the place of the image store."""


@dataclass(frozen=True)
class Downloaded:
    """The result of one run that downloads thumbnails of a niche. Most fields are numbers of videos.

    `had`: videos that had a picture before the run. `downloaded`: videos that got their first picture in this run.
    `bytes`: number of bytes that were read.

    `rechecked`: videos whose known thumbnail was checked again. Among the rechecked videos, `unchanged` show the same
    picture, `changed` show another picture, and `gone` show no picture. If a thumbnail is gone, the lab keeps the known
    picture.

    `unreadable`: videos whose thumbnail could not be read as a picture. The lab records the reason, and requests the
    thumbnail again when it is due (see `download_thumbnails`). `postponed`: videos whose thumbnail this run did not
    request, or for which the host gave no usable answer. The next run requests the postponed thumbnails.

    `duplicates`: videos whose thumbnail is the same file as that of another video of the niche. `near_duplicates`:
    pictures that look like another picture of the niche but have another file.
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


def download_thumbnails(lab: Lab, niche: str, progress: Progress = silent) -> Downloaded:
    """Download the thumbnails that videos of the niche lack. Check known thumbnails again when they are due.

    The best size that exists is downloaded. A thumbnail is due `thumbnail_recheck_days` after its last check. The
    thumbnail of a video younger than 14 days is due after one day. A run checks at most `thumbnail_rechecks` thumbnails
    again. The thumbnails whose last check is the oldest are checked first. If a host answers that a thumbnail is
    unchanged, the thumbnail is not downloaded.

    If a host has encoded the same picture again, only its bytes differ. The thumbnail then counts as unchanged, and the
    stored file is kept. A different picture becomes a new version, and the earlier version is kept too.

    The run commits after every 64 videos. The time of a check is the time in the host's answer. If the answer contains
    no time, this machine's time is used. Raises `LabError` if the niche has no thumbnail yet and no thumbnail could be
    reached, or if the image store cannot be written.
    """
    lab.images.sweep()
    delete_unused_cache(lab.settings)
    _hash_unhashed(lab, niche)
    had, missing = missing_thumbnails(lab, niche)
    wanted = missing + due_thumbnails(lab, niche)
    fetched = fetch_thumbnails(lab, wanted, f"{niche}: thumbnails", progress)
    # If some requests got an answer, the network works, and each failure concerns only one thumbnail. If no request got
    # an answer and the niche has no picture yet, the network is probably down, so the run fails.
    if missing and not had and fetched.unanswered:
        raise LabError(
            f"none of the {len(wanted) - fetched.refused} thumbnails of {niche} could be reached, because no host answered; "
            "check the network, and run the command again"
        )
    duplicates, near = _count_duplicates(lab, niche)
    return Downloaded(
        had=had,
        bytes=fetched.size,
        rechecked=fetched.rechecked,
        duplicates=duplicates,
        near_duplicates=near,
        **fetched.counts,
    )


@dataclass
class Fetched:
    """The results of requests for thumbnails. `counts`: number of videos for each `Kind`.

    `done`: number of videos that were handled. Of the handled videos, `unreachable` got no answer, and `refused` were
    not requested, because the settings do not allow their URL. `size`: number of bytes that were read.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    size: int = 0
    done: int = 0
    rechecked: int = 0
    unreachable: int = 0
    refused: int = 0

    @property
    def unanswered(self) -> bool:
        """Whether requests were made, but no request got an answer."""
        return self.done - self.refused > 0 and self.unreachable == self.done - self.refused


def fetch_thumbnails(lab: Lab, wanted: Sequence[Wanted], what: str, progress: Progress = silent) -> Fetched:
    """Request the thumbnails, and store the new pictures. Commit after every batch. `what`: name of the work for
    `progress`.

    If no host answers for a whole batch, the remaining thumbnails are not requested. Raises `LabError` if the image
    store cannot be written.
    """
    fetched = Fetched()
    with Fetcher(lab.settings.image_hosts) as fetcher, ThreadPoolExecutor(_THREADS) as threads:
        retrying = RetryingFetcher(fetcher)
        for batch in batches(wanted, _BATCH, what, progress):
            outcomes = list(threads.map(lambda video: request_thumbnail(lab, retrying, video), batch))
            with lab.engine.begin() as connection:
                record(connection, [outcome.sighting for outcome in outcomes if outcome.sighting is not None])
            fetched.done += len(batch)
            for video, outcome in zip(batch, outcomes, strict=True):
                fetched.counts[outcome.kind] += 1
                fetched.size += outcome.size
                fetched.rechecked += video.again and outcome.kind is not Kind.POSTPONED
                fetched.unreachable += outcome.kind is Kind.POSTPONED and not outcome.refused
                fetched.refused += outcome.refused
                if outcome.store_error is not None:
                    _require_usable(lab, outcome.store_error)
            if len(batch) == _BATCH and all(o.kind is Kind.POSTPONED and not o.refused for o in outcomes):
                # If no host answered for a whole batch, requests for the remaining videos would probably fail too.
                # There may be thousands of remaining videos, so this run stops.
                break
    fetched.counts[Kind.POSTPONED] += len(wanted) - fetched.done
    return fetched


def _require_usable(lab: Lab, error: OSError) -> None:
    """Raise `LabError` if `error` shows that the image store cannot take further pictures either.

    If only a single request to an object store has failed, raise no error. The next run requests the thumbnail again.
    """
    if isinstance(error, StoreAwayError):
        raise error
    if not isinstance(error, StoreError):
        raise UnwritableImagesError(
            f"the image store {lab.images} cannot be written ({error.strerror}); "
            "free disk space or allow writing there, and run again"
        ) from error


def _hash_unhashed(lab: Lab, niche: str) -> None:
    """Compute the missing perceptual hashes of pictures. An early version of the lab stored pictures without a hash.

    A picture whose file cannot be read is skipped without an error. `check_thumbnails` reports missing files later.
    """
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
                except (ImageError, StoreError):
                    continue
                phash = perceptual_hash(picture.pixels)
                for table, values in (
                    (thumbnails, {"phash": phash, "width": picture.width, "height": picture.height}),
                    (thumbnail_versions, {"phash": phash}),
                ):
                    same = and_(table.c.video_id == row.video_id, table.c.sha256 == row.sha256)
                    connection.execute(update(table).where(same).values(values))


def _count_duplicates(lab: Lab, niche: str) -> tuple[int, int]:
    """Return how many videos have the same thumbnail file as another video of the niche, and how many pictures are
    near-duplicates."""
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
    """Check that at least half of the thumbnails could be read, and that a sample of their files still exists."""
    of_niche = thumbnails.c.video_id.in_(select(videos.c.video_id).where(videos.c.niche == niche))
    with lab.engine.connect() as connection:
        total, readable = connection.execute(
            select(func.count(), func.count(thumbnails.c.sha256)).select_from(thumbnails).where(of_niche)
        ).one()
        hashes = connection.scalars(
            select(thumbnails.c.sha256)
            .where(of_niche, thumbnails.c.sha256.is_not(None))
            .order_by(func.random())
            .limit(_SAMPLE)
        ).all()
    lost = sum(not lab.images.has(sha256) for sha256 in hashes)
    return [
        CheckResult(
            "mostly_readable",
            total == 0 or readable * 2 >= total,
            f"{readable} of {total} thumbnails could be read",
            figures={"thumbnails": total, "readable": readable},
        ),
        CheckResult(
            "stored",
            lost == 0,
            f"{len(hashes) - lost} of {len(hashes)} sampled files are in the image store",
            figures={"sampled": len(hashes), "lost": lost},
        ),
    ]
