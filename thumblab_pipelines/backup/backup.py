"""Copy a lab into a folder while the lab runs.

Other processes go on writing. The copy is still consistent because of the order of the steps:

1. Copy pictures, artifacts and releases. These three kinds of files never change, so copying them needs no lock.
2. Lock each scope of the release store for a moment. Copy the scope's pointers, and the releases made since step 1. So
   a pointer always points to a release that is in the copy.
3. Take a snapshot of the lab's database. Copy the pictures that are in the snapshot but not in the copy, then dump the
   snapshot. If a missing picture was deleted meanwhile, take a later snapshot, which no longer has the picture's row.
4. Dump Dagster's database, and then MLflow's database. After that, copy the artifacts made since step 1. MLflow stores
   an artifact before the row that refers to the artifact, so the copy has all artifacts of the rows in the dump.
5. Copy the counters of the release store again. A counter gives each release its number, and a dumped row may contain a
   number that was given after step 2.
"""

import importlib.metadata
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from thumblab_core.database.pictures import named_pictures
from thumblab_core.database.revisions import revision_of
from thumblab_core.errors import LabError
from thumblab_core.releases.release import FORMAT as RELEASE_FORMAT
from thumblab_core.releases.release import file_checksum, is_release_id
from thumblab_core.releases.scope_folder import ScopeFolder
from thumblab_core.settings import Settings
from thumblab_pipelines.backup import contents, databases, from_stores
from thumblab_pipelines.backup.contents import (
    ARTIFACTS,
    CHANGING,
    IMAGES,
    RELEASES,
    Manifest,
    is_state,
    lab_folder,
    walk,
)
from thumblab_pipelines.backup.copied_files import CopiedFiles
from thumblab_pipelines.backup.damaged_releases import by_scope, damaged_releases
from thumblab_pipelines.backup.marks import held_mark, write_mark
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent

_MOMENTS = 10
"""Maximum number of snapshots of the database that are tried, if pictures are deleted during the backup."""


@dataclass(frozen=True)
class BackedUp:
    """A finished backup. `copied`: number of files that this run wrote. `kept`: number of files from an earlier
    backup. `damaged`: `KIND/SCOPE/ID` of the releases that are damaged in the lab."""

    folder: Path
    manifest: Manifest
    copied: int
    kept: int
    bytes: int
    seconds: float
    damaged: tuple[str, ...]


def back_up(lab: Lab, folder: Path, progress: Progress = silent) -> BackedUp:
    """Copy the lab into `folder`, and make the folder private (mode 0700). The lab may run during the backup.

    If the folder contains an earlier or an unfinished backup of this lab, only missing files are copied. At the end,
    files that the lab has deleted are removed. The earlier backup stays usable until the new backup is complete. A
    picture to which the lab's database refers stays in the backup, even if the lab has lost the file.

    Raises `LabError` in these cases:
    - A folder of the lab is missing or empty, but the earlier backup has files of this folder.
    - `folder` is inside the lab, or contains other files.
    - Another process is backing up into `folder`.
    - A file or a database cannot be read or written.
    """
    start = time.monotonic()
    folder = folder.expanduser().absolute()
    try:
        with _prepared(folder, lab.settings) as earlier:
            copy = _Copy(lab, folder, earlier, progress)
            manifest = copy.make()
    except OSError as error:
        raise LabError(
            f"the backup stopped at {error.filename or folder} ({error.strerror or error}); make room or mend the folder, "
            "and run the same command again: it continues where it stopped"
        ) from error
    files, seconds = copy.files, time.monotonic() - start
    return BackedUp(folder, manifest, files.copied, files.kept, files.bytes, seconds, tuple(copy.damaged))


@contextmanager
def _prepared(folder: Path, settings: Settings) -> Iterator[dict[str, str]]:
    """Lock the folder of the backup. Yield the checksums of the files that an earlier backup of this lab wrote into the
    folder.
    """
    lab_dir = settings.data_dir.resolve()
    for place in {lab_dir, *(lab_folder(settings, name).resolve() for name in contents.in_folders(settings))}:
        if folder.resolve().is_relative_to(place):
            raise LabError(
                f"{folder} is inside the lab ({place}); name a folder outside the lab, preferably on another disk"
            )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = folder / ".backup-of"
    present = {path.name for path in folder.iterdir()}
    if present and mark.name not in present:
        raise LabError(
            f"{folder} has other files; name an empty folder, or a folder with an earlier backup of this lab"
        )
    with held_mark(mark, f"another process backs up into {folder}") as held:
        of = held.read().strip() or str(lab_dir)
        if of != str(lab_dir):
            raise LabError(f"{folder} has a backup of {of}; name another folder for the backup of {lab_dir}")
        write_mark(held, str(lab_dir))
        folder.chmod(0o700)  # The backup contains the API keys and all data of the database.
        earlier: dict[str, str] = {}
        with suppress(LabError):  # If the earlier backup is missing or damaged, its files are read again.
            earlier = contents.read_sums(folder, Manifest.read(folder))
        yield earlier


