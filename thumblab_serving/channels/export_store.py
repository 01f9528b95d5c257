"""Keep the YouTube Studio exports of channels in the data folder until the job `add_channel` has read them."""

import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from thumblab_core.channel_imports.import_folder import (
    EXPORTS,
    FACTS,
    IMPORTS,
    ImportFacts,
    ImportFolder,
    is_import_id,
)
from thumblab_core.channel_imports.report import ImportReport
from thumblab_core.durable_files import age
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_serving.folder_lock import locked

MOST_IMPORTS = 20
"""Maximum number of imports that are kept, of all keys together."""

MOST_UNFINISHED = 3
"""Maximum number of imports of one API key that have not ended."""

KEPT = timedelta(hours=24)
"""How long an import is kept after its exports were sent."""

_LONGEST_WAIT = timedelta(hours=12)
"""After this time, an import without a report counts as ended. The run of the import may wait for other runs, but
Dagster ends the other runs before this time.
"""

_LONGEST_SILENCE = timedelta(hours=3)
"""If the report of an import does not change for this time, the import counts as ended. Dagster ends its run after two
hours.
"""

_ABANDONED_S = 3600.0
"""If an import was never completely stored, its folder is deleted at this age, in seconds."""

_MOST_NAME_BYTES = 200


class TooManyImportsError(LabError):
    """The error for an import that is not stored, because the lab has too many imports already."""


@dataclass(frozen=True)
class StoredImport:
    """An import: its folder in the data folder, and the facts that were stored with it."""

    folder: ImportFolder
    facts: ImportFacts

    @property
    def expires_at(self) -> datetime:
        return self.facts.created_at + KEPT

    def report(self) -> ImportReport | None:
        """Return the present report of the import. Raises `LabError` if the report is damaged."""
        return self.folder.report()

    @property
    def has_ended(self) -> bool:
        """Whether the import has ended: its report says so, or its run is too old to be still active."""
        try:
            report = self.report()
        except LabError:
            return True
        now = datetime.now(UTC)
        if report is None:
            return now - self.facts.created_at > _LONGEST_WAIT
        return report.state != "running" or now - report.updated_at > _LONGEST_SILENCE


class ExportStore:
    """The imports of a lab. Several threads and processes may use the same folder."""

    def __init__(self, settings: Settings) -> None:
        self._data_dir = settings.data_dir
        self._root = settings.data_dir / IMPORTS

    def add(
        self, exports: Sequence[tuple[str | None, bytes]], owner: str, by_lab: bool = False
    ) -> tuple[StoredImport, list[str]]:
        """Store exports, each with the name that its file had. Return the import, and the paths of the files.

        The paths are relative to the data folder. `owner` and `by_lab` say which API key sent the exports (see
        `ImportFacts`). Raises `TooManyImportsError` if too many imports are kept, and `OSError` if the files cannot be
        written.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self._root):
            self.sweep()
            self._require_room(owner)
            folder = ImportFolder(self._data_dir, secrets.token_hex(16))
            folder.path.mkdir(mode=0o700)
            try:
                paths = [_write(folder, place, name, data) for place, (name, data) in enumerate(exports)]
                facts = ImportFacts(datetime.now(UTC), owner, [path.name for path in paths], by_lab)
                # The facts are written last and in one step, because `sweep` deletes a folder whose facts cannot be
                # read.
                folder.write_facts(facts)
            except OSError:
                shutil.rmtree(folder.path, ignore_errors=True)
                raise
        return StoredImport(folder, facts), [str(path.relative_to(self._data_dir)) for path in paths]

    def find(self, import_id: str) -> StoredImport | None:
        """Return the import with this id, or None. The id may be any text, because it may come from a request."""
        if not is_import_id(import_id):
            return None
        folder = ImportFolder(self._data_dir, import_id)
        if (facts := folder.facts()) is None:
            return None
        stored = StoredImport(folder, facts)
        return stored if datetime.now(UTC) < stored.expires_at else None

    def of(self, owner: str) -> list[StoredImport]:
        """Return the imports of the API key with this `owner`, the newest first."""
        found = [self.find(path.name) for path in (self._root.iterdir() if self._root.is_dir() else ())]
        own = [stored for stored in found if stored is not None and stored.facts.owner == owner]
        return sorted(own, key=lambda stored: stored.facts.created_at, reverse=True)

    def remove(self, stored: StoredImport) -> None:
        """Delete an import, with its exports."""
        shutil.rmtree(stored.folder.path, ignore_errors=True)

    def sweep(self) -> None:
        """Delete expired imports, imports that were never completely stored, and exports that the job has read."""
        for path in self._root.iterdir() if self._root.is_dir() else ():
            stored = self.find(path.name)
            with suppress(FileNotFoundError):
                if stored is None and ((path / FACTS).is_file() or age(path) > _ABANDONED_S):
                    shutil.rmtree(path, ignore_errors=True)
                elif stored is not None and stored.has_ended:
                    stored.folder.delete_exports()

    def _require_room(self, owner: str) -> None:
        kept = [stored for path in self._root.iterdir() if (stored := self.find(path.name)) is not None]
        own = sum(stored.facts.owner == owner and not stored.has_ended for stored in kept)
        if own >= MOST_UNFINISHED:
            raise TooManyImportsError(
                f"{MOST_UNFINISHED} imports of this key have not ended yet; send these exports again when an earlier "
                "import has ended"
            )
        ended = sorted((stored for stored in kept if stored.has_ended), key=lambda stored: stored.facts.created_at)
        for stored in ended[: max(0, len(kept) + 1 - MOST_IMPORTS)]:
            self.remove(stored)
            kept.remove(stored)
        if len(kept) >= MOST_IMPORTS:
            raise TooManyImportsError(
                f"{MOST_IMPORTS} imports have not ended yet; send these exports again when an earlier import has ended"
            )


def _write(folder: ImportFolder, place: int, name: str | None, data: bytes) -> Path:
    """Write an export to a file. The file keeps its name, in which Studio gives the channel and the period."""
    path = folder.path / EXPORTS / str(place) / file_name(name, place)
    path.parent.mkdir(mode=0o700, parents=True)
    path.write_bytes(data)
    return path


def file_name(name: str | None, place: int) -> str:
    """Return a file name, made from the name that a request gives to its file.

    Folders in the name are removed, and so are characters that cannot be printed. A name that is too long is cut before
    its ending, such as `.csv`.
    """
    last = re.split(r"[/\\]", name or "")[-1]
    kept = "".join(letter for letter in last if letter.isprintable()).strip(" .")
    stem, dot, ending = kept.rpartition(".")
    while len(kept.encode()) > _MOST_NAME_BYTES:
        if not stem:
            kept = ""
            break
        stem = stem[:-1]
        kept = f"{stem}{dot}{ending}"
    return kept or f"export-{place + 1}.csv"
