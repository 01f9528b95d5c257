"""Keep batches in the data folder of the lab, and delete them when they expire."""

import hashlib
import json
import logging
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from thumblab_core.durable_files import age, sync
from thumblab_core.errors import LabError
from thumblab_core.keys.shares import share_of_key
from thumblab_core.settings import Settings
from thumblab_serving.batches.records import DamagedError, Delivery, Facts
from thumblab_serving.batches.stored_batch import FACTS, ITEMS, WEBHOOK, FullError, StoredBatch
from thumblab_serving.folder_lock import locked
from thumblab_serving.schemas.batches import BatchOut, BatchRequest, BatchState, ItemResult, Place

MOST_UNFINISHED = 20
"""Maximum number of batches of one API key that have not ended. Further batches are refused until a batch has ended."""

MOST_KEPT = 1_000
"""Maximum number of batches of one API key. With more, the check of all batches every few seconds would take long."""

_ID = re.compile(r"[0-9a-f]{32}")
_NEW = ".new-"
"""Beginning of the name of a folder whose batch is still being written."""

_ABANDONED_S = 3600.0
"""If a batch was never completely written, its folder is deleted at this age, in seconds."""

_log = logging.getLogger("thumblab_serving")


class TooLargeBatchError(LabError):
    """The error for a single batch that is larger than the share of the disk that its key may use."""


class ChangedRequestError(LabError):
    """The error for an idempotency key that was sent with a different request before."""


