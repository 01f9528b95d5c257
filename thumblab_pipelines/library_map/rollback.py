"""Serve an older map and hold it: no newer map is served until a person ends the hold."""

from thumblab_core.errors import LabError
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.library_map.points import POINTS, read_points
from thumblab_core.releases.moves import NoOlderReleaseError, end_hold, serve_older
from thumblab_core.releases.release import Release
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.trim import mappable_videos, publish_trimmed


def roll_back_map(lab: Lab, scope: str, release_id: str | None = None) -> Release:
    """Serve an older map and hold it, so that no later build replaces it. Return the release that is served now.

    Without `release_id`, serve the newest map that was served before and is older than the served map. If videos of the
    older map were removed since, a map without these videos is published and served. Raises `LabError` if there is no
    such map, or if none of its videos is left.
    """
    try:
        return serve_older(
            lab.releases, LIBRARY_MAP, scope, release_id, Release.verify, lambda older: _without_removed(lab, older)
        )
    except NoOlderReleaseError as error:
        raise LabError(f"{error}; the page of the map's asset in Dagster shows the ids of its releases") from None


def resume_map(lab: Lab, scope: str) -> Release | None:
    """End the hold that `roll_back_map` made. Serve the map that was served before the rollback, if it still exists.
    Return the served release.
    """
    end_hold(lab.releases, LIBRARY_MAP, scope)
    return lab.releases.serving.current(LIBRARY_MAP, scope)


def _without_removed(lab: Lab, release: Release) -> Release:
    """Return the map, or a new map without its removed videos if it has some."""
    allowed = mappable_videos(lab, release.scope)
    if set(read_points(release.path / POINTS).video_id) <= allowed:
        return release
    trimmed = publish_trimmed(lab, release, allowed)
    if trimmed is None:
        raise LabError(f"{release} cannot be served: none of its videos is left")
    return trimmed
