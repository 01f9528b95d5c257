"""Keep what an earlier backup has of the releases that are damaged in the lab, and name these releases."""

from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from thumblab_core.releases.release import NewerFormatError, ReleaseError, read_release
from thumblab_pipelines.backup.contents import RELEASES
from thumblab_pipelines.backup.copied_files import CopiedFiles


def by_scope(files: Iterable[str]) -> dict[PurePosixPath, list[str]]:
    """Return the files of releases among the files of a backup, by the `KIND/SCOPE` of the release."""
    found: dict[PurePosixPath, list[str]] = {}
    for key in files:
        if key.startswith(f"{RELEASES}/"):
            found.setdefault(PurePosixPath(*PurePosixPath(key).parts[1:3]), []).append(key)
    return found


def damaged_releases(
    files: CopiedFiles, place: PurePosixPath, release_ids: Collection[str], earlier: Iterable[str]
) -> list[str]:
    """Keep the backup's copies of files that the releases of a scope have lost. Return `KIND/SCOPE/ID` of each damaged
    release.

    `place`: `KIND/SCOPE`. `release_ids`: the releases that the lab has. `earlier`: the files of the scope that an earlier
    backup has copied. The files of a release never change, so the lab has lost a file that it does not have any more.
    """
    damaged_in_lab = set()
    for key in earlier:
        release_id = PurePosixPath(key).parts[3]
        checksum = files.usable(key)
        if release_id in release_ids and key not in files.sums and checksum is not None:
            files.keep(key, checksum)
            damaged_in_lab.add(release_id)
        if key in files.cut_short:
            damaged_in_lab.add(release_id)
    damaged = [name for name in release_ids if name in damaged_in_lab or not _is_whole(files, place, name)]
    return [f"{place}/{name}" for name in damaged]


def _is_whole(files: CopiedFiles, place: PurePosixPath, release_id: str) -> bool:
    """Return whether the backup has every file of a release, each with the checksum in the manifest of the release."""
    folder = PurePosixPath(RELEASES, place, release_id)
    try:
        release = read_release(place.parts[0], place.parts[1], release_id, files.folder / folder)
    except NewerFormatError:
        return True  # This version does not know what the manifest says about the files.
    except ReleaseError:
        return False
    return all(files.sums.get(f"{folder}/{name}") == expected for name, expected in release.files.items())
