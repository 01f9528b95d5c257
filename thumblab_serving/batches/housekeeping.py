"""End batches in time, delete old batches and send webhooks. A separate thread does this work, so the work does not
wait for the scoring of items.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from thumblab_serving.batches.batch_store import BatchStore
from thumblab_serving.batches.stored_batch import StoredBatch
from thumblab_serving.batches.webhooks import Webhooks

IDLE_S = 2.0
"""Seconds between two checks of the batches on the disk."""

_SWEEP_S = 60.0

_log = logging.getLogger("thumblab_serving")


class Repeater:
    """A thread that calls `step` repeatedly until the thread is stopped.

    If `step` returns False or raises an error, the thread waits `IDLE_S` seconds before the next call. `wake` ends this
    wait. `what` is a text for the log if `step` raises an error. It says which work is not done, such as "batches are
    not deleted".
    """

    def __init__(self, name: str, step: Callable[[], bool], what: str) -> None:
        self._step, self._what = step, what
        self._woken = threading.Event()
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """End the wait, so that `step` is called now."""
        self._woken.set()

    def stop(self) -> None:
        """Stop the thread after the present call of `step`."""
        self.stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        logged = None
        while not self.stopping.is_set():
            self._woken.clear()
            try:
                worked = self._step()
                logged = None
            except Exception as error:  # noqa: BLE001  a full disk or a deleted folder must not end the thread
                worked, failure = False, f"{self._what} ({type(error).__name__}: {error})"
                if failure != logged:  # Log each failure once, and not every two seconds.
                    _log.error("%s", failure, exc_info=error)
                    logged = failure
            if not worked:
                self._woken.wait(IDLE_S)


class Housekeeper:
    """The thread that ends batches, deletes batches and sends webhooks. This thread does not wait for the scoring of
    items.
    """

    def __init__(self, store: BatchStore, webhooks: Webhooks) -> None:
        self._store = store
        self._webhooks = webhooks
        self._next_sweep = 0.0
        self._thread = Repeater(
            "batches-housekeeping", self._round, "batches are not ended or deleted, and webhooks are not sent"
        )
        self.start, self.wake, self.stop = self._thread.start, self._thread.wake, self._thread.stop

    def _round(self) -> bool:
        self._end_overdue()
        self._store.delete_marked()
        if time.monotonic() >= self._next_sweep:
            self._store.sweep()
            self._next_sweep = time.monotonic() + _SWEEP_S
        silent: set[str] = set()  # The hosts whose webhooks failed in this round.
        for batch in self._store.undelivered():
            if self._thread.stopping.is_set():
                break
            with self._store.sparing_others(batch):
                # A webhook may take ten seconds. A host that does not answer must not delay the webhooks to other hosts.
                host = urlsplit(batch.facts.webhook or "").netloc
                if host not in silent and not self._deliver(batch):
                    silent.add(host)
            self._end_overdue()  # A webhook may take ten seconds, so end overdue batches after each webhook.
        return False

    def _end_overdue(self) -> None:
        """End the batches that were cancelled or whose deadline has passed.

        A batch that a worker has claimed is left out. The worker itself ends the batch before its next picture.
        """
        for batch in self._store.unfinished():
            with self._store.sparing_others(batch):
                if self._store.is_overdue(batch):
                    with batch.claim() as claimed:
                        if claimed and not batch.has_ended:
                            self._store.end_overdue(batch)

    def _deliver(self, batch: StoredBatch) -> bool:
        """Send the webhook of a batch, if no other process sends it at the moment. Return False if the attempt failed."""
        with batch.claim() as claimed:
            delivery = batch.delivery
            if not claimed or delivery is None or delivery.next_at is None or delivery.next_at > time.time():
                return True
            if self._store.is_revoked(batch):
                batch.keep_delivery(replace(delivery, state="failed", reason="its API key was revoked", next_at=None))
                return True
            begun, described = self._webhooks.begun(delivery), self._store.describe(batch)
            batch.keep_delivery(begun)
            if begun.state == "failed":
                return False
            after = self._webhooks.deliver(batch.facts.webhook or "", described, begun)
            batch.keep_delivery(after)
            return after.state == "delivered"
