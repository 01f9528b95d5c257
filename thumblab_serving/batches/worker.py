"""Score the items of batches one after the other, in a thread, while no other request waits for an answer.

The API keys take turns. In each turn, one item of a key is scored.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

from pydantic import ValidationError

from thumblab_core.errors import LabError
from thumblab_serving.batches.batch_store import BatchStore
from thumblab_serving.batches.foreground import Foreground
from thumblab_serving.batches.housekeeping import Housekeeper, Repeater
from thumblab_serving.batches.records import DamagedError
from thumblab_serving.batches.stored_batch import FullError, Passed, StoredBatch
from thumblab_serving.batches.webhooks import Webhooks
from thumblab_serving.loading.served_releases import NotReadyError
from thumblab_serving.schemas.answer import ScoreAnswer
from thumblab_serving.schemas.batches import BatchItem, BatchState, ItemResult
from thumblab_serving.scoring.intake import Source
from thumblab_serving.scoring.scorer import InterruptedScoringError, Scorer

LEAST_PACE_S = 5.0
"""Seconds after which a batch examines its next picture even if other requests never pause."""

_NOT_READY_S = 5.0
_FULL_S = 60.0
"""If the result of an item has no room on the disk, the item is scored again after this many seconds."""

_LOOK_S = 0.5
"""Seconds between two checks whether a waiting batch has to end."""

_MOST_ATTEMPTS = 2
"""Maximum number of attempts at an item. If the process died in each attempt, the item gets an error."""

_log = logging.getLogger("thumblab_serving")


class BatchWorker:
    """The thread that works on the batches of a lab, and the housekeeper of the batches. Each process of the service
    has one such thread.

    `on_answer` is called with each answer. `acts_for` gets the owner of a batch, and returns the owner whose channels
    the batch may use (see `KeyRing.acts_for`).
    """

    def __init__(
        self,
        store: BatchStore,
        scorer: Scorer,
        foreground: Foreground,
        webhooks: Webhooks,
        on_answer: Callable[[ScoreAnswer], None],
        acts_for: Callable[[str], str | None],
    ) -> None:
        self._store = store
        self._scorer = scorer
        self._foreground = foreground
        self._webhooks = webhooks
        self._on_answer = on_answer
        self._acts_for = acts_for
        self._housekeeper = Housekeeper(store, webhooks)
        self._thread = Repeater("batches", self._round, "batches are not worked on")
        self._stopping = self._thread.stopping
        self._waits_for: str | None = None
        self._passed: dict[str, Passed] = {}
        self._full_until: dict[str, float] = {}
        self._unworked: dict[str, str] = {}
        self._woken = threading.Event()

    def start(self) -> None:
        self._thread.start()
        self._housekeeper.start()

    def wake(self) -> None:
        """Make the thread look for new batches after the present item. Call this when a batch was stored or cancelled."""
        self._woken.set()
        self._thread.wake()
        self._housekeeper.wake()

    def stop(self) -> None:
        """Stop after the picture that is being examined. The batch continues when the service starts again."""
        self._thread.stop()
        self._housekeeper.stop()
        self._webhooks.close()

    def _round(self) -> bool:
        """Score one item of each API key that has batches. Return whether an item was scored. If so, the next call
        follows at once.

        The batches of one key are scored one after the other, the oldest first. The keys take turns, so a key with many
        items does not delay the other keys. A batch whose files cannot be read or written does not delay the other
        batches.

        Raises `OSError` if no item was scored, and the files of a batch could not be read or written.
        """
        failure: OSError | None = None
        worked = False
        self._woken.clear()
        of_key = self._store.unfinished_by_key()
        self._forget_others({batch.folder.name for own in of_key.values() for batch in own})
        end = time.monotonic() + _LOOK_S
        while not self._stopping.is_set():
            turns = 0
            for key, own in of_key.items():
                if time.monotonic() < self._full_until.get(key, 0.0):
                    continue
                try:
                    turn = self._turn(own)
                except OSError as error:
                    failure = failure or error
                    continue
                if turn is None:
                    return False
                turns += turn
            worked = worked or turns > 0
            if not turns or self._woken.is_set() or time.monotonic() >= end:  # It is time to look for new batches.
                break
        if failure is not None and not worked:
            raise failure
        return worked

    def _forget_others(self, unfinished: set[str]) -> None:
        """Drop the read positions and the logged errors of all batches that are not in `unfinished`."""
        self._passed = {name: passed for name, passed in self._passed.items() if name in unfinished}
        self._unworked = {name: reason for name, reason in self._unworked.items() if name in unfinished}

    def _turn(self, batches: list[StoredBatch]) -> bool | None:
        """Score the next item of the first batch that this worker can work on. Return whether an item was scored.

        `batches` are the batches of one key. If the disk has no room for the result, it has no room for the results of
        other batches either. So return False, and try no other batch. Return None if the service is not ready and can
        score nothing now.
        """
        failure: OSError | None = None
        for batch in batches:
            if self._stopping.is_set():
                return None
            try:
                with batch.claim() as claimed:
                    if not claimed or batch.has_ended:
                        continue
                    outcome = self._work(batch)
                    has_ended = batch.has_ended
            except DamagedError as error:
                self._store.give_up(batch, error)
            except FileNotFoundError:  # Another process has deleted the batch.
                continue
            except OSError as error:
                failure = failure or error
                self._log_unworked(batch, error)
            else:
                if has_ended or batch.is_deleted:
                    self._housekeeper.wake()  # The batch is unlocked, so its webhook can be sent now.
                return outcome
        if failure is not None:
            raise failure
        return False

    def _work(self, batch: StoredBatch) -> bool | None:
        """Score the next item of a batch, and end the batch after its last item.

        Return False if there is no room for the result now, and None if the service is not ready.
        """
        items = batch.unfinished_items(self._passed.setdefault(batch.folder.name, Passed()))
        with closing(items):
            first = next(items, None)
            if first is None:
                batch.finish(BatchState.DONE)
                return True
            number, line = first
            if self._store.end_overdue(batch):
                return True
            if (fault := self._fault()) is not None:
                self._wait(batch, fault)
                return None
            tries = batch.begin_item()
            try:
                result = self._result(batch, number, line, tries)
            except InterruptedScoringError:
                batch.forget_attempt()
                if not self._stopping.is_set():
                    self._store.end_overdue(batch)
                return True
            except NotReadyError as error:
                batch.forget_attempt()
                self._wait(batch, str(error))
                return None
            if _has_error(result) and (fault := self._fault()) is not None:
                batch.forget_attempt()  # The fault is in the service, so the attempt does not count.
                self._wait(batch, fault)
                return None
            try:
                self._store.record(batch, result)
            except FullError as error:
                batch.forget_attempt()
                self._log_wait(batch, str(error))
                self._full_until[batch.facts.key] = time.monotonic() + _FULL_S
                return False
            except OSError:  # The disk may be full. The fault is not in the item, so the attempt does not count.
                with suppress(OSError):
                    batch.forget_attempt()
                raise
            # After the last item, try to read a further item, to check that the file of the items is complete.
            if number >= batch.facts.items and next(items, None) is None:
                batch.finish(BatchState.DONE)
        return True

    def _fault(self) -> str | None:
        """Return why nothing can be scored at the moment. Return None if no fault is known."""
        if not self._scorer.rehearsed:
            return self._scorer.rehearsal_failure or "the service has not made its first answer yet"
        return self._scorer.canary.failure

    def _wait(self, batch: StoredBatch, reason: str) -> None:
        """Wait a few seconds for the service to become ready. End the wait early if the batch has to end."""
        self._log_wait(batch, reason)
        end = time.monotonic() + _NOT_READY_S
        while time.monotonic() < end and not self._store.end_overdue(batch):
            if self._stopping.wait(min(_LOOK_S, _NOT_READY_S)):
                break

    def _log_unworked(self, batch: StoredBatch, error: OSError) -> None:
        if self._unworked.get(batch.folder.name) != str(error):  # Log each failure once, and not at each try.
            _log.error("the batch %s cannot be worked on (%s)", batch.folder.name, error)
            self._unworked[batch.folder.name] = str(error)

    def _log_wait(self, batch: StoredBatch, reason: str) -> None:
        if reason != self._waits_for:  # Log each reason once, and not every few seconds.
            _log.warning("the batch %s waits: %s", batch.folder.name, reason)
            self._waits_for = reason

    def _result(self, batch: StoredBatch, number: int, line: bytes, tries: int) -> ItemResult:
        """Return the result of an item. An item that cannot be scored has an error."""
        try:
            item = BatchItem.model_validate_json(line)
        except ValidationError:  # Another version of the lab stored the item in another form.
            return ItemResult(item=number, id=f"item {number}", error="this version of the lab cannot read the item")
        if tries > _MOST_ATTEMPTS:
            error = f"the service stopped {_MOST_ATTEMPTS} times while it scored this item; score it alone to see why"
            return _failed(number, item, error)
        sources = [Source(t.id, base64=t.image_base64, url=t.url, title=t.title) for t in item.thumbnails]
        try:
            answer = self._scorer.score(
                sources, item, pace=lambda: self._pace(batch), owner=self._acts_for(batch.facts.key)
            )
        except (InterruptedScoringError, NotReadyError, DamagedError):
            raise
        except LabError as error:
            return _failed(number, item, str(error))
        except Exception as error:  # noqa: BLE001  one item must not stop the others
            _log.error("item %d of the batch %s failed", number, batch.facts.id, exc_info=error)
            return _failed(number, item, "something went wrong inside the service; its log has the details")
        for of_niche in (answer, *answer.other_niches):
            self._on_answer(of_niche)
        return ItemResult(item=number, id=item.id, answer=answer)

    def _pace(self, batch: StoredBatch) -> None:
        """Wait until no other request is being answered.

        Raises `InterruptedScoringError` if the batch has to end or to pause.
        """

        def check() -> None:
            if self._stopping.is_set() or self._store.is_overdue(batch):
                raise InterruptedScoringError

        self._foreground.wait_until_quiet(LEAST_PACE_S, check)


def _failed(number: int, item: BatchItem, error: str) -> ItemResult:
    return ItemResult(item=number, id=item.id, error=error, title=item.all_titles[0])


def _has_error(result: ItemResult) -> bool:
    """Return whether the item, or any of its thumbnails, could not be scored."""
    return result.answer is None or any(thumbnail.error is not None for thumbnail in result.answer.thumbnails)
