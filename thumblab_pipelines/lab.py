"""What every step works on: the settings, the database, the image store and the release store."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Engine

from thumblab_core.database.schema import open_database
from thumblab_core.database.server import database_url
from thumblab_core.images import ImageStore
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings, settings


@dataclass(frozen=True)
class Lab:
    """One laboratory: everything it keeps."""

    settings: Settings
    engine: Engine
    images: ImageStore
    releases: ReleaseStore

    @classmethod
    def open(cls, chosen: Settings | None = None) -> Self:
        """Open the laboratory of the settings (this process's own when none are given), migrating its database."""
        chosen = chosen or settings()
        chosen.data_dir.mkdir(parents=True, exist_ok=True)
        engine = open_database(database_url(chosen))
        return cls(chosen, engine, ImageStore(chosen.images), ReleaseStore(chosen.releases))


def inputs_digest(*parts: Any, blobs: Iterable[bytes | memoryview] = ()) -> str:
    """SHA-256 of JSON values, and buffers: what a release was made of (`info["inputs"]`)."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for blob in blobs:
        digest.update(blob)
    return digest.hexdigest()