class BatchStore:
    """All batches of a lab. Several threads and processes may use the same folder.

    `is_revoked` returns whether the API key of an owner was revoked.
    """

    def __init__(self, settings: Settings, is_revoked: Callable[[str], bool] = lambda owner: False) -> None:
        self._is_revoked = is_revoked
        self._root = settings.data_dir / "batches"
        self._limit = settings.serving_batch_disk_mib * 2**20
        self._limit_of_key = share_of_key(self._limit)
        self._kept_h = settings.serving_batch_kept_h
        self._left_out: set[str] = set()

    def add(
        self,
        request: BatchRequest,
        owner: str,
        idempotency_key: str | None,
        before_new: Callable[[], None] = lambda: None,
    ) -> tuple[BatchOut, bool]:
        """Store a batch of the API key named `owner`. Return the batch, and whether the batch is new.

        If the owner already has a batch with this idempotency key, that batch is returned and nothing is stored. Calls
        `before_new` before a new batch is stored. If `before_new` raises an error, nothing is stored.

        Raises `ChangedRequestError` if the owner sent the idempotency key with a different request before. Raises
        `FullError` if too much is stored already. Raises `TooLargeBatchError` if the batch alone is larger than the
        share of the disk that one API key may use. Raises `OSError` if the batch cannot be written.
        """
        batch_id = secrets.token_hex(16) if idempotency_key is None else _id_of(owner, idempotency_key)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._root / f"{_NEW}{secrets.token_hex(8)}"
        new.mkdir(mode=0o700)
        try:
            facts = _write(new, batch_id, request, owner)
            with locked(self._root):
                known = self.find(batch_id)
                if known is not None:
                    try:
                        return self._again(known, facts), False
                    except DamagedError:  # Replace the damaged batch, because it was sent again.
                        self._delete(known)
                elif StoredBatch(self._root / batch_id).is_deleted:
                    raise FullError("the batch of this Idempotency-Key is being deleted; send it again in a minute")
                self._check_space(new, owner)
                before_new()
                new.rename(self._root / batch_id)
            sync(self._root)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return StoredBatch(self._root / batch_id).describe(self._kept_h), True

    def record(self, batch: StoredBatch, result: ItemResult) -> None:
        """Store the result of the next item of a batch. Raises `FullError` if too much is stored already.

        Each API key may use only a share of the disk. This share limits new batches, but not results. Otherwise the
        items of a key could fill its share, no result would fit, and the key's batches could never end.
        """
        whole, _ = self._kept(batch.facts.key)
        batch.record(result, max(0, self._limit - whole))

    def find(self, batch_id: str) -> StoredBatch | None:
        """Return the batch with this id, or None. The id may be any text, because it may come from a request."""
        batch = self._at(batch_id)
        return None if batch is None or batch.is_deleted else batch

    def page(self, owner: str, limit: int, after: Place | None) -> tuple[list[BatchOut], Place | None]:
        """Return at most `limit` batches of an owner, the newest first. The page begins after the place `after`.

        The second result is the place after which the next page begins, or None if there is no further page. A batch
        with a damaged or unreadable file is left out.
        """
        own: list[tuple[Place, StoredBatch]] = []
        for batch in self._all():
            with self.sparing_others(batch), suppress(DamagedError):
                facts = batch.facts
                if facts.key == owner and not batch.is_deleted:
                    own.append((Place(facts.created_at, facts.id), batch))
        own = [(place, batch) for place, batch in own if after is None or place < after]
        own.sort(key=lambda pair: pair[0], reverse=True)
        found: list[BatchOut] = []
        for _, batch in own[:limit]:
            with self.sparing_others(batch), suppress(DamagedError):
                found.append(self.describe(batch))
        return found, own[limit - 1][0] if len(own) > limit else None

    def delete(self, batch: StoredBatch) -> None:
        """Delete a batch with its results. If a process is working on the batch, the batch is deleted later."""
        with batch.claim() as claimed:
            if claimed:
                self._delete(batch)
                return
        batch.mark_deleted()

    def describe(self, batch: StoredBatch) -> BatchOut:
        """Return the batch and its progress."""
        return batch.describe(self._kept_h)

    def unfinished(self) -> list[StoredBatch]:
        """Return the batches that have not ended, the oldest first. A batch that cannot be read is left out and logged."""
        batches = []
        for batch in self._all():
            with self.sparing_others(batch):
                if not batch.has_ended and not batch.is_deleted:
                    batches.append((batch.facts.created_at, batch))
        return [batch for _, batch in sorted(batches, key=lambda pair: pair[0])]

    def unfinished_by_key(self) -> dict[str, list[StoredBatch]]:
        """Return the batches that have not ended, by owner. The oldest batch of each owner comes first."""
        of_owner: dict[str, list[StoredBatch]] = {}
        for batch in self.unfinished():
            with suppress(OSError, DamagedError):
                of_owner.setdefault(batch.facts.key, []).append(batch)
        return of_owner

    def undelivered(self) -> list[StoredBatch]:
        """Return the ended batches whose webhook has to be sent now."""
        found = []
        for batch in self._all():
            with self.sparing_others(batch):
                delivery = batch.delivery
                due = delivery is not None and delivery.next_at is not None and delivery.next_at <= time.time()
                if due and batch.end is not None and not batch.is_deleted:
                    batch.require_sound()
                    found.append(batch)
        return found

    def delete_marked(self) -> None:
        """Delete the batches that are marked for deletion, if no process works on them any more."""
        for batch in self._all():
            with self.sparing_others(batch):
                if batch.is_deleted:
                    self.delete(batch)

    def sweep(self) -> None:
        """Delete expired batches, and folders of batches that were never completely written."""
        for batch in self._all():
            with self.sparing_others(batch):
                ended_at = batch.ended_at
                if ended_at is not None:
                    batch.drop_items()  # Usually, the items were deleted already when the batch ended.
                    if datetime.now(UTC) >= ended_at + timedelta(hours=self._kept_h):
                        self._delete(batch)
        for folder in self._root.glob(f"{_NEW}*"):
            with suppress(FileNotFoundError):
                if age(folder) > _ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def give_up(self, batch: StoredBatch, error: DamagedError) -> None:
        """End a batch that has a damaged file. Its files are not read again, so this batch delays no other batches."""
        _log.error("the batch %s cannot continue and was ended: %s", batch.folder.name, error)
        batch.give_up(error)

    def is_overdue(self, batch: StoredBatch) -> bool:
        """Return whether the batch has to end now, because it was cancelled or its deadline has passed.

        A batch whose API key was revoked counts as cancelled.
        """
        if batch.is_cancelled:
            return True
        facts = batch.facts
        return datetime.now(UTC) >= facts.deadline_at or self._is_revoked(facts.key)

    def is_revoked(self, batch: StoredBatch) -> bool:
        """Return whether the API key that sent the batch was revoked."""
        return self._is_revoked(batch.facts.key)

    def end_overdue(self, batch: StoredBatch) -> bool:
        """End a batch that is overdue. Return whether the batch has ended."""
        if not self.is_overdue(batch):
            return False
        is_cancelled = batch.is_cancelled or self.is_revoked(batch)
        batch.finish(BatchState.CANCELLED if is_cancelled else BatchState.DEADLINE_PASSED)
        return True

    @contextmanager
    def sparing_others(self, batch: StoredBatch) -> Iterator[None]:
        """Log an error of the `with` block and do not raise it again, so that the work on other batches continues.

        If a file of the batch is damaged, `give_up` ends the batch. An error of the operating system is logged once.
        """
        try:
            try:
                yield
            except DamagedError as error:
                if not batch.is_given_up:
                    self.give_up(batch, error)
        except FileNotFoundError:  # Another process has deleted the batch.
            return
        except OSError as error:
            if batch.folder.name not in self._left_out:  # Log once. Each batch is checked every few seconds.
                self._left_out.add(batch.folder.name)
                _log.error("the batch %s cannot be used (%s: %s)", batch.folder.name, type(error).__name__, error)

    def _delete(self, batch: StoredBatch) -> None:
        """Delete a batch. Its folder is renamed first, so that no reader finds a batch without some of its files."""
        gone = self._root / f"{_NEW}{secrets.token_hex(8)}"
        with suppress(FileNotFoundError):  # Another process deletes the batch at this moment.
            batch.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _kept(self, owner: str) -> tuple[int, int]:
        """Return how many bytes all batches take on the disk, and how many bytes the batches of an owner take."""
        whole = own = 0
        for batch in self._all():
            with suppress(OSError, DamagedError):  # A batch that cannot be read must not block other batches.
                size = _size(batch.folder)
                whole += size
                own += size if batch.facts.key == owner else 0
        return whole, own

    def _all(self) -> Iterator[StoredBatch]:
        if not self._root.is_dir():
            return
        for folder in sorted(self._root.iterdir()):
            batch = self._at(folder.name)
            if batch is not None:
                yield batch

    def _at(self, batch_id: str) -> StoredBatch | None:
        """Return the batch with this id, even if it is marked for deletion."""
        if not _ID.fullmatch(batch_id) or not (self._root / batch_id / FACTS).is_file():
            return None
        return StoredBatch(self._root / batch_id)

    def _again(self, known: StoredBatch, facts: Facts) -> BatchOut:
        """Return `known` and its progress. Raises `ChangedRequestError` if `known` was stored for another request."""
        if known.facts.digest != facts.digest:
            raise ChangedRequestError(
                "this Idempotency-Key was sent with another request before; use a new key for a new request"
            )
        return self.describe(known)

    def _check_space(self, new: Path, owner: str) -> None:
        """Raise an error if the disk has no room for a new batch of an owner. `new` is the folder of the batch."""
        own = unfinished = 0
        for batch in self._all():
            with suppress(OSError, DamagedError):
                if batch.facts.key == owner:
                    own, unfinished = own + 1, unfinished + (not batch.has_ended)
        if unfinished >= MOST_UNFINISHED:
            raise FullError(
                f"{MOST_UNFINISHED} batches of this key have not ended yet; send this batch when one of them has ended"
            )
        if own >= MOST_KEPT:
            raise FullError(f"{MOST_KEPT:,} batches of this key are kept; delete some, or wait until they expire")
        size = _size(new)
        if size > self._limit_of_key:
            raise TooLargeBatchError(
                f"this batch has {size / 2**20:.1f} MiB, and a key may take {self._limit_of_key / 2**20:g} MiB, a quarter "
                "of THUMBLAB_SERVING_BATCH_DISK_MIB; send fewer items or smaller pictures, or raise this setting"
            )
        whole, kept = self._kept(owner)
        for what, used, limit in (
            ("the batches on the disk take", whole, self._limit),
            ("the batches of this key, which may take a quarter of the disk, take", kept, self._limit_of_key),
        ):
            if used + size > limit:
                raise FullError(
                    f"{what} {used / 2**20:.1f} of {limit / 2**20:g} MiB, and this batch has {size / 2**20:.1f} MiB; delete "
                    "batches, wait until results expire, or raise THUMBLAB_SERVING_BATCH_DISK_MIB"
                )


def _id_of(owner: str, idempotency_key: str) -> str:
    return hashlib.sha256(json.dumps(["idempotency-key", owner, idempotency_key]).encode()).hexdigest()[:32]


def _write(folder: Path, batch_id: str, request: BatchRequest, owner: str) -> Facts:
    """Write the files of a new batch into an empty folder, and sync them to the disk. Return the facts of the batch."""
    digest = hashlib.sha256(f"{request.deadline_s} {request.webhook}\n".encode())
    with (folder / ITEMS).open("wb") as file:
        for item in request.items:
            line = item.model_dump_json(exclude_unset=True).encode() + b"\n"
            digest.update(line)
            file.write(line)
    sync(folder / ITEMS)
    now = datetime.now(UTC)
    facts = Facts(
        batch_id,
        len(request.items),
        digest.hexdigest(),
        now,
        now + timedelta(seconds=request.deadline_s),
        request.webhook,
        owner,
    )
    facts.write(folder / FACTS)
    if request.webhook is not None:
        Delivery().write(folder / WEBHOOK)
    return facts


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder. Files that are deleted in the meantime count as 0."""
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
