"""One batch on the disk: its items, its results, its state.

A batch is a folder with these files:

    facts.json       the facts that are known when the batch is stored
    items.jsonl      its items, a scoring request in each line; deleted when the batch has ended
    results.jsonl    the results so far, one in each line
    progress.json    how many items have a result
    end.json         the final state; it exists once the batch has ended
    cancel           marks a batch that has to be cancelled
    deleted          marks a batch that has to be deleted
    webhook.json     the delivery of the webhook; exists if the batch has one
    lock             locked by the process that works on the batch
    damaged          the name of the damaged file; exists once a worker has found the damage

A process may die at any instruction. A result is valid only when `progress.json` counts it. So the next process
continues after the last counted item.
"""

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from thumblab_core.errors import LabError
from thumblab_core.hosts import url_host
from thumblab_serving.batches.records import DamagedError, Delivery, End, Facts, Progress, append
from thumblab_serving.schemas.batches import BatchOut, BatchState, ItemResult, WebhookOut

FACTS, ITEMS = "facts.json", "items.jsonl"
RESULTS, WEBHOOK = "results.jsonl", "webhook.json"
_PROGRESS, _END, _CANCEL, _LOCK = "progress.json", "end.json", "cancel", "lock"
_DELETED = "deleted"
_DAMAGED = "damaged"


class FullError(LabError):
    """The error for a batch or a result that cannot be stored at the moment, because too much is kept already."""


@dataclass
class Passed:
    """How far the file of a batch's items was already read: the number of items, and the number of bytes.

    The file may have 128 MiB. A worker works on several batches in turn, and must not read the same items again at each
    turn. `digest` is the digest in the batch's facts. It tells a batch from a later batch with the same id and the same
    folder, whose file may even have the same inode.
    """

    digest: str | None = None
    items: int = 0
    size: int = 0


