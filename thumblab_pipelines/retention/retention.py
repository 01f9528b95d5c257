"""Keep only the facts and pictures that the lab may keep.

Facts from YouTube are refreshed before they are 30 days old. Videos that are too old, or that are no longer on YouTube,
are deleted.

A deleted video is removed from every table, and from every release except model releases. The pictures of a deleted
video are removed from the image store. Each clean-up compares the stored data with the current rows of the table
`videos`. So if a run is killed, the next run finishes its work. docs/retention.md states the rules, and says which
data stay in models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.trim import clean_maps, stale_maps
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.attempts import Attempts
from thumblab_pipelines.retention.expiry import LONGEST, STALE, delete_stale, expire
from thumblab_pipelines.retention.own_database import require_own_database
from thumblab_pipelines.retention.purge import alive_videos, clean_indices, stale_indices
from thumblab_pipelines.retention.refreshing import RefreshedFacts, due_videos, refresh_due
from thumblab_pipelines.videos.limited_deletion import LimitedDeletion, earlier_clock, last_heard
from thumblab_pipelines.youtube.client import YouTube
from thumblab_pipelines.youtube.quota import Spending
from thumblab_pipelines.youtube.without_key import reason_not_to_ask

RELEASES_NAMED = 5
"""Maximum number of releases that the explanation of the check `forgotten_everywhere` lists."""


@dataclass(frozen=True)
class Retained:
    """The counts of one run over a niche.

    `videos`: videos of the niche that are left after the run. `refreshed`: updated videos. `deleted`: deleted videos,
    by reason. `releases_deleted`: deleted indices and maps of the niche. `quota`: quota that the run spent. `stopped`:
    why the run ended early, or None. `withheld`: a check that fails if the run refused to delete videos, because it
    would have deleted too many. `remarks`: if YouTube was not asked, a sentence that says why.
    """

    videos: int
    refreshed: int
    deleted: dict[str, int]
    releases_deleted: int
    quota: Spending
    stopped: str | None
    withheld: CheckResult
    remarks: Sequence[str] = ()


def retain(
    lab: Lab, niche: str, progress: Progress = silent, run_id: str | None = None, confirmed: bool = False
) -> Retained:
    """Refresh the facts in a niche that are nearly 30 days old, and delete the videos that the lab may no longer keep.
    Then remove the deleted videos from the indices and maps of the niche. `clean_lab` removes them from the data of all
    niches.

    If the quota of the day is spent, videos that were not refreshed stay until their facts are 30 days old. A run may
    delete only a limited number of the niche's videos, unless a person has `confirmed` the deletion (see
    `LimitedDeletion`).

    The present time comes from YouTube, because a wrong clock of this machine could delete everything. If YouTube
    cannot be asked, a `confirmed` run uses the clock of this machine or of the database server, whichever shows the
    earlier time. Any other run uses the newest time that the lab has received from YouTube. If one clean-up fails, all
    other clean-ups still run. If no API key is set and the niche has no videos from YouTube, YouTube is not asked.

    Raises:
        LabError: No key is set and the niche has videos from YouTube, or YouTube refuses or cannot be reached. Videos
            that are certainly too old are deleted before the error is raised. Also the error of `require_own_database`,
            unless the run is `confirmed`. Nothing is deleted then.
        Exception: The first error of a clean-up. The error is raised after all clean-ups were tried.
    """
    if not confirmed:
        require_own_database(lab)
    deletion = LimitedDeletion(lab, niche, "retention", confirmed)
    now: datetime | None = None
    refreshed: RefreshedFacts | None = None
    attempts = Attempts()
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
    except Exception as error:  # noqa: BLE001  old facts are deleted even after an error, which `raise_first` raises later
        attempts.failures.append(error)
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
    indices_deleted = attempts.run(0, lambda: clean_indices(lab, niche, run_id))
    maps_deleted = attempts.run(0, lambda: clean_maps(lab, (niche,), run_id))
    if attempts.failures:
        attempts.raise_first(*([deletion.explanation] if deletion.withheld else []))
    assert refreshed is not None
    with lab.engine.connect() as connection:
        remaining = len(alive_videos(connection, niche))
    return Retained(
        remaining,
        refreshed.videos,
        {reason: count for reason, count in deletion.deleted.items() if count},
        indices_deleted + maps_deleted,
        refreshed.quota,
        refreshed.stopped,
        deletion.check(),
        [] if not_asked is None else [not_asked],
    )


def check_retention(lab: Lab, niche: str, retained: Retained) -> list[CheckResult]:
    """Check that no index and no map of the niche still contains a deleted video.

    A second check fails if the run refused to delete videos, because it would have deleted too many.
    """
    deleted = ", ".join(f"{count} {reason}" for reason, count in retained.deleted.items()) or "nothing to delete"
    holding = [str(release) for release in (*stale_indices(lab, niche)[0], *stale_maps(lab, niche)[0])]
    check = check_forgotten(deleted, holding, {"deleted": sum(retained.deleted.values())})
    return [check, retained.withheld]


def check_forgotten(what_was_done: str, holding: Sequence[str], figures: dict[str, int]) -> CheckResult:
    """Return the check `forgotten_everywhere`. It fails if a release still contains a deleted video.

    `holding`: a text for each of these releases. `figures`: further figures of the check.
    """
    explanation = "; ".join(
        [what_was_done, f"{len(holding)} releases still hold deleted videos", *holding[:RELEASES_NAMED]]
    )
    figures = figures | {"releases_that_hold_deleted_videos": len(holding)}
    return CheckResult("forgotten_everywhere", not holding, explanation, figures=figures)
