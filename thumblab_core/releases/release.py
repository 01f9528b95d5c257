"""Read and verify one release: its manifest, and its files by their checksums."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from thumblab_core.errors import LabError

FORMAT = 2
"""The format of the releases that this version of the lab writes.

Since format 2, the release of an index may contain changes (`changes.json`). Releases of format 1 are still read.
"""
_READABLE_FORMATS = (1, FORMAT)

INDEX, PAIRS, MODEL, ENCODER = "index", "pairs", "model", "encoder"
"""Kinds of releases. Each niche is a scope of indices. Each encoder model with its weights is a scope of encoders.

Pairs and models have the scope `ALL`.
"""
FACE_HEAD = "face_head"
"""Kind of the releases of matching heads. The fingerprint of each face embedder is a scope."""
ALL = "all"

IN_PLACE_OF = "in_place_of"
"""The entry of `Release.info` with the `place_in_history` of the release that this release replaces."""

_MISSING_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_RELEASE_ID = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")


class ReleaseError(LabError):
    """Raised if a release is missing, damaged or of an unknown format, or if it cannot be written or removed."""


class UnreadError(ReleaseError):
    """Raised if the operating system could not read a release this time. The release may be undamaged."""

    transient = True


class NewerFormatError(ReleaseError):
    """Raised if a newer version of the lab made a release. The release is whole, so nothing may replace or delete it."""


class BusyError(ReleaseError):
    """Raised if another process kept a scope locked for longer than this process waits."""

    transient = True


class FilesSource(Protocol):
    """The place from which the files of a release are copied to this machine's disk."""

    def folder(self, release: "Release") -> Path:
        """Return the folder with the files of the release. Missing files are copied first. Raises `ReleaseError` if a
        file cannot be copied.
        """

    def mend(self, release: "Release", name: str) -> None:
        """Copy a file again, because it does not match its checksum. Raises `ReleaseError` if that is impossible."""