@dataclass
class _Copy:
    """One running backup."""

    lab: Lab
    folder: Path
    earlier: dict[str, str]
    progress: Progress
    schema: str = ""
    damaged: list[str] = field(default_factory=list)
    files: CopiedFiles = field(init=False)

    def __post_init__(self) -> None:
        self.files = CopiedFiles(self.folder, self.earlier)

    def make(self) -> Manifest:
        """Copy everything in the order that this module's docstring gives. Write the manifest, and return it."""
        self._require_sources()
        state = self._new_state()
        for name in (RELEASES, ARTIFACTS, IMAGES):
            self._copy_fixed(name)
        self._copy_scopes(state)
        missing = self._dump(state)
        self._copy_fixed(ARTIFACTS)
        self._copy_changing(state)
        self._copy_numbers(state)
        self._require_sources()  # Check again, because a network folder may have been disconnected during the copy.
        for path in walk(self.folder / state):
            self.files.sums[f"{state}/{path}"] = file_checksum(self.folder / state / path)
        sums = contents.write_sums(self.folder / state, self.files.sums)
        settings = self.lab.settings
        manifest = Manifest(
            format=contents.FORMAT,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            version=importlib.metadata.version("thumblab"),
            schema=self.schema,
            release_format=RELEASE_FORMAT,
            data_dir=str(settings.data_dir.resolve()),
            state=state,
            sums=sums,
            databases=list(databases.NAMES),
            settings=sorted(settings.model_fields_set - contents.PLACES),
            missing=sorted(missing),
            left_out=contents.unknown_files(settings.data_dir),
        )
        os.sync()  # The manifest marks the backup as complete, so all other files must be on the disk before it.
        manifest.write(self.folder)
        self._remove_others(state)
        return manifest

    def _require_sources(self) -> None:
        """Raise `LabError` if a folder of the lab has no files, but the backup has files of this folder.

        The lab has probably lost the folder, and the backup may contain the last copy of its files.
        """
        for name in contents.in_folders(self.lab.settings):
            source, target = lab_folder(self.lab.settings, name), self.folder / name
            if _has_files(name, target) and not _has_files(name, source):
                what = "is empty" if source.is_dir() else "is missing"
                raise LabError(
                    f"{source} {what}, and a new backup would delete the copies of its files in {target}; mount or "
                    f"restore {source}; if the lab itself has deleted all files of {source}, name an empty folder for "
                    "the backup"
                )

    def _new_state(self) -> str:
        used = [path.name.removeprefix("state-") for path in self.folder.glob("state-*")]
        state = f"state-{1 + max((int(number) for number in used if number.isdigit()), default=0)}"
        for part in (contents.FILES, contents.DATABASES):
            (self.folder / state / part).mkdir(parents=True)
        return state

    def _copy_fixed(self, name: str, only: Collection[PurePosixPath] | None = None) -> None:
        """Copy the unchanging files of a folder, except files that are already in the backup. Skip a file that is
        deleted meanwhile."""
        if name not in contents.in_folders(self.lab.settings):
            if name == IMAGES:
                from_stores.copy_pictures(self.lab.images, self.files, only, self.progress)
            return
        source = lab_folder(self.lab.settings, name)
        paths = list(walk(source)) if only is None else list(only)
        wanted = [path for path in paths if _is_fixed(name, path)]
        for done, path in enumerate(wanted, 1):
            if (key := f"{name}/{path}") not in self.files.sums:
                with suppress(FileNotFoundError):
                    kept = self.files.keep_same(source / path, key, never_changes=name != ARTIFACTS)
                    self.files.sums[key] = kept or self.files.copy(source / path, self.folder / key)
            if not done % 50 or done == len(wanted):
                self.progress(f"copying {name}", done, len(wanted))

    def _copy_scopes(self, state: str) -> None:
        """Copy the new releases and the pointers of each scope, while no process writes to the scope.

        Releases that were deleted since the first copy are left out of the backup.
        """
        if RELEASES not in contents.in_folders(self.lab.settings):
            state_of = self._releases_in(state)
            self.damaged = from_stores.copy_scopes(self.lab.releases, self.files, state_of, self.progress)
            return
        root = self.lab.settings.releases
        copied, earlier = by_scope(self.files.sums), by_scope(self.files.earlier)
        for scope in sorted(path for path in root.glob("*/*") if path.is_dir()):
            place = PurePosixPath(scope.relative_to(root).as_posix())
            with ScopeFolder(root, place.parts[0], place.parts[1]).writing():
                files = [place / path for path in walk(scope)]
                self._copy_fixed(RELEASES, files)
                for path in [path for path in files if is_state(path)]:
                    self.files.copy(root / path, self._releases_in(state) / path)
                releases = sorted(path.name for path in scope.iterdir() if is_release_id(path.name))
            for key in set(copied.get(place, ())).difference(f"{RELEASES}/{path}" for path in files):
                del self.files.sums[key]
            self.damaged += damaged_releases(self.files, place, releases, earlier.get(place, ()))

    def _dump(self, state: str) -> set[str]:
        """Dump all databases. Return the SHA-256 of each picture to which the lab's database refers, but whose file the
        lab has lost.
        """
        folder = self.folder / state / contents.DATABASES
        missing: set[str] = set()
        for done, name in enumerate(databases.NAMES):
            self.progress("dumping databases", done, len(databases.NAMES))
            url, file = databases.url_of(self.lab.settings, name), folder / f"{name}.dump"
            if name == databases.LAB:
                missing = self._dump_with_pictures(url, file)
            else:
                databases.dump(url, file)
        self.progress("dumping databases", len(databases.NAMES), len(databases.NAMES))
        return missing

    def _dump_with_pictures(self, url: str, file: Path) -> set[str]:
        for moment in range(1, _MOMENTS + 1):
            with databases.snapshot(url) as (connection, snapshot_id):
                named = {PurePosixPath(sha256[:2], sha256[2:]) for sha256 in named_pictures(connection)}
                self._copy_fixed(IMAGES, sorted(named))
                missing = {"".join(path.parts) for path in named if f"{IMAGES}/{path}" not in self.files.sums}
                if not missing or moment == _MOMENTS or not self._deleted_meanwhile(missing):
                    databases.dump(url, file, snapshot_id)
                    self.schema = revision_of(connection) or ""
                    break
        for sha256 in missing:
            self._keep_lost(sha256)
        return missing

    def _keep_lost(self, sha256: str) -> None:
        """Keep the backup's copy of a picture that the lab has lost, unless this copy is damaged."""
        key = f"{IMAGES}/{sha256[:2]}/{sha256[2:]}"
        with suppress(FileNotFoundError):
            if file_checksum(self.folder / key) == sha256:
                self.files.sums[key] = sha256
                self.files.kept += 1

    def _deleted_meanwhile(self, missing: set[str]) -> bool:
        """Return whether a picture in `missing` was deleted from the lab's database since the snapshot was taken."""
        with self.lab.engine.connect() as connection:
            return not missing <= named_pictures(connection)

    def _copy_changing(self, state: str) -> None:
        for name in CHANGING:
            source, target = self.lab.settings.data_dir / name, self.folder / state / contents.FILES
            paths = [PurePosixPath(name) / path for path in walk(source)] if source.is_dir() else [PurePosixPath(name)]
            for path in paths:
                with suppress(FileNotFoundError):
                    self.files.copy(self.lab.settings.data_dir / path, target / path)

    def _copy_numbers(self, state: str) -> None:
        if RELEASES not in contents.in_folders(self.lab.settings):
            from_stores.copy_numbers(self.lab.releases, self._releases_in(state))
            return
        root = self.lab.settings.releases
        for file in root.glob("*/*/NUMBER"):
            self.files.copy(file, self._releases_in(state) / file.relative_to(root))

    def _releases_in(self, state: str) -> Path:
        return self.folder / state / contents.FILES / RELEASES

    def _remove_others(self, state: str) -> None:
        """Remove the files that the new backup does not name: states of earlier backups, and files that the lab has
        deleted.
        """
        for earlier in self.folder.glob("state-*"):
            if earlier.name != state:
                shutil.rmtree(earlier)
        for name in contents.FIXED:
            for kept in walk(self.folder / name):
                if f"{name}/{kept}" not in self.files.sums:
                    (self.folder / name / kept).unlink()
            _remove_empty(self.folder / name)


def _is_fixed(name: str, path: PurePosixPath) -> bool:
    """Return whether a file never changes. Return False for a file that is still being written, and for a file of the
    release store that is not in a release."""
    if any(part.startswith((".new-", ".staging-", ".aside-")) for part in path.parts):
        return False
    return name != RELEASES or (len(path.parts) > 3 and is_release_id(path.parts[2]))


def _has_files(name: str, folder: Path) -> bool:
    return any(_is_fixed(name, path) for path in walk(folder))


def _remove_empty(folder: Path) -> None:
    for place, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(place).rmdir()
