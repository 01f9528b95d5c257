"""One batch on the disk: its items, its results, its state.

A batch is a folder with these files:

    facts.json       what is known when the batch is stored
    items.jsonl      its items, a scoring request in each line; deleted when the batch has ended
    results.jsonl    the results so far, one in each line
    progress.json    how many items have a result
    end.json         the final state; it exists once the batch has ended
    cancel           exists once the batch is to be cancelled
    webhook.json     the delivery of the webhook; exists if the batch has one
    lock             locked by the process that works on the batch

A process may die at any instruction. A result counts only once `progress.json` says so. So the next process continues
after the last finished item.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from thumblab_serving.batches.records import Delivery, End, Facts, Progress, append
from thumblab_serving.schemas.batches import BatchOut, BatchState, ItemResult, WebhookOut

FACTS, ITEMS = "facts.json", "items.jsonl"
RESULTS, WEBHOOK = "results.jsonl", "webhook.json"
_PROGRESS, _END, _CANCEL, _LOCK = "progress.json", "end.json", "cancel", "lock"


class StoredBatch:
    """A batch in a folder. Several processes may read it. Only the one that holds its lock works on it.

    Methods raise `FileNotFoundError` if the batch was deleted.
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
        return Delivery.read(self.folder / WEBHOOK)

    @property
    def has_ended(self) -> bool:
        return (self.folder / _END).exists()

    @property
    def is_cancelled(self) -> bool:
        """Whether the batch is to be cancelled, or was cancelled."""
        return (self.folder / _CANCEL).exists()

    @contextmanager
    def claim(self) -> Iterator[bool]:
        """Yield whether this process may work on the batch until the block ends.

        The kernel frees the lock of a process that dies.
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
                yield True
        finally:
            os.close(handle)

    def unfinished_items(self) -> Iterator[tuple[int, bytes]]:
        """Yield the items without a result: the number of each, from 1, and its JSON."""
        done = self.progress.done
        with (self.folder / ITEMS).open("rb") as file:
            for number, line in enumerate(file, 1):
                if number > done:
                    yield number, line

    def begin_item(self) -> int:
        """Count that an item is begun. Return how often it was begun, with this time."""
        progress = self.progress
        progress = replace(progress, attempts=progress.attempts + 1)
        progress.write(self.folder / _PROGRESS, durable=False)
        return progress.attempts

    def forget_attempt(self) -> None:
        """Take back the last `begin_item`, because the item was not tried to its end for a reason of the service."""
        progress = self.progress
        replace(progress, attempts=max(0, progress.attempts - 1)).write(self.folder / _PROGRESS, durable=False)

    def record(self, result: ItemResult) -> None:
        """Store the result of the next item."""
        progress, failed = self.progress, result.answer is None or result.answer.verdict is None
        line = result.model_dump_json(exclude_none=False).encode() + b"\n"
        size = append(self.folder / RESULTS, progress.size, line)
        Progress(progress.done + 1, progress.failed + failed, size).write(self.folder / _PROGRESS)

    def cancel(self) -> None:
        """Ask for the end of the batch. Does nothing if the batch has ended."""
        if not self.has_ended:
            (self.folder / _CANCEL).touch(0o600)

    def finish(self, state: BatchState) -> None:
        """End the batch, and delete its items with their pictures. The results stay."""
        End(state.value, datetime.now(UTC).isoformat()).write(self.folder / _END)
        self.drop_items()

    def drop_items(self) -> None:
        """Delete the items of a batch that has ended."""
        with suppress(FileNotFoundError):
            (self.folder / ITEMS).unlink()

    def keep_delivery(self, delivery: Delivery) -> None:
        delivery.write(self.folder / WEBHOOK)

    def describe(self, kept_h: float) -> BatchOut:
        """Return the batch and its progress. `kept_h` is how many hours the results of an ended batch are kept."""
        facts, progress, end, delivery = self.facts, self.progress, self.end, self.delivery
        finished_at = None if end is None else datetime.fromisoformat(end.finished_at)
        webhook = None
        if delivery is not None:
            state = delivery.state if delivery.state in ("delivered", "failed") else "waiting"
            host = urlsplit(facts.webhook or "").hostname or ""
            webhook = WebhookOut.model_validate(
                {"host": host, "state": state, "attempts": delivery.attempts, "reason": delivery.reason}
            )
        return BatchOut(
            id=facts.id,
            state=BatchState(end.state) if end is not None else self._unfinished_state(progress),
            items=facts.items,
            done=progress.done,
            failed=progress.failed,
            created_at=datetime.fromisoformat(facts.created_at),
            deadline_at=facts.deadline,
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
        """Yield the results so far, a line of JSON each."""
        size = self.progress.size
        if not size:
            return
        with (self.folder / RESULTS).open("rb") as file:
            while file.tell() < size:
                yield file.readline()
