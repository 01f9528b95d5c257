"""Serve an older map, and keep it served until a person ends this hold."""

from thumblab_core.errors import LabError
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.releases.release import Release, ReleaseError
from thumblab_pipelines.lab import Lab


def roll_back_map(lab: Lab, scope: str, release_id: str | None = None) -> Release:
    """Serve an older map and hold it, so that no later build replaces it. Return the release of the older map.

    Without `release_id`, serve the newest map that was served before and is older than the served map. Raises
    `LabError` if there is no such map.
    """
    serving = lab.releases.serving
    with serving.changing(LIBRARY_MAP, scope):
        served = serving.current_id(LIBRARY_MAP, scope)
        if release_id is None:
            older = serving.served_before(LIBRARY_MAP, scope)
            if served is None or not older:
                raise LabError(f"{scope} has no older map that was served before")
            release = older[-1]
        else:
            try:
                release = lab.releases.get(LIBRARY_MAP, scope, release_id)
            except ReleaseError as error:
                raise LabError(f"{error}; the materializations of the asset in Dagster list the releases") from None
        release.verify()
        # The hold is written before the pointer moves. If the process is killed between the two steps, the scope still
        # serves the previous map, and the next build reports the hold.
        serving.hold(release, f"rolled back from {served} to {release.release_id}")
        serving.promote(release)
    return release


def resume_map(lab: Lab, scope: str) -> Release | None:
    """End the hold. Serve the map that the rollback displaced, if it still exists. Return the served release."""
    serving = lab.releases.serving
    with serving.changing(LIBRARY_MAP, scope):
        held = serving.held(LIBRARY_MAP, scope)
        if held is not None and held.displaced is not None:
            try:
                serving.promote(lab.releases.get(LIBRARY_MAP, scope, held.displaced))
            except ReleaseError as error:
                if error.transient:
                    raise
        serving.resume(LIBRARY_MAP, scope)
        return serving.current(LIBRARY_MAP, scope)
