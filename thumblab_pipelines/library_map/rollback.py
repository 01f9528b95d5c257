"""Serve an older map and hold it: no newer map is served until a person ends the hold."""

from thumblab_core.errors import LabError
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.releases.moves import NoOlderReleaseError, end_hold, serve_older
from thumblab_core.releases.release import Release
from thumblab_pipelines.lab import Lab


def roll_back_map(lab: Lab, scope: str, release_id: str | None = None) -> Release:
    """Serve an older map and hold it, so that no later build replaces it. Return the release of the older map.

    Without `release_id`, serve the newest map that was served before and is older than the served map. Raises
    `LabError` if there is no such map.
    """
    try:
        return serve_older(lab.releases, LIBRARY_MAP, scope, release_id, Release.verify)
    except NoOlderReleaseError as error:
        raise LabError(f"{error}; the page of the map's asset in Dagster shows the ids of its releases") from None


def resume_map(lab: Lab, scope: str) -> Release | None:
    """End the hold that `roll_back_map` made. Serve the map that was served before the rollback, if it still exists.
    Return the served release.
    """
    end_hold(lab.releases, LIBRARY_MAP, scope)
    return lab.releases.serving.current(LIBRARY_MAP, scope)