@dataclass(frozen=True)
class Release:
    """One published release. `info` is what `publish` was given. `files` maps a file name to the file's SHA-256.

    `number` rises with every publication in the scope. It is 0 in releases by older versions, which had no numbers.
    `place` is the folder of the release. If the release is in an object store, `source` copies its files to this
    folder when they are first needed.
    """

    kind: str
    scope: str
    release_id: str
    place: Path
    created_at: str
    run_id: str | None
    info: dict[str, Any]
    files: dict[str, str]
    number: int = 0
    source: FilesSource | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields to send to another process. The other process gets the folder, but no connection to an
        object store.
        """
        return {**vars(self), "source": None}

    @property
    def path(self) -> Path:
        """The folder with the files of the release.

        Raises `ReleaseError` if the release is in an object store, and a file cannot be copied from there.
        """
        return self.place if self.source is None else self.source.folder(self)

    @property
    def order(self) -> tuple[int, str]:
        """Key that sorts the releases of a scope from the oldest to the newest.

        Releases are ordered by number, never by time, because a clock can step back. Releases without a number come
        first, in the order of their ids.
        """
        return self.number, self.release_id

    @property
    def place_in_history(self) -> tuple[int, str]:
        """The `order` of the release that this release replaces, or its own `order`.

        A release that was published again without removed videos is new, but a rollback treats it as the older release.
        """
        number, release_id = self.info.get(IN_PLACE_OF, self.order)
        return int(number), str(release_id)

    def verify(self, known: Mapping[str, str] | None = None) -> None:
        """Raise `ReleaseError` if the manifest has changed since its publication, or if a file does not match its
        checksum.

        `known` has the checksums of the files that the caller has already verified, by file name. If the manifest has
        the same checksum for such a file, the file is not read again.
        """
        if not self.release_id.endswith(content_digest(self.files, self.info)):
            raise ReleaseError(
                f"{self}: the manifest has changed since it was published; roll back, or publish the release again"
            )
        folder = self.path
        for name, expected in self.files.items():
            if known is not None and known.get(name) == expected:
                continue
            with _explained_read_errors(f"{self}: {name} cannot be read"):
                checksum = file_checksum(folder / name)
            if checksum != expected and not self.mend(name):
                raise ReleaseError(
                    f"{self}: {name} does not match its checksum; roll back, or publish the release again"
                )

    def mend(self, name: str) -> bool:
        """Copy a damaged file again from the object store. Return False if the release is not in an object store.

        Raises `ReleaseError` if the file in the object store is damaged too.
        """
        if self.source is None:
            return False
        self.source.mend(self, name)
        return True

    def read(self, name: str) -> bytes:
        """Return the content of a file without verifying it.

        Raises `ReleaseError` if the file is missing, and `UnreadError` if the system could not read the file this time.
        """
        with _explained_read_errors(f"{self}: {name} cannot be read"):
            return (self.path / name).read_bytes()

    def __str__(self) -> str:
        return f"{self.kind}/{self.scope}/{self.release_id}"


def read_release(kind: str, scope: str, release_id: str, path: Path) -> Release:
    """Return the release whose manifest is in the folder `path`. Its other files are not read.

    Raises `ReleaseError` if the manifest is missing, damaged or of an unknown format. If a newer version of the lab
    wrote the manifest, this error is a `NewerFormatError`. Raises `UnreadError` if the manifest could not be read this
    time.
    """
    if not is_release_id(release_id):
        raise ReleaseError(f"{release_id!r} is not the id of a release")
    with _explained_read_errors(_unreadable(kind, scope, release_id)):
        content = (path / "manifest.json").read_bytes()
    return parse_manifest(kind, scope, release_id, content, path)


def parse_manifest(
    kind: str, scope: str, release_id: str, content: bytes, place: Path, source: FilesSource | None = None
) -> Release:
    """Return the release with the manifest `content`. The errors are those of `read_release`."""
    try:
        manifest = json.loads(content)
        if manifest["format"] not in _READABLE_FORMATS:
            newer = isinstance(manifest["format"], int) and manifest["format"] > FORMAT
            raise (NewerFormatError if newer else ReleaseError)(
                f"{kind}/{scope}/{release_id} has format {manifest['format']}; this version reads up to format {FORMAT}. "
                "Update the lab"
            )
        return Release(
            kind,
            scope,
            release_id,
            place,
            manifest["created_at"],
            manifest["run_id"],
            dict(manifest["info"]),
            dict(manifest["files"]),
            int(manifest.get("number", 0)),
            source,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{_unreadable(kind, scope, release_id)} ({error})") from None


def _unreadable(kind: str, scope: str, release_id: str) -> str:
    return f"{kind}/{scope}/{release_id} has no readable manifest"


def is_release_id(name: str) -> bool:
    """Return whether a name has the form of a release id."""
    return _RELEASE_ID.fullmatch(name) is not None


def content_digest(files: Mapping[str, str], info: Mapping[str, Any]) -> str:
    """Return eight hex digits of the SHA-256 of `files` and `info`. A release id ends with the digits of its release."""
    return hashlib.sha256(json.dumps([files, info], sort_keys=True).encode()).hexdigest()[:8]


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, as hex digits. Raises `OSError` if the file cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def was_not_read(error: BaseException | None) -> bool:
    """Return whether `error`, or an error that caused it, means that an existing file could not be read this time.

    If the result is True, it is not known whether the file is damaged. Libraries that parse files also raise `OSError`
    for a damaged file. Such an error has no `errno`, and the result for it is False.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, _MISSING_FILE):
            return True
        error = error.__cause__ or error.__context__
    return False


def require_damage(release: Release, error: BaseException) -> None:
    """Raise `UnreadError` if `error` means that the release could not be read this time, see `was_not_read`.

    Code that catches `error` must call this before it treats the release as damaged.
    """
    if was_not_read(error):
        raise UnreadError(f"{release} cannot be read now ({error}); try again later") from error


@contextmanager
def _explained_read_errors(problem: str) -> Iterator[None]:
    """Turn `OSError` in the `with` block into `UnreadError` or `ReleaseError`.

    `UnreadError` means that a file exists but could not be read this time, see `was_not_read`.
    """
    try:
        yield
    except OSError as error:
        if not was_not_read(error):
            raise ReleaseError(f"{problem} ({error})") from error
        raise UnreadError(
            f"{problem} now ({error}); try again later, and remove the release if the error stays"
        ) from error
