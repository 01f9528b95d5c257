"""Restore a lab from a backup into an empty data folder and empty databases.

The whole backup is verified before anything is written. While the restore runs, a mark (the file `restoring`) in the
data folder stops every other command. A restore that was stopped is started from the beginning. The new restore first
removes the files that the stopped restore wrote. The mark contains the path of the folder of the releases, because this
folder may be elsewhere.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from thumblab_core.data_folder import RESTORING
from thumblab_core.database.revisions import known_revisions
from thumblab_core.durable_files import sync
from thumblab_core.embedded_postgres import location, server
from thumblab_core.errors import LabError
from thumblab_core.releases.release import FORMAT as RELEASE_FORMAT
from thumblab_core.settings import Settings
from thumblab_pipelines.backup import contents, databases
from thumblab_pipelines.backup.contents import FIXED, Manifest, lab_folder
from thumblab_pipelines.backup.marks import held_mark, write_mark
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.run_locks import RunLocks

_FAULTS_NAMED = 3


@dataclass(frozen=True)
class Restored:
    """A restored lab. `files`: number of files of the lab. `interrupted`: number of Dagster runs that were running when
    the backup was made."""

    manifest: Manifest
    data_dir: Path
    files: int
    interrupted: int


def verify(backup: Path, progress: Progress = silent) -> Manifest:
    """Read every file of a backup. Return the manifest of the backup.

    Raises `LabError` if a file is damaged or missing, or if a newer version of the lab made the backup.
    """
    backup = backup.expanduser().absolute()
    manifest = Manifest.read(backup)
    newer = manifest.schema not in known_revisions()
    if newer or manifest.release_format > RELEASE_FORMAT:
        what = f"schema {manifest.schema}" if newer else f"release format {manifest.release_format}"
        raise LabError(
            f"{backup} was made by version {manifest.version} of the lab ({what}), which is newer than the installed "
            "version; install that version, and restore the backup with it"
        )
    found = []
    for done, total, fault in contents.faults(backup, manifest):
        if fault is not None:
            found.append(fault)
        if not done % 50 or done == total:
            progress("checking the backup", done, total)
    if found:
        more = f", and {len(found) - _FAULTS_NAMED} files more" if len(found) > _FAULTS_NAMED else ""
        raise LabError(
            f"{backup} is damaged: {'; '.join(found[:_FAULTS_NAMED])}{more}. If the lab still runs, delete these files "
            f"and back up again (`sha256sum -c --quiet {manifest.state}/{contents.SUMS}` in the folder lists all); "
            "otherwise use another backup"
        )
    for name in manifest.databases:
        databases.require_readable(_dump(backup, manifest, name))
    return manifest


def restore(backup: Path, settings: Settings, progress: Progress = silent) -> Restored:
    """Restore a backup into a new lab. `settings` says where the new lab has its data folder and databases.
    The folder and the databases must be empty.

    Raises `LabError` if the folder or a database is not empty, if `verify` finds a fault, or if a file or a database
    cannot be written. Also raises `LabError` if another process is restoring a lab into the same data folder.
    """
    backup = backup.expanduser().absolute()
    data_dir = settings.data_dir
    if len(contents.in_folders(settings)) < len(FIXED):
        raise LabError(
            "a lab is restored into folders on this disk; unset THUMBLAB_RELEASE_STORE and THUMBLAB_IMAGE_STORE, restore, "
            "and then copy the files to an object store with `thumblab move`"
        )
    if not (data_dir / RESTORING).exists():
        _require_room(settings)
    manifest = verify(backup, progress)
    layouts = {name: databases.Layout.of(_dump(backup, manifest, name)) for name in manifest.databases}
    if settings.database_url is not None:
        for name, layout in sorted(layouts.items(), key=lambda item: item[0] != databases.LAB):
            databases.require_fitting(databases.url_of(settings, name), name, layout)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with _marked(backup, settings) as stopped:
            return _restored(backup, manifest, settings, layouts, stopped, progress)
    except OSError as error:
        raise LabError(
            f"the restore stopped at {error.filename or data_dir} ({error.strerror or error}); make room or mend "
            "the folder, and run the same command again: it starts from the beginning"
        ) from error


@contextmanager
def _marked(backup: Path, settings: Settings) -> Iterator[bool]:
    """Stop every other command from using the data folder, until the block ends without an error.

    If an earlier restore was stopped, remove its files and yield True. Otherwise yield False. Raises `LabError` if the
    data folder has other files.
    """
    mark = settings.data_dir / RESTORING
    with held_mark(mark, f"another process restores a lab into {settings.data_dir}") as held:
        if said := held.read():
            _remove_stopped(said, settings)
        try:
            _require_room(settings, stopped=bool(said))
        except LabError:
            if not said:
                # `restore` found the folder empty before it called this function. So another restore has filled the
                # folder meanwhile. The lab of the other restore is complete and needs no mark.
                mark.unlink()
            raise
        write_mark(held, json.dumps({"backup": str(backup), "releases": str(settings.releases.absolute())}))
        sync(mark)
        yield bool(said)
        mark.unlink()


def _restored(
    backup: Path,
    manifest: Manifest,
    settings: Settings,
    layouts: dict[str, databases.Layout],
    stopped: bool,
    progress: Progress,
) -> Restored:
    urls = {name: databases.url_of(settings, name) for name in manifest.databases}
    for name, url in urls.items():
        databases.require_empty(url, name, stopped)
    for name, url in urls.items():
        databases.prepare(url, layouts[name], own=settings.database_url is None)
    files = _copy_files(backup, manifest, settings, progress)
    for done, (name, url) in enumerate(urls.items()):
        progress("restoring databases", done, len(urls))
        databases.restore(url, _dump(backup, manifest, name))
    progress("restoring databases", len(urls), len(urls))
    databases.bring_up_to_date(urls[databases.LAB])
    interrupted = databases.unfinished_runs(urls["dagster"])
    for run_id in interrupted:
        RunLocks(settings.data_dir).mark_abandoned(run_id)
    os.sync()
    return Restored(manifest, settings.data_dir, files, len(interrupted))


def _remove_stopped(mark: str, settings: Settings) -> None:
    """Remove the files of a stopped restore from the data folder, and from the folder of the releases.

    `mark`: the content of the mark file. It says which folder has the releases.
    """
    data_dir = settings.data_dir
    if settings.database_url is None:
        server.stop(settings, force=True)
        home = location.find_home(data_dir)
        if home is not None and home.parent != data_dir.resolve():
            shutil.rmtree(home)
    folders = [data_dir]
    # An older version of the lab wrote a mark without the folder of the releases.
    with suppress(ValueError, TypeError, KeyError):
        folders.append(Path(json.loads(mark)["releases"]))
    for folder in filter(Path.is_dir, folders):
        for path in folder.iterdir():
            if path.name != RESTORING:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _require_room(settings: Settings, stopped: bool = False) -> None:
    """Raise `LabError` unless the folders and the database of the new lab are missing or empty."""
    data_dir = settings.data_dir
    for folder in {data_dir, settings.releases}:
        if folder.is_dir() and any(path.name != RESTORING for path in folder.iterdir()):
            raise LabError(
                f"{folder} is not empty, and a lab is restored only into a new folder; set THUMBLAB_DATA_DIR to a folder "
                "that is empty or missing"
            )
    if settings.database_url is not None:
        databases.require_empty(databases.url_of(settings, databases.LAB), databases.LAB, stopped)


def _copy_files(backup: Path, manifest: Manifest, settings: Settings, progress: Progress) -> int:
    """Copy the files of the backup to their places in the lab. Return the number of files."""
    sums = contents.read_sums(backup, manifest)
    files = PurePosixPath(manifest.state, contents.FILES)
    copied = 0
    for done, name in enumerate(sorted(sums), 1):
        path = PurePosixPath(name)
        place = path.relative_to(files) if path.is_relative_to(files) else path
        if place is path and path.parts[0] not in FIXED:
            continue  # This file is a dump of a database, and `databases.restore` reads it.
        target = lab_folder(settings, place.parts[0]).joinpath(*place.parts[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        # The file may contain a key. So the file is private until it gets the mode of its copy in the backup.
        target.touch(mode=0o600)
        shutil.copyfile(backup / name, target, follow_symlinks=False)
        shutil.copymode(backup / name, target, follow_symlinks=False)
        copied += 1
        if not done % 50 or done == len(sums):
            progress("copying files", done, len(sums))
    return copied


def _dump(backup: Path, manifest: Manifest, name: str) -> Path:
    if name not in databases.NAMES:
        raise LabError(
            f"the backup has a database {name!r}, which this version of the lab does not know; update the lab"
        )
    return backup / manifest.state / contents.DATABASES / f"{name}.dump"
