"""Define the files of a backup, their names and their checksums.

<backup>/manifest.json                     written last: without this file, the backup is not complete
<backup>/state-<n>/SHA256SUMS              the checksum of every file of the backup, as `sha256sum -c` reads it
<backup>/state-<n>/databases/<name>.dump   what pg_dump wrote
<backup>/state-<n>/files/...               files of the data folder that may change, such as keys and pointers
<backup>/images, releases, mlflow-artifacts   files that never change; the next backup into the same folder keeps them
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from thumblab_core.channel_imports.import_folder import IMPORTS
from thumblab_core.durable_files import sync
from thumblab_core.errors import LabError
from thumblab_core.releases.release import file_checksum
from thumblab_core.settings import Settings

FORMAT = 1
"""The format of the backups that this version of the lab writes. This version reads no other format."""

IMAGES, RELEASES, ARTIFACTS = "images", "releases", "mlflow-artifacts"
FIXED = (IMAGES, RELEASES, ARTIFACTS)
"""The folders whose files never change. The exceptions are a few small files of the release store, see `is_state`."""

PLACES = frozenset(("data_dir", "database_url", "release_dir", "release_store", "image_store"))
"""The settings that say where a lab keeps its data. A restored lab has other values for these settings."""

CHANGING = (
    "api-key",
    "api-keys.json",
    "mlflow-port",
    "dagster-port",
    "scoring-port",
    "emulator-port",
    "library-note",
    "models",
    "batches",
    "candidates",
    IMPORTS,
)
"""The files and folders of the data folder that every backup copies again."""

LEFT_OUT = {
    "postgres": "the databases are dumped",
    "dagster": "Dagster's runs are in its database; their console output is left out",
    "running.json": "it says which servers run now",
    "running.heartbeat": "it says that the servers run now",
    "winners.html": "a page that `thumblab demo` makes again",
    "logs": "of no use elsewhere",
    "training": "checkpoints of unfinished trainings",
    "fine-tuning": "checkpoints of unfinished fine-tunings",
    "evaluations": "labs of `thumblab evaluate --catalogue`, which are made again",
    "niches.json": "it is made again from the table of niches",
    "release-cache": "copies from an object store",
    "image-cache": "copies from an object store",
    "demo.lock": "a lock",
    "api-keys.lock": "a lock",
    "monitoring.lock": "a lock",
    "monitoring.json": "it says what runs and what fails now",
    "restoring": "the mark of an unfinished restore",
}
"""The items of the data folder that a backup does not copy, and why. The folder `demo` is left out, because it is
another lab."""

MANIFEST, SUMS, FILES, DATABASES = "manifest.json", "SHA256SUMS", "files", "databases"


@dataclass(frozen=True)
class Manifest:
    """The facts that a backup stores about itself.

    `schema`: revision of the lab's tables. `release_format`: newest format of the lab's releases. `data_dir`: the
    folder that was copied. `state`: name of the folder with the files that may change. `sums`: checksum of the file
    SHA256SUMS. `databases`: names of the dumps. `settings`: names of the settings that the lab had. `missing`: SHA-256
    of the pictures to which the database refers, but which the lab had lost; the backup may still contain these
    pictures. `left_out`: files of the data folder that were not copied because this version does not know these files.
    """

    format: int
    made_at: str
    version: str
    schema: str
    release_format: int
    data_dir: str
    state: str
    sums: str
    databases: list[str]
    settings: list[str]
    missing: list[str]
    left_out: list[str]

    @classmethod
    def read(cls, backup: Path) -> "Manifest":
        """Return the manifest of a backup. Raises `LabError` if the manifest is missing, damaged or of another
        format."""
        path = backup / MANIFEST
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise LabError(
                f"{backup} has no finished backup: {MANIFEST} is missing; name the folder of a finished backup"
            ) from None
        except OSError as error:
            raise LabError(f"{path} cannot be read ({error.strerror})") from None
        except ValueError:
            raise LabError(f"{path} is damaged; use another backup") from None
        if not isinstance(content, dict) or not isinstance(content.get("format"), int):
            raise LabError(f"{path} is damaged; use another backup")
        if content["format"] != FORMAT:
            raise LabError(
                f"{backup} has the format {content['format']}, and this version of the lab reads format {FORMAT}; use "
                f"version {content.get('version', 'unknown')} of the lab, which made the backup"
            )
        try:
            manifest = cls(**content)
        except TypeError:
            raise LabError(f"{path} is damaged; use another backup") from None
        _safe(manifest.state)
        return manifest

    def write(self, backup: Path) -> None:
        """Write the manifest of a backup. After a crash, the file has the old or the new content, never a part of it."""
        aside = backup / f".{MANIFEST}.new"
        aside.write_text(json.dumps(asdict(self), indent=1) + "\n")
        sync(aside)
        aside.replace(backup / MANIFEST)
        sync(backup)


def is_state(path: PurePosixPath) -> bool:
    """Return whether the file `path` of the release store may change.

    The files of a scope (its pointers, history, holds and counters) may change. The files of a release never change.
    """
    return len(path.parts) == 3 and not path.name.startswith(".")


def in_folders(settings: Settings) -> tuple[str, ...]:
    """Return the names in `FIXED` of the folders that are on this disk, not in an object store."""
    stores = {RELEASES: settings.release_store, IMAGES: settings.image_store}
    return tuple(name for name in FIXED if stores.get(name) is None)


def lab_folder(settings: Settings, name: str) -> Path:
    """Return the folder of the lab that the backup stores under `name`."""
    if name == RELEASES:
        return settings.releases
    return settings.images if name == IMAGES else settings.data_dir / name


def unknown_files(data_dir: Path) -> list[str]:
    """Return the sorted names of files in a data folder that this version neither copies nor knows."""
    names = {path.name for path in data_dir.iterdir()} if data_dir.is_dir() else set()
    labs = {name for name in names if (data_dir / name / "postgres").exists()}
    return sorted(names - labs - {*FIXED, *CHANGING, *LEFT_OUT})


def read_sums(backup: Path, manifest: Manifest) -> dict[str, str]:
    """Return the checksum of each file of a backup. Raises `LabError` if the file SHA256SUMS is damaged."""
    path = backup / manifest.state / SUMS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}); use another backup") from None
    if hashlib.sha256(content).hexdigest() != manifest.sums:
        raise LabError(f"{path} does not match its checksum; use another backup")
    sums = dict(line.split("  ", 1)[::-1] for line in content.decode().splitlines())
    for name in sums:
        _safe(name)
    return sums


def write_sums(folder: Path, sums: Mapping[str, str]) -> str:
    """Write the file SHA256SUMS into the folder, and return the checksum of this file."""
    content = "".join(f"{checksum}  {name}\n" for name, checksum in sorted(sums.items())).encode()
    (folder / SUMS).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def faults(backup: Path, manifest: Manifest) -> Iterator[tuple[int, int, str | None]]:
    """Read every file of a backup. For each file, yield the number of files read so far, the number of all files, and
    the fault of this file or None."""
    sums = read_sums(backup, manifest)
    for done, (name, expected) in enumerate(sorted(sums.items()), 1):
        path, fault = backup / name, None
        try:
            if path.is_symlink() or not path.is_file():
                fault = f"{name} is missing"
            elif file_checksum(path) != expected:
                fault = f"{name} does not match its checksum"
        except OSError as error:
            fault = f"{name} cannot be read ({error.strerror})"
        yield done, len(sums), fault


def walk(folder: Path) -> Iterator[PurePosixPath]:
    """Yield the path of every file below a folder, relative to the folder. Skip links, and files that are deleted
    meanwhile.

    Raises `OSError` if a folder exists but cannot be read.
    """
    for place, folders, names in os.walk(folder, onerror=_raise_unless_gone):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield PurePosixPath(path.relative_to(folder).as_posix())


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _safe(name: str) -> None:
    """Raise `LabError` unless `name` is a path inside the backup. A backup may come from a person who is not
    trusted."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise LabError(f"the backup lists the file {name!r}, which is outside the backup; use another backup")
