"""Read and write the objects under one prefix of a bucket."""

import errno
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from thumblab_core.errors import LabError

_CHUNK = 64 * 2**20
"""The number of bytes that one request of a download reads."""
_PART = 16 * 2**20
"""The number of bytes in one part of an upload."""

_SMALL = 2**20
"""The largest size, in bytes, of an object that `write` sends with `quick`. The time limits of `quick` are too short
for a picture of 50 MiB, which takes minutes on a slow line.
"""

_CODE = re.compile(r"<Code>(\w+)</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_STATUS = re.compile(r"status code: (\d+ [A-Za-z ]+)")


class StoreError(OSError, LabError):
    """The error that is raised if an object store cannot be reached or refuses a request.

    The error has the number EIO, like an error of a disk. So no code mistakes an unreachable store for a damaged file.
    """

    transient = True

    def __init__(self, sentence: str) -> None:
        super().__init__(errno.EIO, sentence)

    def __str__(self) -> str:
        return str(self.strerror)


class StoreAwayError(StoreError):
    """The error that is raised if many requests in a row have failed, see `Outage`. Work on many objects must stop."""


@dataclass(frozen=True)
class Stored:
    """The content of an object, and the tag by which the store recognises this version of the object."""

    content: bytes
    tag: "Tag"


@dataclass(frozen=True)
class Tag:
    """The ETag of a version of an object, and in Google Cloud Storage also its generation."""

    e_tag: str | None
    version: str | None


@dataclass(frozen=True)
class Entry:
    """An object in a list. `modified`: when the object was written, by the clock of the store."""

    key: str
    size: int
    modified: datetime


class Bucket:
    """The objects under one prefix of a bucket. Many threads may use this object at the same time.

    `quick` and `bulk` are obstore stores for this bucket: `quick` for small objects, and `bulk` for files. `shown` is
    the URL without credentials. Every method raises `StoreError` if the store cannot be reached, or refuses the
    request.
    """

    def __init__(self, quick: Any, bulk: Any, shown: str) -> None:
        self._quick = quick
        self._bulk = bulk
        self._shown = shown
        self._is_conditional = False
        self._checking = threading.Lock()

    def __str__(self) -> str:
        return self._shown

    def read(self, key: str, known: Stored | None = None) -> Stored | None:
        """Return a small object, or None if there is none. If the object still has the version `known`, return `known`
        itself.
        """
        import obstore
        from obstore.exceptions import NotModifiedError

        options: Any = None if known is None else {"if_none_match": known.tag.e_tag}
        with self._explained(key):
            try:
                answer = obstore.get(self._quick, key, options=options)
                content = bytes(answer.bytes())
            except NotModifiedError:
                return known
            except FileNotFoundError as error:
                _require_bucket(error)
                return None
        return Stored(content, Tag(answer.meta["e_tag"], answer.meta["version"]))

    def create(self, key: str, content: bytes) -> Stored | None:
        """Write an object that does not exist yet. Return None, and write nothing, if the object exists."""
        return self._write_if(key, content, "create")

    def replace(self, key: str, content: bytes, known: Stored) -> Stored | None:
        """Replace the version `known` of an object. Return None, and write nothing, if the object has another version."""
        tag = {"e_tag": known.tag.e_tag, "version": known.tag.version}
        return self._write_if(key, content, {name: value for name, value in tag.items() if value is not None})

    def write(self, key: str, content: bytes) -> None:
        """Write an object in one request, whether it exists or not.

        A writer that is killed leaves nothing. An upload in parts would leave parts that a listing of the bucket does
        not show.
        """
        import obstore

        store = self._quick if len(content) <= _SMALL else self._bulk
        with self._explained(key):
            obstore.put(store, key, content, use_multipart=False)

    def upload(self, key: str, path: Path) -> None:
        """Write an object with the content of a file."""
        import obstore

        with self._explained(key):
            obstore.put(self._bulk, key, path, chunk_size=_PART)

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the store. Raises `FileNotFoundError` if there is no such object."""
        import obstore

        with self._explained(target):
            obstore.copy(self._bulk, source, target)

    def chunks(self, key: str) -> Iterator[bytes]:
        """Return the content of an object in parts. Raises `FileNotFoundError` if there is no such object."""
        import obstore

        with self._explained(key):
            size = obstore.head(self._quick, key)["size"]
            for start in range(0, size, _CHUNK):
                yield bytes(obstore.get_range(self._bulk, key, start=start, length=min(_CHUNK, size - start)))

    def find(self, key: str) -> Entry | None:
        """Return the size of an object and the time when it was written, or None if there is no such object."""
        import obstore

        with self._explained(key):
            try:
                found = obstore.head(self._quick, key)
            except FileNotFoundError as error:
                _require_bucket(error)
                return None
        return Entry(found["path"], found["size"], found["last_modified"])

    def entries(self, folder: str) -> Iterator[Entry]:
        """Yield all objects below a folder, in the order of their keys. The folder "" is the prefix of the URL."""
        import obstore

        with self._explained(folder):
            for page in obstore.list(self._quick, folder or None):
                yield from (Entry(found["path"], found["size"], found["last_modified"]) for found in page)

    def now(self, folder: str = "") -> datetime:
        """Return the time by the clock of the store. The clock of this machine may be wrong."""
        key = f"{folder}/.clock-{secrets.token_hex(6)}".lstrip("/")
        self.write(key, b"now")
        try:
            written = self.find(key)
        finally:
            self.delete([key])
        if written is None:
            raise StoreError(f"{self} has lost an object that was written a moment ago; check the store")
        return written.modified

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder. The folder "" is the prefix of the URL."""
        import obstore

        with self._explained(folder):
            prefixes = obstore.list_with_delimiter(self._quick, folder or None)["common_prefixes"]
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, if they exist."""
        import obstore

        for key in keys:
            with self._explained(key), suppress(FileNotFoundError):
                obstore.delete(self._quick, key)

    def require_conditional_writes(self) -> None:
        """Raise `LabError` if the store ignores the conditions of `create` and `replace`. A store that passes this
        check is not checked again.

        A store that ignores a condition reports success, so two writers would overwrite each other without an error.
        """
        with self._checking:
            if self._is_conditional:
                return
            key = f".conditional-writes-{secrets.token_hex(6)}"
            try:
                first = self.create(key, b"1")
                honoured = first is not None and self.create(key, b"2") is None
                second = None if first is None else self.replace(key, b"3", first)
                honoured = honoured and first is not None and second is not None
                honoured = honoured and first is not None and self.replace(key, b"4", first) is None
            finally:
                self.delete([key])
            if not honoured:
                raise LabError(
                    f"{self} ignores the conditions of writes (If-None-Match and If-Match), so two writers could "
                    "overwrite each other; use a store or a version of its server that has conditional writes"
                )
            self._is_conditional = True

    def _write_if(self, key: str, content: bytes, mode: Any) -> Stored | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._explained(key):
            try:
                put = obstore.put(self._quick, key, content, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return None
            except FileNotFoundError as error:
                _require_bucket(error)
                return None
        return Stored(content, Tag(put["e_tag"], put["version"]))

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StoreError(
                f"{self} refuses access to {key} ({_reason(error)}); check the credentials and their rights"
            ) from None
        except _NoBucketError as error:
            raise StoreError(
                f"{self} cannot be used for {key} ({error}); make the bucket, or correct the URL"
            ) from None
        except BaseError as error:
            what = f"used for {key}" if key else "listed"
            raise StoreError(f"{self} cannot be {what} ({_reason(error)})") from None


class _NoBucketError(Exception):
    """The error that is raised if the bucket itself does not exist. The text of the error is the server's error code."""


def _require_bucket(error: FileNotFoundError) -> None:
    """Raise `_NoBucketError` if the bucket of a missing object is missing too."""
    code = _CODE.search(str(error))
    if code is not None and code[1] in _NO_BUCKET:
        raise _NoBucketError(code[1]) from None


def _reason(error: Exception) -> str:
    """Return why a request failed. The text of the error is not shown, because it contains the server's answer, which
    may repeat parts of the request's signature.
    """
    text = str(error)
    if code := _CODE.search(text):
        return code[1]
    if status := _STATUS.search(text):
        return f"status {status[1].strip()}"
    if "timed out" in text or "Timeout" in text:
        return "no answer in time"
    if "Connect" in text or "error sending request" in text:
        return "no connection"
    return type(error).__name__
