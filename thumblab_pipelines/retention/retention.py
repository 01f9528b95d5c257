"""Keep only the facts and pictures that the lab may keep.

Facts from YouTube are refreshed before they are 30 days old. Videos that are too old, or that are no longer on YouTube,
are deleted.

A deleted video is removed from every table, and from every release except model releases. The pictures of a deleted
video are removed from the image store. Each clean-up compares the stored data with the current rows of the table
`videos`. So if a run is killed, the next run does the rest. docs/retention.md states the rules, and says which data
stay in models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn, TypeVar

from thumblab_core.errors import LabError
from thumblab_core.ranking.channel_adapters import ADAPTER
from thumblab_core.releases.release import ALL
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.trim import clean_maps, stale_maps
from thumblab_pipelines.predictions.store import delete_old_predictions
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.expiry import LONGEST, STALE, delete_stale, expire
from thumblab_pipelines.retention.purge import (
    alive_videos,
    clean_faces,
    clean_images,
    clean_indices,
    clean_pairs,
    clean_unfinished,
    stale_indices,
)
from thumblab_pipelines.retention.purge_adapters import CleanedAdapters, clean_adapters
from thumblab_pipelines.retention.refreshing import RefreshedFacts, due_videos, refresh_due
from thumblab_pipelines.videos.deletion import Deletion, earlier_clock, last_heard
from thumblab_pipelines.youtube.client import YouTube
from thumblab_pipelines.youtube.quota import Spending
from thumblab_pipelines.youtube.without_key import reason_not_to_ask

T = TypeVar("T")

_PAIRS_REST = timedelta(hours=20)
"""A pairs release that is younger than 20 hours is replaced only by a later run, even if it contains deleted videos. So
pairs are published again once a day, and not once for each niche."""

_RELEASES_NAMED = 5
"""Maximum number of releases that are named in the explanation of the check `forgotten_everywhere`."""


@dataclass(frozen=True)
class Retained:
    """The counts of one run over a niche.

    `videos`: videos of the niche that are left after the run. `refreshed`: updated videos. `deleted`: deleted videos,
    by reason. `images_deleted`, `releases_deleted`, `unfinished_deleted`: deleted pictures, releases and abandoned
    trainings. `adapters`: channel adapters that were fitted again or removed. `quota`: quota that the run spent.
    `stopped`: why the run ended early, or None. `withheld`: a check that fails if the run refused to delete videos,
    because it would have deleted too many. `remarks`: if YouTube was not asked, a sentence that says why.
    `predictions_deleted`: kept predictions that were too old.
    """

    videos: int
    refreshed: int
    deleted: dict[str, int]
    images_deleted: int
    releases_deleted: int
    adapters: CleanedAdapters
    unfinished_deleted: int
    quota: Spending
    stopped: str | None
    withheld: CheckResult
    remarks: Sequence[str] = ()
    predictions_deleted: int = 0


def retain(
    lab: Lab, niche: str, progress: Progress = silent, run_id: str | None = None, confirmed: bool = False
) -> Retained:
    """Refresh the facts in a niche that are nearly 30 days old, and delete the videos that the lab may no longer keep.
    Then delete the pictures of deleted videos, and clean the releases.

    If the quota of the day is spent, videos that were not refreshed stay until their facts are 30 days old. A run
    deletes at most a share of the niche's videos, unless a person has `confirmed` the deletion, see `Deletion`.

    The present time comes from YouTube, because a wrong clock of this machine could delete everything. If YouTube
    cannot be asked, a `confirmed` run uses the earlier of two times: of this machine's clock, and of the database
    server's clock. Any other run uses the newest time that the lab has received from YouTube. If one clean-up fails,
    all other clean-ups still run. If no API key is set and the niche has no videos from YouTube, YouTube is not asked.

    Raises:
        LabError: No key is set and the niche has videos from YouTube, or YouTube refuses or cannot be reached. Videos
            that are certainly too old are deleted before the error is raised.
        Exception: The first error of a clean-up. The error is raised after all clean-ups were tried.
    """
    deletion = Deletion(lab, niche, "retention", confirmed)
    now: datetime | None = None
    refreshed: RefreshedFacts | None = None
    failures: list[Exception] = []
    not_asked = reason_not_to_ask(lab, niche)
    try:
        if not_asked is not None:
            refreshed = RefreshedFacts(0, Spending({}, []), None)
        else:
            with YouTube.connect(lab.settings, lab.engine) as youtube:
                now = youtube.now
                # Videos that are too old are deleted before the refresh, so that refreshing them spends no quota.
                expire(lab, niche, now, deletion)
                refreshed = refresh_due(lab, youtube, niche, deletion, progress)
    except Exception as error:  # noqa: BLE001  old facts are deleted even after an error, which `_raise` raises later
        failures.append(error)
    clock = earlier_clock(lab, datetime.now(UTC))
    if now is None:
        now = clock if confirmed else last_heard(lab)
        due = len(due_videos(lab, niche, clock - LONGEST)) - len(due_videos(lab, niche, now - LONGEST))
        if due > 0:
            deletion.withheld[f"{STALE} by this machine's clock alone"] = due
    delete_stale(lab, niche, now, deletion)
    # This call must be the last that deletes videos. The call may use up the number of videos that the run may delete,
    # and a later call could then delete no video.
    expire(lab, niche, now, deletion, oldest=True)
    # The age of files is measured by this machine's clock. `ahead` is the number of seconds by which the clock may be
    # ahead of YouTube's time `now`.
    ahead = max(0.0, (clock - now).total_seconds())
    indices_deleted = _attempt(failures, 0, lambda: clean_indices(lab, niche, run_id))
    maps_deleted = _attempt(failures, 0, lambda: clean_maps(lab, (niche, ALL), run_id))
    pairs_deleted = _attempt(failures, 0, lambda: clean_pairs(lab, run_id, _pairs_rest(lab, deletion)))
    _attempt(failures, 0, lambda: clean_faces(lab))
    images_deleted = _attempt(failures, 0, lambda: clean_images(lab, ahead))
    adapters = _attempt(failures, CleanedAdapters(), lambda: clean_adapters(lab, progress))
    unfinished_deleted = _attempt(failures, 0, lambda: clean_unfinished(lab, ahead))
    predictions_deleted = _attempt(failures, 0, lambda: delete_old_predictions(lab))
    if failures:
        _raise(failures, deletion)
    assert refreshed is not None
    with lab.engine.connect() as connection:
        remaining = len(alive_videos(connection, niche))
    return Retained(
        remaining,
        refreshed.videos,
        {reason: count for reason, count in deletion.deleted.items() if count},
        images_deleted,
        indices_deleted + maps_deleted + pairs_deleted,
        adapters,
        unfinished_deleted,
        refreshed.quota,
        refreshed.stopped,
        deletion.check(),
        [] if not_asked is None else [not_asked],
        predictions_deleted,
    )


def _attempt(failures: list[Exception], default: T, clean: Callable[[], T]) -> T:
    """Call `clean`, the function of one clean-up, and return its result. If `clean` fails, add the error to `failures`
    and return `default`.
    """
    try:
        return clean()
    except Exception as error:  # noqa: BLE001  the error must not stop the other clean-ups; `_raise` raises it later
        failures.append(error)
        return default


def _raise(failures: list[Exception], deletion: Deletion) -> NoReturn:
    """Raise the first failure. The message of the error also contains the messages of all other failures, and the
    deletions that the run refused.
    """
    first, *others = failures
    more = [str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}" for error in others]
    if deletion.withheld:
        more.append(deletion.explanation)
    if not isinstance(first, LabError) or not more:
        for sentence in more:
            first.add_note(sentence)
        raise first
    combined = LabError("; ".join([str(first), *more]))
    combined.transient = first.transient
    raise combined from first


def _pairs_rest(lab: Lab, deletion: Deletion) -> timedelta:
    """Return how long training pairs may still name a deleted video.

    No data about a video may stay once its facts are 30 days old. So if this run deleted videos for this reason, the
    time is zero. Any other deleted video was refreshed when its facts were `refresh_days` old, so 30 days minus
    `refresh_days` are left. The result is this difference, but at most 20 hours.
    """
    if deletion.deleted[STALE]:
        return timedelta(0)
    return min(_PAIRS_REST, LONGEST - timedelta(days=lab.settings.refresh_days))


def check_retention(lab: Lab, niche: str, retained: Retained) -> list[CheckResult]:
    """Check that no index, map or adapter release still contains a deleted video.

    A second check fails if the run refused to delete videos, because it would have deleted too many.
    """
    stale, _ = stale_indices(lab, niche)
    deleted = ", ".join(f"{count} {reason}" for reason, count in retained.deleted.items()) or "nothing to delete"
    holding = [str(release) for release in (*stale, *stale_maps(lab, niche)[0], *stale_maps(lab, ALL)[0])]
    holding += [f"{ADAPTER}/{channel_id}: {why}" for channel_id, why in retained.adapters.failed.items()]
    explanation = "; ".join([deleted, f"{len(holding)} releases still hold deleted videos", *holding[:_RELEASES_NAMED]])
    figures = {"deleted": sum(retained.deleted.values()), "releases_that_hold_deleted_videos": len(holding)}
    return [CheckResult("forgotten_everywhere", not holding, explanation, figures=figures), retained.withheld]