class StoredBatch:
    """A batch in a folder. Several processes may read it. Only the process that has locked the batch works on the
    batch.

    Methods raise `FileNotFoundError` if the batch was deleted, and `DamagedError` if one of its files is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def facts(self) -> Facts:
        facts = Facts.read(self.folder / FACTS)
        if facts is None:
            raise FileNotFoundError(self.folder)
        return facts

    @property
    def progress(self) -> Progress:
        return Progress.read(self.folder / _PROGRESS) or Progress()

    @property
    def end(self) -> End | None:
        """The final state, or None if the batch has not ended."""
        return End.read(self.folder / _END)

    @property
    def delivery(self) -> Delivery | None:
        """The delivery of the webhook, or None if the batch has no webhook."""
        try:
            return Delivery.read(self.folder / WEBHOOK)
        except DamagedError as error:  # The results stay readable if the webhook's file is damaged.
            return Delivery("failed", reason=str(error), next_at=None)

    @property
    def has_ended(self) -> bool:
        """Whether the work on the batch has ended, because the batch has a final state or is damaged."""
        return (self.folder / _END).exists() or self.is_given_up

    @property
    def is_cancelled(self) -> bool:
        """Whether the batch is to be cancelled, or was cancelled."""
        return (self.folder / _CANCEL).exists()

    @property
    def is_deleted(self) -> bool:
        """Whether the batch is marked for deletion. Such a batch is not shown in any answer."""
        return (self.folder / _DELETED).exists()

    def mark_deleted(self) -> None:
        """Mark the batch for deletion, and end it if it has not ended."""
        with suppress(FileNotFoundError):
            (self.folder / _DELETED).touch(0o600)
            (self.folder / _CANCEL).touch(0o600)

    @contextmanager
    def claim(self) -> Iterator[bool]:
        """Lock the batch until the `with` block ends. Yield whether this process got the lock. A process without the
        lock must not work on the batch.

        Does not wait for the lock. If a process dies, the kernel frees the lock of this process.
        """
        try:
            handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            yield False
            return
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                # After the lock file was opened, another process may have deleted the batch and stored a new batch with
                # the same id.
                yield _is_still(self.folder / _LOCK, handle)
        finally:
            os.close(handle)

    def unfinished_items(self, passed: Passed | None = None) -> Generator[tuple[int, bytes], None, None]:
        """Yield the items without a result: the number of each item, counted from 1, and the JSON of the item.

        `passed` says how far an earlier call has read. This call updates `passed`.
        """
        facts, done, passed = self.facts, self.progress.done, passed or Passed()
        try:
            file = (self.folder / ITEMS).open("rb")
        except FileNotFoundError:
            if not self.folder.exists():
                raise
            raise DamagedError(f"its file {ITEMS} is missing") from None
        with file:
            if facts.digest != passed.digest or done < passed.items:
                passed.digest, passed.items, passed.size = facts.digest, 0, 0
            file.seek(passed.size)
            number = passed.items
            for number, line in enumerate(file, passed.items + 1):
                if number > done:
                    yield number, line
                passed.items, passed.size = number, passed.size + len(line)
        if number != facts.items:
            raise DamagedError(f"its file {ITEMS} is damaged")

    def begin_item(self) -> int:
        """Record that work on the next item begins. Return how often this work has begun, including this time."""
        progress = self.progress
        progress = replace(progress, attempts=progress.attempts + 1)
        progress.write(self.folder / _PROGRESS)
        return progress.attempts

    def forget_attempt(self) -> None:
        """Undo the last call of `begin_item`, because a fault of the service stopped the work on the item."""
        progress = self.progress
        replace(progress, attempts=max(0, progress.attempts - 1)).write(self.folder / _PROGRESS)

    def record(self, result: ItemResult, room: int | None = None) -> None:
        """Store the result of the next item. Raises `FullError` if the result has more than `room` bytes."""
        progress, failed = self.progress, result.answer is None or result.answer.verdict is None
        line = result.model_dump_json(exclude_none=False).encode() + b"\n"
        if room is not None and len(line) > room:
            raise FullError(
                "the batches use all of the disk that they may use, so a result cannot be stored; wait until results "
                "expire, or raise THUMBLAB_SERVING_BATCH_DISK_MIB"
            )
        size = append(self.folder / RESULTS, progress.size, line)
        Progress(progress.done + 1, progress.failed + failed, size).write(self.folder / _PROGRESS)

    def cancel(self) -> None:
        """Mark the batch for cancellation. Does nothing if the batch has ended."""
        if not self.has_ended:
            (self.folder / _CANCEL).touch(0o600)

    def finish(self, state: BatchState) -> None:
        """End the batch, and delete its items with their pictures. The results stay."""
        End(state, datetime.now(UTC)).write(self.folder / _END)
        self.drop_items()

    def give_up(self, error: DamagedError) -> None:
        """End a batch that has a damaged file, and delete the batch's items with their pictures."""
        (self.folder / _DAMAGED).write_text(str(error))
        self.drop_items()

    @property
    def is_given_up(self) -> bool:
        return (self.folder / _DAMAGED).exists()

    def require_sound(self) -> None:
        """Raise `DamagedError` if a worker has found that the batch is damaged."""
        with suppress(FileNotFoundError):
            raise DamagedError((self.folder / _DAMAGED).read_text(errors="replace"))

    @property
    def ended_at(self) -> datetime | None:
        """When the batch ended, or was found to be damaged. None if it has not ended."""
        if self.is_given_up:
            return datetime.fromtimestamp((self.folder / _DAMAGED).stat().st_mtime, UTC)
        end = self.end
        return None if end is None else end.finished_at

    def drop_items(self) -> None:
        """Delete the items of a batch that has ended."""
        with suppress(FileNotFoundError):
            (self.folder / ITEMS).unlink()

    def keep_delivery(self, delivery: Delivery) -> None:
        delivery.write(self.folder / WEBHOOK)

    def describe(self, kept_h: float) -> BatchOut:
        """Return the batch and its progress. `kept_h` is how many hours the results of an ended batch are kept."""
        self.require_sound()
        facts, progress, end, delivery = self.facts, self.progress, self.end, self.delivery
        finished_at = None if end is None else end.finished_at
        webhook = None
        if delivery is not None:
            webhook = WebhookOut(
                host=url_host(facts.webhook or ""),
                state=delivery.state,
                attempts=delivery.attempts,
                reason=delivery.reason,
            )
        return BatchOut(
            id=facts.id,
            state=end.state if end is not None else self._unfinished_state(progress),
            items=facts.items,
            done=progress.done,
            failed=progress.failed,
            created_at=facts.created_at,
            deadline_at=facts.deadline_at,
            finished_at=finished_at,
            expires_at=None if finished_at is None else finished_at + timedelta(hours=kept_h),
            results=f"/v1/batches/{facts.id}/results",
            webhook=webhook,
        )

    def _unfinished_state(self, progress: Progress) -> BatchState:
        if self.is_cancelled:
            return BatchState.CANCELLING
        return BatchState.RUNNING if progress.done or progress.attempts else BatchState.WAITING

    def results(self) -> Iterator[bytes]:
        """Return the results so far, one line for each result. A line is JSON, unless the file was damaged on the disk.

        Raises `DamagedError` before the first line if the file is missing or too short.
        """
        self.require_sound()
        progress = self.progress
        if not progress.done:
            return iter(())
        facts = self.facts
        try:
            file = (self.folder / RESULTS).open("rb")
        except FileNotFoundError:
            raise DamagedError(f"its file {RESULTS} is missing") from None
        if progress.done > facts.items or os.fstat(file.fileno()).st_size < progress.size:
            file.close()
            raise DamagedError(f"its file {RESULTS} is damaged")
        return _lines(file, progress)


def _is_still(path: Path, handle: int) -> bool:
    """Return whether `path` still leads to the open file with the descriptor `handle`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _lines(file: BinaryIO, progress: Progress) -> Iterator[bytes]:
    """Yield a line for each finished item, and close the file. If the file has too few lines, yield empty lines."""
    with file:
        for _ in range(progress.done):
            yield file.readline(max(0, progress.size - file.tell()))
