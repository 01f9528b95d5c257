"""Copy the pictures and the releases of a lab into its backup, if they are in an object store.

The backup has the same files as the backup of a lab with folders. So the backup is restored into folders. The command
`thumblab move` can then copy these folders to an object store.
"""

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from thumblab_core.errors import LabError
from thumblab_core.image_store import ImageFolder, ImageStore
from thumblab_core.image_store.copying import copy_images
from thumblab_core.images import ImageError
from thumblab_core.releases.copying import read_scope
from thumblab_core.releases.file_cache import MANIFEST
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope_folder import FolderOfScopes, ScopeFolder
from thumblab_pipelines.backup.contents import IMAGES, RELEASES
from thumblab_pipelines.backup.copied_files import CopiedFiles
from thumblab_pipelines.progress import Progress


def copy_pictures(
    images: ImageStore, files: CopiedFiles, only: Collection[PurePosixPath] | None, progress: Progress
) -> None:
    """Copy all pictures, or the pictures with the paths `only`. A lost or damaged picture is left out.

    Raises `LabError` if the store has no picture and the backup has some, because the URL of the store may be wrong.
    """
    target = ImageFolder(files.folder / IMAGES)
    if only is None:
        names = [one.sha256 for one in images.stored()]
        if not names and next(target.stored(), None) is not None:
            raise LabError(
                f"{images} has no picture, and a new backup would delete the copies in {target}; check "
                "THUMBLAB_IMAGE_STORE, or, if the lab itself has deleted all its pictures, name an empty folder"
            )
    else:
        names = ["".join(path.parts) for path in only]
    wanted = []
    for name in names:
        if _key(name) in files.sums:
            continue
        # If `only` is None, the store has just listed the picture, so the backup's copy can be kept. The store may have
        # lost a picture in `only`.
        if only is None and (files.usable(_key(name)) == name or _has(target, name)):
            files.keep(_key(name), name)
            continue
        wanted.append(name)
    lost = copy_images(images, target, wanted, lambda done: progress(f"copying {IMAGES}", done, len(wanted)))
    for name in set(wanted) - set(lost):
        files.sums[_key(name)] = name
        files.copied += 1
        files.bytes += target.path(name).stat().st_size


def _has(target: ImageFolder, name: str) -> bool:
    """Return whether the backup has an undamaged copy of a picture, which a stopped backup may have left."""
    try:
        target.get(name)
    except ImageError:
        return False
    return True


def copy_scopes(releases: ReleaseStore, files: CopiedFiles, state: Path, progress: Progress) -> list[str]:
    """Copy all releases, and write what each scope serves into the folder `state`.

    Return `KIND/SCOPE/ID` of each damaged release. If an earlier backup has copied such a release, the copy stays.
    Raises `LabError` if the store has no release and the backup has some, because the URL of the store may be wrong.
    """
    scopes, earlier = releases.scopes(), FolderOfScopes(files.folder / RELEASES)
    if not scopes and earlier.scopes():
        raise LabError(
            f"{releases.root} has no release, and a new backup would delete the copies in {earlier.root}; check "
            "THUMBLAB_RELEASE_STORE, or, if the lab itself has deleted all its releases, name an empty folder"
        )

    def take(release: Release) -> None:
        place = PurePosixPath(RELEASES, release.kind, release.scope, release.release_id)
        keys = {str(place / name): name for name in (MANIFEST, *release.files)}
        if all(map(files.usable, keys)):
            for key in keys:
                files.keep(key, files.earlier[key])
        else:
            folder = release.path
            for key, name in keys.items():
                files.sums[key] = files.copy(folder / name, files.folder / key)

    damaged: list[str] = []
    for done, (kind, scope) in enumerate(scopes, 1):
        read = read_scope(releases.place(kind, scope), take)
        damaged += [f"{kind}/{scope}/{release_id}" for release_id in read.left_out]
        target = ScopeFolder(state, kind, scope)
        target.path.mkdir(parents=True, exist_ok=True)
        target.write_record(read.record)
        progress(f"copying {RELEASES}", done, len(scopes))
    for release in damaged:
        keys = [key for key in files.earlier if key.startswith(f"{RELEASES}/{release}/")]
        if all(map(files.usable, keys)):
            for key in keys:
                files.keep(key, files.earlier[key])
    return damaged


def copy_numbers(releases: ReleaseStore, state: Path) -> None:
    """Write the last release number of each scope into the folder `state` again, because it may have risen since the
    scope was copied.
    """
    for kind, scope in FolderOfScopes(state).scopes():
        ScopeFolder(state, kind, scope).write_number(releases.place(kind, scope).record().number)


def _key(sha256: str) -> str:
    return f"{IMAGES}/{sha256[:2]}/{sha256[2:]}"
