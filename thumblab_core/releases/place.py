"""Find the place of the releases that the settings choose: a folder, or an object store."""

from functools import lru_cache
from pathlib import Path

from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_core.releases.file_cache import FileCache
from thumblab_core.releases.scope_objects import ObjectPlaces
from thumblab_core.settings import Settings

SERVICE_FRESH_S = 1.0
"""Seconds for which the service uses a pointer that it has read from an object store. Every request reads pointers."""

_GIB = 2**30


def release_place(settings: Settings, fresh_s: float = 0.0) -> Path | ObjectPlaces:
    """Return the place of the releases, for `ReleaseStore`. `fresh_s`: see `ObjectPlaces`.

    Raises `LabError` if the URL of the store cannot be used.
    """
    url = settings.release_store
    if url is None:
        return settings.releases
    return _object_places(url.get_secret_value(), settings.release_cache, settings.release_cache_gib, fresh_s)


@lru_cache(maxsize=4)
def _object_places(url: str, cache: Path, gib: float, fresh_s: float) -> ObjectPlaces:
    return ObjectPlaces(open_bucket(parse_store_url(url)), FileCache(cache, int(gib * _GIB)), fresh_s)
