"""Open the place where the lab keeps its pictures. The settings decide whether this place is a folder or an object
store.
"""

import shutil
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.image_store.cache import ImageCache
from thumblab_core.image_store.folder import ImageFolder
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.image_store.store import ImageStore
from thumblab_core.object_store.store_url import StoreUrl, open_bucket, parse_store_url
from thumblab_core.settings import Settings
from thumblab_core.settings import settings as settings_of_process

_WHAT = "image store"
_LIMITS = {"connect_timeout": "2s", "timeout": "10s"}
"""The time limits of a request for a picture. A thumbnail has about 100 KB, and a picture at most 50 MiB."""
_GIB = 2**30


def image_store(settings: Settings) -> ImageStore:
    """Return the store of the pictures. Raises `LabError` if the URL of an object store cannot be used."""
    if settings.image_store is None:
        return ImageFolder(settings.images)
    return object_images(settings, settings.image_store.get_secret_value())


def object_images(settings: Settings, text: str, cache_gib: float | None = None) -> ImageObjects:
    """Return the pictures in the object store with the URL `text`. Raises `LabError` if the URL cannot be used.

    `cache_gib`: the limit of the cache instead of the one in the settings. With 0, no picture is kept on this disk.

    The pictures and the releases must be in two different folders of a bucket. In the folder of the releases, each
    folder counts as a kind of releases.
    """
    url = parse_store_url(text, _WHAT)
    if settings.release_store is not None:
        releases = parse_store_url(settings.release_store.get_secret_value())
        if url.overlaps(releases):
            raise LabError(
                f"the pictures ({url}) and the releases ({releases}) need two folders, neither inside the other; set "
                "THUMBLAB_IMAGE_STORE and THUMBLAB_RELEASE_STORE to two prefixes such as lab/images and lab/releases"
            )
    return _opened(url, settings.image_cache, settings.image_cache_gib if cache_gib is None else cache_gib)


def delete_unused_cache(settings: Settings) -> None:
    """Delete the cache of pictures if the lab no longer keeps pictures in an object store.

    Without this function, the copies in the unused cache would stay on the disk. Raises `OSError` if the cache cannot
    be deleted.
    """
    if settings.image_store is None:
        with suppress(FileNotFoundError):
            shutil.rmtree(settings.image_cache)


@lru_cache(maxsize=4)
def _opened(url: StoreUrl, cache: Path, gib: float) -> ImageObjects:
    return ImageObjects(
        open_bucket(url, _LIMITS), ImageCache(cache, int(gib * _GIB)), partial(_reopened, url.place, str(url))
    )


def _reopened(place: tuple[str, ...], shown: str) -> ImageStore:
    """Return the image store of this process's settings. Raises `LabError` unless it is the store at `place`.

    `place`: see `StoreUrl.place`. `shown`: the URL for the error.
    """
    chosen = settings_of_process()
    here, host = image_store(chosen), place[1]
    url = chosen.image_store
    if url is None or parse_store_url(url.get_secret_value(), _WHAT).place != place:
        raise LabError(
            f"a worker reads pictures from {here}, but they are in {shown}{f' at {host}' if host else ''}; set "
            "THUMBLAB_IMAGE_STORE and its credentials in the environment of every node"
        )
    return here
