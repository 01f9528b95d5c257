"""The lab on which every pipeline step works: its settings, database, image store and release store."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Engine

from thumblab_core.data_folder import make_data_folder, require_lab
from thumblab_core.database.schema import open_database
from thumblab_core.database.urls import database_url
from thumblab_core.image_store import ImageStore, image_store
from thumblab_core.niches.store import niche_names, update_niche_file
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings, settings


@dataclass(frozen=True)
class Lab:
    """An opened lab, with access to all data of the lab."""

    settings: Settings
    engine: Engine
    images: ImageStore
    releases: ReleaseStore

    @classmethod
    def open(cls, chosen: Settings | None = None) -> Self:
        """Open the lab that the settings `chosen` describe, and migrate its database. If the file that lists the niches
        differs from the database, write the file again.

        Without `chosen`, this process's settings are used. Raises `LabError` if the data folder or the database cannot
        be used.
        """
        chosen = chosen or settings()
        make_data_folder(chosen.data_dir)
        engine = open_database(database_url(chosen))
        update_niche_file(engine, chosen.data_dir)
        return cls(chosen, engine, image_store(chosen), ReleaseStore(release_place(chosen)))

    @classmethod
    def existing(cls, chosen: Settings | None = None) -> Self:
        """Open a lab that already exists, in the same way as `open`.

        Commands that only read or change existing data use this method, so that they never make a new lab. Raises
        `LabError` if there is neither a data folder nor an external database.
        """
        chosen = chosen or settings()
        if chosen.database_url is None:
            require_lab(chosen.data_dir)
        return cls.open(chosen)

    @property
    def niches(self) -> tuple[str, ...]:
        """The names of the niches that are not retired, in the order in which they were added."""
        return niche_names(self.engine)


def inputs_digest(*parts: Any, blobs: Iterable[bytes | memoryview] = ()) -> str:
    """Return the SHA-256 of the JSON values `parts` and the byte buffers `blobs`.

    A release stores the digest of everything that it was made from in `info["inputs"]`. If two releases have the same
    digest, they were made from the same inputs.
    """
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for blob in blobs:
        digest.update(blob)
    return digest.hexdigest()
