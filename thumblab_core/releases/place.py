"""Find the place where the lab keeps its releases. The settings choose a folder or an object store."""

from functools import lru_cache
from pathlib import Path

from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_core.releases.file_cache import FileCache
from thumblab_core.releases.scope_objects import ObjectPlaces
from thumblab_core.settings import Settings

POLL_S = 1.0
"""Seconds for which the service uses a pointer that it has read from an object store. Every request reads pointers."""

_GIB = 2**30


def release_place(settings: Settings) -> Path | ObjectPlaces:
    """Return the place of the releases, for `ReleaseStore`. Raises `LabError` if the URL of the store cannot be used."""
    return _place(settings, 0.0)


def polled_place(settings: Settings) -> Path | ObjectPlaces:
    """Return the place of the releases for the service. The service does not ask an object store at every request.

    If a pointer moves, the service sees the new pointer after at most `POLL_S` seconds and one request to the store.
    """
    return _place(settings, POLL_S)


def shown_place(settings: Settings) -> str:
    """Return the folder or the URL of the releases, without credentials."""
    url = settings.release_store
    return str(settings.releases if url is None else parse_store_url(url.get_secret_value()))


def _place(settings: Settings, fresh_s: float) -> Path | ObjectPlaces:
    url = settings.release_store
    if url is None:
        return settings.releases
    return _object_places(url.get_secret_value(), settings.release_cache, settings.release_cache_gib, fresh_s)


@lru_cache(maxsize=4)
def _object_places(url: str, cache: Path, gib: float, fresh_s: float) -> ObjectPlaces:
    return ObjectPlaces(open_bucket(parse_store_url(url)), FileCache(cache, int(gib * _GIB)), fresh_s)
