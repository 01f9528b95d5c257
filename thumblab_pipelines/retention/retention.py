"""Keep only those facts and pictures that the lab may keep.

Facts from YouTube are refreshed before they are 30 days old. Videos that are too old, or that YouTube no longer has,
are deleted.

A deleted video is removed from every table and from every release except those of models. Its pictures are removed from
the image store. Each clean-up compares what is stored with the current rows of the table `videos`. So if a run is
killed, the next run does the rest. docs/retention.md states the rules, and says what stays in models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn, TypeVar

from thumblab_core.errors import LabError
from thumblab_core.ranking.channel_adapters import ADAPTER
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
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
from thumblab_pipelines.videos.deletion import Deletion, last_heard
from thumblab_pipelines.youtube.client import YouTube
from thumblab_pipelines.youtube.quota import Spending
from thumblab_pipelines.youtube.without_key import reason_not_to_ask

T = TypeVar("T")

_PAIRS_REST = timedelta(hours=20)
"""If a pairs release with deleted videos is younger than this, the run leaves its replacement to a later run. So pairs
are published anew once a day, and not once for each niche.
"""

_RELEASES_NAMED = 5
"""The explanation of the check `forgotten_everywhere` names at most this many releases."""


@dataclass(frozen=True)
class Retained:
    """The counts of one run over a niche.

    `videos` counts the videos of the niche that are left after the run. `refreshed` counts those that were brought up
    to date. `deleted` counts the deleted videos by reason. `images_deleted`, `releases_deleted` and
    `unfinished_deleted` count the deleted pictures, releases and abandoned trainings. `adapters` counts the channel
    adapters that were fitted anew or removed. `quota` is what the run spent. `stopped` says why the run ended early, or
    is None. `withheld` is a check. It fails if so many videos were to be deleted that the run refused to delete them.
    If YouTube was not asked, `remarks` says why. `predictions_deleted` counts the kept predictions that were too old.
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
    """Refresh and delete what is due in a niche. Then delete the pictures of deleted videos, and clean the releases.

    If the quota of the day is spent, the videos that were not refreshed stay until their facts are 30 days old. A run
    never deletes more than a share of the niche, unless a person has `confirmed` the deletion. See `Deletion`.

    The present time comes from YouTube, because a wrong clock of this machine could delete everything. If YouTube
    cannot be asked, a `confirmed` run uses this machine's clock. Any other run uses the newest time that the lab ever
    got from YouTube. If the clean-up of one kind of data fails, the clean-ups of the other kinds are still done. If no
    API key is set and the niche has no videos from YouTube, YouTube is not asked.

    Raises:
        LabError: No key is set and the niche has videos from YouTube, or YouTube refuses or cannot be reached. What is
            certainly too old is deleted before the error is raised.
        Exception: The first failure of a clean-up. It is raised after all clean-ups were tried.
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
                # Videos that are too old are deleted before the refresh, so that no quota is spent on them.
                expire(lab, niche, now, deletion)
                refreshed = refresh_due(lab, youtube, niche, deletion, progress)
    except Exception as error:  # noqa: BLE001  Old facts are deleted even after an error. `_raise` raises the error later.
        failures.append(error)
    clock = datetime.now(UTC)
    if now is None:
        now = clock if confirmed else last_heard(lab)
        due = len(due_videos(lab, niche, clock - LONGEST)) - len(due_videos(lab, niche, now - LONGEST))
        if due > 0:
            deletion.withheld[f"{STALE} by this machine's clock alone"] = due
    delete_stale(lab, niche, now, deletion)
    # This must be the last call that deletes videos. It can use up the number of videos that a run is allowed to delete,
    # and then no later call could delete any.
    expire(lab, niche, now, deletion, oldest=True)
    # The age of files is measured by this machine's clock, which may be ahead of YouTube's time `now` by this many
    # seconds.
    ahead = max(0.0, (clock - now).total_seconds())
    indices_deleted = _attempt(failures, 0, lambda: clean_indices(lab, niche, run_id))
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
        indices_deleted + pairs_deleted,
        adapters,
        unfinished_deleted,
        refreshed.quota,
        refreshed.stopped,
        deletion.check(),
        [] if not_asked is None else [not_asked],
        predictions_deleted,
    )


def _attempt(failures: list[Exception], default: T, clean: Callable[[], T]) -> T:
    """Call `clean`, the function of one clean-up, and return its result. If it fails, add the error to `failures` and
    return `default`.
    """
    try:
        return clean()
    except Exception as error:  # noqa: BLE001  The error must not stop the other clean-ups. `_raise` raises it.
        failures.append(error)
        return default


def _raise(failures: list[Exception], deletion: Deletion) -> NoReturn:
    """Raise the first failure. Its message also contains the messages of the other failures, and says which deletions
    the run refused to do.
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

    The time is zero if this run deleted videos because their facts were 30 days old. Otherwise, it is the smaller of
    two times: 20 hours, and 30 days minus the setting `refresh_days`. A video is refreshed when its facts are
    `refresh_days` old. If YouTube then no longer has the video, the pairs stop naming it before its facts are 30 days
    old.
    """
    if deletion.deleted[STALE]:
        return timedelta(0)
    return min(_PAIRS_REST, LONGEST - timedelta(days=lab.settings.refresh_days))


def check_retention(lab: Lab, niche: str, retained: Retained) -> list[CheckResult]:
    """Check that no index or adapter release still holds a deleted video.

    A second check fails if so many videos were to be deleted that the run refused to delete them.
    """
    stale, _ = stale_indices(lab, niche)
    deleted = ", ".join(f"{count} {reason}" for reason, count in retained.deleted.items()) or "nothing to delete"
    holding = [str(release) for release in stale]
    holding += [f"{ADAPTER}/{channel_id}: {why}" for channel_id, why in retained.adapters.failed.items()]
    explanation = "; ".join([deleted, f"{len(holding)} releases still hold deleted videos", *holding[:_RELEASES_NAMED]])
    figures = {"deleted": sum(retained.deleted.values()), "releases_that_hold_deleted_videos": len(holding)}
    return [CheckResult("forgotten_everywhere", not holding, explanation, figures=figures), retained.withheld]
