"""Work on the batches: a thread that scores their items one after the other while nobody else waits for an answer."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import ValidationError

from thumblab_core.errors import LabError
from thumblab_serving.batches.batch_store import BatchStore
from thumblab_serving.batches.foreground import Foreground
from thumblab_serving.batches.stored_batch import StoredBatch
from thumblab_serving.batches.webhooks import Webhooks
from thumblab_serving.loading.served_releases import NotReadyError
from thumblab_serving.schemas.answer import ScoreAnswer
from thumblab_serving.schemas.batches import BatchItem, BatchState, ItemResult
from thumblab_serving.scoring.intake import Source
from thumblab_serving.scoring.scorer import Scorer

LEAST_PACE_S = 5.0
"""Seconds after which a batch examines its next picture even if other requests never pause."""

_IDLE_S = 2.0
"""Seconds between two looks for batches that another process stored, or that another process no longer works on."""

_SWEEP_S = 60.0
_NOT_READY_S = 5.0
_MOST_ATTEMPTS = 2
"""How often an item is begun. If the process died each time, the item gets an error, so that the others go on."""

_log = logging.getLogger("thumblab_serving")


class _Interrupted(Exception):  # noqa: N818  it is no error: the work goes on later
    """Raised between two pictures of an item if the service stops, or if the batch has to end."""


class BatchWorker:
    """The thread that works on the batches of a lab. Each process of the service has one.

    `on_answer` is called with each answer.
    """

    def __init__(
        self,
        store: BatchStore,
        scorer: Scorer,
        foreground: Foreground,
        webhooks: Webhooks,
        on_answer: Callable[[ScoreAnswer], None],
    ) -> None:
        self._store = store
        self._scorer = scorer
        self._foreground = foreground
        self._webhooks = webhooks
        self._on_answer = on_answer
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._next_sweep = 0.0
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look for batches now, because one was stored or cancelled."""
        self._woken.set()

    def stop(self) -> None:
        """Stop after the picture that is being examined. The batch goes on when the service starts again."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()
        self._webhooks.close()

    def _run(self) -> None:
        logged = None
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                worked = self._round()
                logged = None
            except Exception as error:  # noqa: BLE001  a full disk or a deleted folder must not end the thread
                worked, failure = False, f"batches are not worked on ({type(error).__name__}: {error})"
                if failure != logged:
                    _log.error("%s", failure, exc_info=error)
                    logged = failure
            if not worked:
                self._woken.wait(_IDLE_S)

    def _round(self) -> bool:
        """Work on the oldest batch that no other process works on. Return whether there may be more to do at once."""
        if time.monotonic() >= self._next_sweep:
            self._store.sweep()
            self._next_sweep = time.monotonic() + _SWEEP_S
        self._deliver()
        for batch in self._store.unfinished():
            with batch.claim() as claimed:
                if claimed and not batch.has_ended:
                    return self._work(batch)
        return False

    def _work(self, batch: StoredBatch) -> bool:
        """Score the items of a batch. Return False if the batch has to wait, because the service is not ready."""
        for number, line in batch.unfinished_items():
            if self._stopping.is_set() or self._store.end_overdue(batch):
                return True
            tries = batch.begin_item()
            try:
                result = self._result(batch, number, line, tries)
            except _Interrupted:
                batch.forget_attempt()
                if not self._stopping.is_set():
                    self._store.end_overdue(batch)
                return True
            except NotReadyError as error:
                batch.forget_attempt()
                _log.warning("the batch %s waits: %s", batch.facts.id, error)
                self._stopping.wait(_NOT_READY_S)
                return False
            try:
                batch.record(result)
            except OSError:  # The disk may be full. The item is not to blame, so the attempt does not count.
                with suppress(OSError):
                    batch.forget_attempt()
                raise
        batch.finish(BatchState.DONE)
        self._deliver()
        return True

    def _result(self, batch: StoredBatch, number: int, line: bytes, tries: int) -> ItemResult:
        """Return the result of an item. An item that cannot be scored has an error."""
        try:
            item = BatchItem.model_validate_json(line)
        except ValidationError:  # Another version of the lab stored the item.
            return ItemResult(item=number, id=f"item {number}", error="this version of the lab cannot read the item")
        if tries > _MOST_ATTEMPTS:
            error = f"the service stopped {_MOST_ATTEMPTS} times while it scored this item; score it alone to see why"
            return ItemResult(item=number, id=item.id, error=error)
        sources = [Source(t.id, base64=t.image_base64, url=t.url, title=t.title) for t in item.thumbnails]
        try:
            answer = self._scorer.score(sources, item, pace=lambda: self._pace(batch))
        except (_Interrupted, NotReadyError):
            raise
        except LabError as error:
            return ItemResult(item=number, id=item.id, error=str(error))
        except Exception as error:  # noqa: BLE001  one item must not stop the others
            _log.error("item %d of the batch %s failed", number, batch.facts.id, exc_info=error)
            text = "something went wrong inside the service; its log has the details"
            return ItemResult(item=number, id=item.id, error=text)
        for of_niche in (answer, *answer.other_niches):
            self._on_answer(of_niche)
        return ItemResult(item=number, id=item.id, answer=answer)

    def _pace(self, batch: StoredBatch) -> None:
        """Wait until no other request is being answered. Raises `_Interrupted` if the batch has to end or to pause."""
        deadline = batch.facts.deadline

        def check() -> None:
            if self._stopping.is_set() or batch.is_cancelled or datetime.now(UTC) >= deadline:
                raise _Interrupted

        self._foreground.wait_until_quiet(LEAST_PACE_S, check)

    def _deliver(self) -> None:
        """Send the webhooks that are due."""
        for batch in self._store.undelivered():
            if self._stopping.is_set():
                return
            with batch.claim() as claimed:
                delivery = batch.delivery
                if claimed and delivery is not None and delivery.next_at is not None:
                    described = self._store.describe(batch)
                    sent = self._webhooks.deliver(batch.facts.webhook or "", described, delivery)
                    batch.keep_delivery(sent)
