"""Read the pictures and the releases of a lab for its backup, if they are in an object store.

The backup has the same files as the backup of a lab with folders. So it is restored into folders, and `thumblab move`
copies them to an object store again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from thumblab_core.image_store import ImageFolder, ImageStore
from thumblab_core.image_store.copying import copy_images
from thumblab_core.releases.copying import read_scope
from thumblab_core.releases.file_cache import MANIFEST
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope_folder import ScopeFolder
from thumblab_pipelines.backup.contents import IMAGES, RELEASES

KeptOf = Callable[[str], str | None]
"""Return the checksum of a file of the backup by its path, or None if the backup has no usable copy."""


def copy_pictures(
    images: ImageStore, names: Iterable[str], backup: Path, kept: KeptOf, copied: Callable[[int], None]
) -> tuple[dict[str, str], list[str]]:
    """Copy pictures into the backup. Return the checksum of each picture by its path, and the names of the new ones.

    A picture that the store lacks, or whose bytes are damaged, is left out.
    """
    target, paths = ImageFolder(backup / IMAGES), {f"{IMAGES}/{name[:2]}/{name[2:]}": name for name in names}
    there = {path: name for path, name in paths.items() if kept(path) == name}
    wanted = [name for path, name in paths.items() if path not in there]
    for name in wanted:
        target.remove(name)  # A copy that is not usable would otherwise be kept.
    lost = set(copy_images(images, target, wanted, copied))
    new = [name for name in wanted if name not in lost]
    return there | {f"{IMAGES}/{name[:2]}/{name[2:]}": name for name in new}, new


def copy_scopes(
    releases: ReleaseStore, state: Path, copy: Callable[[Mapping[PurePosixPath, Path | None]], None], kept: KeptOf
) -> Iterator[tuple[int, int]]:
    """Copy all releases, and write what each scope serves into the folder `state`. Yield done and total.

    `copy` copies files, and is given None for a file that the backup has.
    """
    scopes = releases.scopes()
    for done, (kind, scope) in enumerate(scopes, 1):

        def take(release: Release) -> None:
            names = [MANIFEST, *release.files]
            paths = {PurePosixPath(release.kind, release.scope, release.release_id, name): name for name in names}
            if all(kept(f"{RELEASES}/{path}") for path in paths):
                copy(dict.fromkeys(paths))
            else:
                folder = release.path
                copy({path: folder / name for path, name in paths.items()})

        record = read_scope(releases.place(kind, scope), take)
        target = ScopeFolder(state, kind, scope)
        target.path.mkdir(parents=True, exist_ok=True)
        target.write_record(record)
        yield done, len(scopes)
