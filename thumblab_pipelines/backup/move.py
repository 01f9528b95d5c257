"""Copy a lab's releases and pictures from this disk to an object store, from an object store to this disk, or from one
object store to another.

Nothing is deleted. The lab uses the new places after a person has changed its settings. A copy that was stopped
continues with the same command, and a second copy takes only what is new.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_core.errors import LabError
from thumblab_core.image_store import ImageFolder, ImageStore
from thumblab_core.image_store.copying import copy_images
from thumblab_core.image_store.place import image_store, object_images
from thumblab_core.object_store.bucket import StoreError
from thumblab_core.object_store.store_url import parse_store_url
from thumblab_core.releases.copying import copy_scope
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent

if TYPE_CHECKING:
    from pydantic import SecretStr

FOLDER = "folder"
"""The word for "a folder on this disk" that a user may give instead of the URL of an object store."""


@dataclass(frozen=True)
class Moved:
    """The result of copying releases or pictures. `there`: how many of them the new place had before the copy.

    `lost`: the files that were left out because they are lost or damaged. A picture is named by its SHA-256, and a
    release by `KIND/SCOPE/ID`.
    """

    what: str
    source: str
    target: str
    copied: int
    there: int
    lost: tuple[str, ...] = ()


def require_other_places(lab: Lab, releases: str | None, pictures: str | None) -> None:
    """Raise `LabError` if a new place cannot be opened or is already in use, or if the place of the releases and the
    place of the pictures overlap.
    """
    if releases is None and pictures is None:
        raise LabError("nothing to copy: name a new place with --releases, --pictures or both")
    chosen = _with_release_store(lab.settings, releases)
    if releases is not None:
        target = str(_releases_at(chosen).root)
        _require_other("the releases", target, lab.settings.release_store, releases)
        if pictures is None:
            image_store(chosen)  # Raises an error if the new place contains the pictures, which are not moved.
    if pictures is not None:
        _require_other("the pictures", str(_images_at(chosen, pictures)), lab.settings.image_store, pictures)


def move_releases(lab: Lab, to: str, progress: Progress = silent) -> Moved:
    """Copy the releases, and the pointers to the served releases, to another place. `to`: the URL of an object store,
    or `FOLDER`.

    Raises `LabError` if a release that is served cannot be read, or if the new place has releases that are newer than
    the copied ones.
    """
    target = _releases_at(_with_release_store(lab.settings, to))
    scopes, copied, there = lab.releases.scopes(), 0, 0
    lost: list[str] = []
    for done, (kind, scope) in enumerate(scopes, 1):
        before = set(target.place(kind, scope).release_ids())
        done_here = copy_scope(lab.releases.place(kind, scope), target.place(kind, scope))
        copied += done_here.copied
        lost += [f"{kind}/{scope}/{release_id}" for release_id in done_here.left_out]
        there += len(before)
        progress("copying releases", done, len(scopes))
    return Moved("releases", str(lab.releases.root), str(target.root), copied, there, tuple(lost))


def move_pictures(lab: Lab, to: str, releases: str | None = None, progress: Progress = silent) -> Moved:
    """Copy the pictures to `to`: the URL of an object store, or `FOLDER`.

    `releases`: the new place of the releases, if they move together with the pictures.
    Raises `LabError` if one of the places cannot be used.
    """
    target = _images_at(_with_release_store(lab.settings, releases), to)
    try:
        present = {(one.sha256, one.size) for one in target.stored()}
        stored = list(lab.images.stored())
        wanted = [one.sha256 for one in stored if (one.sha256, one.size) not in present]
        lost = copy_images(
            lab.images, target, wanted, lambda done: progress("copying pictures", done, max(len(wanted), 1))
        )
    except StoreError:
        raise
    except OSError as error:
        raise LabError(
            f"the pictures cannot be copied to {target} ({error.strerror or error}); make room or mend the folder, and run "
            "the same command again: it continues where it stopped"
        ) from error
    copied = len(wanted) - len(lost)
    return Moved("pictures", str(lab.images), str(target), copied, len(stored) - len(wanted), tuple(lost))


def _with_release_store(settings: Settings, to: str | None) -> Settings:
    """Return the settings of a lab that keeps its releases in `to`. If `to` is None, return the settings unchanged."""
    if to is None:
        return settings
    from pydantic import SecretStr

    return settings.model_copy(update={"release_store": None if to == FOLDER else SecretStr(to)})


def _releases_at(chosen: Settings) -> ReleaseStore:
    place = release_place(chosen)
    if isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True)
    return ReleaseStore(place)


def _images_at(chosen: Settings, to: str) -> ImageStore:
    if to == FOLDER:
        return ImageFolder(chosen.model_copy(update={"image_store": None}).images)
    return object_images(chosen, to, cache_gib=0)


def _require_other(what: str, target: str, present: "SecretStr | None", to: str) -> None:
    """Raise `LabError` if `to` is the present place. `present`: the URL of the present store, or None if the files are
    on this disk.
    """
    if present is None or to == FOLDER:
        same = present is None and to == FOLDER
    else:
        same = parse_store_url(present.get_secret_value()).place == parse_store_url(to).place
    if same:
        raise LabError(f"{what} are in {target} already; name another place, or change the settings back first")
