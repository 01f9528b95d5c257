"""Remove deleted videos from the data that all niches share: the pictures, the faces, the training pairs, the map of
all niches and the channel adapters. Delete vectors that nothing names, abandoned trainings and old predictions too.

Each clean-up reads what belongs to the whole lab. So it runs once a day, and not once for each niche.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from thumblab_core.ranking.channel_adapters import ADAPTER
from thumblab_core.releases.release import ALL
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.trim import clean_maps, stale_maps
from thumblab_pipelines.predictions.store import delete_old_predictions
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.attempts import Attempts
from thumblab_pipelines.retention.expiry import delete_unused_channels
from thumblab_pipelines.retention.own_database import require_own_database
from thumblab_pipelines.retention.purge import clean_faces, clean_images, clean_pairs, clean_unfinished, clean_vectors
from thumblab_pipelines.retention.purge_adapters import CleanedAdapters, clean_adapters
from thumblab_pipelines.retention.retention import check_forgotten
from thumblab_pipelines.videos.limited_deletion import earlier_clock, last_heard


@dataclass(frozen=True)
class CleanedLab:
    """The numbers of deleted items.

    `channels`: channels without videos. `pictures`: pictures that no video uses. `faces`: pictures whose faces were
    deleted. `releases`: maps of all niches and pairs releases. `unfinished`: folders of abandoned trainings.
    `predictions`: kept predictions that were too old. `adapters`: channel adapters that were fitted again or removed.
    `vectors`: vectors of earlier pictures and titles that the lab no longer keeps.
    """

    channels: int
    pictures: int
    faces: int
    releases: int
    unfinished: int
    predictions: int
    adapters: CleanedAdapters
    vectors: int = 0


def clean_lab(lab: Lab, progress: Progress = silent, run_id: str | None = None, confirmed: bool = False) -> CleanedLab:
    """Remove deleted videos from the data that all niches share. If one clean-up fails, all other clean-ups still run.

    Each clean-up compares the stored data with the current rows of the database. So the function does not rely on an
    earlier run, and the next call repeats a clean-up that failed.

    If a clock is ahead, nothing is deleted too early: the present time is the earliest of three times, see
    `earlier_clock` and `last_heard`.

    Raises the `LabError` of `require_own_database`, unless a person has `confirmed` the clean-up. Also raises the first
    error of a clean-up, after all clean-ups were tried.
    """
    if not confirmed:
        require_own_database(lab)
    own_clock = datetime.now(UTC)
    now = min(earlier_clock(lab, own_clock), last_heard(lab))
    # The dates of the files come from this machine's clock, so the dates are ahead by as much as this clock.
    ahead = (own_clock - now).total_seconds()
    attempts = Attempts()
    channels = attempts.run(0, lambda: delete_unused_channels(lab, now))
    maps = attempts.run(0, lambda: clean_maps(lab, (ALL,), run_id))
    pairs = attempts.run(0, lambda: clean_pairs(lab, run_id))
    vectors = attempts.run(0, lambda: clean_vectors(lab))
    faces = attempts.run(0, lambda: clean_faces(lab))
    pictures = attempts.run(0, lambda: clean_images(lab, ahead))
    adapters = attempts.run(CleanedAdapters(), lambda: clean_adapters(lab, progress))
    unfinished = attempts.run(0, lambda: clean_unfinished(lab, ahead))
    predictions = attempts.run(0, lambda: delete_old_predictions(lab))
    if attempts.failures:
        attempts.raise_first()
    return CleanedLab(channels, pictures, faces, maps + pairs, unfinished, predictions, adapters, vectors)


def check_clean_up(lab: Lab, cleaned: CleanedLab) -> list[CheckResult]:
    """Check that neither a map of all niches nor a channel adapter still contains a deleted video."""
    holding = [str(release) for release in stale_maps(lab, ALL)[0]]
    holding += [f"{ADAPTER}/{channel_id}: {why}" for channel_id, why in cleaned.adapters.failed.items()]
    figures = {"pictures_deleted": cleaned.pictures, "releases_deleted": cleaned.releases}
    what_was_done = f"{cleaned.pictures} pictures and {cleaned.releases} releases deleted"
    return [check_forgotten(what_was_done, holding, figures)]
