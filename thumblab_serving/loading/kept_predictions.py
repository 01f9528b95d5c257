"""Keep answers as predictions in the database, if the setting `keep_predictions` is on.

A request only puts its prediction into a queue. A separate thread writes the queue to the database. So a slow or
missing database never delays an answer, and never makes an answer fail. If the database cannot be written, predictions
wait in the queue, and the thread tries again after 10 seconds. A prediction is lost if the queue is full, if the
database refuses the prediction, or if the prediction still waits when the service stops. `/health` and `/metrics` show
how many predictions were kept and how many are lost.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thumblab_core.database.urls import running_database_url
from thumblab_core.errors import LabError
from thumblab_core.predictions import KeptPrediction
from thumblab_core.settings import Settings
from thumblab_serving.loading.database import database_message, limit_statements

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy's engine here, because the import is slow.
    from sqlalchemy import Engine

KEPT, LOST = "kept", "lost"
"""The two possible results of the attempt to keep a prediction."""

_QUEUED = 1_000
"""Maximum number of predictions that wait to be written. A prediction takes a few kilobytes."""

_BATCH = 100
"""Maximum number of predictions that are written in one transaction."""

_RETRY_S = 10.0
"""Seconds between a failed attempt to write predictions and the next attempt."""

_SILENT_MS = 5_000
_CONNECT_S = 2
_CLOSING_S = 5.0
"""Seconds that the service waits, when it stops, for the last predictions to be written."""

_FULL = f"requests come faster than predictions can be written: {_QUEUED:,} predictions wait, and more are lost"

_log = logging.getLogger("thumblab_serving")


@dataclass(frozen=True)
class KeeperState:
    """How many predictions a `PredictionKeeper` has kept and lost since it was made, and how many wait.

    `failure` says why predictions cannot be written now, or why a prediction is lost. `failure` is None after an
    attempt that wrote every prediction.
    """

    kept: int
    lost: int
    waiting: int
    failure: str | None


class PredictionKeeper:
    """An object that writes predictions to the database, in a separate thread. Close it after use.

    Many threads may use it at the same time. `keep` never waits for the database and never raises an error.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines: dict[str, Engine] = {}
        self._queue: deque[KeptPrediction] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._kept = self._lost = 0
        self._failure: str | None = None
        self._report: Callable[[str, int], None] = lambda outcome, count: None
        self._writer = threading.Thread(target=self._write_all, name="predictions", daemon=True)
        self._writer.start()

    def report_to(self, listener: Callable[[str, int], None]) -> None:
        """Call `listener` whenever predictions were kept or lost. The arguments are `KEPT` or `LOST`, and the number of
        predictions.
        """
        self._report = listener

    def warm(self) -> None:
        """Import the modules that are needed to write predictions. Does not query the database."""
        import thumblab_core.database.predictions  # noqa: F401

    def state(self) -> KeeperState:
        """Return how many predictions were kept and lost since this object was made, and how many wait."""
        with self._changed:
            return KeeperState(self._kept, self._lost, len(self._queue), self._failure)

    def keep(self, prediction: KeptPrediction) -> None:
        """Put a prediction into the queue. If the queue is full or the service stops, the prediction is lost."""
        with self._changed:
            if self._closing or len(self._queue) >= _QUEUED:
                self._failure = self._failure or _FULL
                self._count(LOST, 1)
                return
            self._queue.append(prediction)
            self._changed.notify_all()

    def close(self) -> None:
        """Write the predictions in the queue, and stop the thread. Predictions that are not written within five seconds
        are lost.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join(_CLOSING_S)
        with self._changed:
            left = len(self._queue)
            self._queue.clear()
            if left:
                self._count(LOST, left)
                _log.warning(
                    "%d predictions are lost, because they could not be written before the service stopped", left
                )
        for engine in self._engines.values():
            engine.dispose()

    def _write_all(self) -> None:
        """Write the queued predictions to the database until this object is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                batch = [self._queue[at] for at in range(min(_BATCH, len(self._queue)))]
                closing = self._closing
            if not batch:
                return
            if self._write(batch):
                continue
            if closing:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _RETRY_S)

    def _write(self, batch: Sequence[KeptPrediction]) -> bool:
        """Write `batch`, the first predictions of the queue, and remove them from the queue.

        Return False if the database cannot be written. The predictions then stay in the queue.
        """
        try:
            kept, refused = self._insert(batch)
        except Exception as error:  # noqa: BLE001  no error of the database may end the thread
            reason = str(error).rstrip(".") if isinstance(error, LabError) else database_message(error)
            with self._changed:
                if reason != self._failure:
                    _log.warning("predictions wait to be kept: %s; next try in %.0f seconds", reason, _RETRY_S)
                self._failure = reason
            return False
        with self._changed:
            if not self._queue:  # `close` has stopped waiting, and has counted these predictions as lost.
                return True
            for _ in batch:
                self._queue.popleft()
            self._count(KEPT, kept)
            self._failure = None
            if refused:
                self._count(LOST, refused)
                self._failure = f"the database refused {refused} of {len(batch)} predictions"
                _log.warning("%s", self._failure)
        return True

    def _insert(self, batch: Sequence[KeptPrediction]) -> tuple[int, int]:
        """Insert predictions. Return how many were stored, and how many the database refused.

        If the database refuses a prediction, all predictions are inserted again, each in its own transaction. Raises an
        error if nothing can be written to the database.
        """
        from sqlalchemy.exc import DataError, IntegrityError

        refusals = (DataError, IntegrityError, UnicodeError)
        engine = self._engine()
        try:
            self._insert_together(engine, batch)
        except refusals:
            refused = 0
            for prediction in batch:
                try:
                    self._insert_together(engine, [prediction])
                except refusals:
                    refused += 1
            return len(batch) - refused, refused
        return len(batch), 0

    def _insert_together(self, engine: "Engine", batch: Sequence[KeptPrediction]) -> None:
        from thumblab_core.database.predictions import insert_predictions

        with engine.begin() as connection:
            limit_statements(connection, read_only=False)
            insert_predictions(connection, batch)

    def _engine(self) -> "Engine":
        from thumblab_core.database.engine import make_engine

        url = running_database_url(self._settings)
        if url is None:
            raise LabError("the database does not run; start the lab with `thumblab up`")
        if url not in self._engines:
            timeouts = {"connect_timeout": _CONNECT_S, "tcp_user_timeout": _SILENT_MS}
            self._engines[url] = make_engine(url, pool_size=1, pool_pre_ping=True, connect_args=timeouts)
        return self._engines[url]

    def _count(self, outcome: str, count: int) -> None:
        if outcome == KEPT:
            self._kept += count
        else:
            self._lost += count
        self._report(outcome, count)
