"""What the service asks the database where it has no index of a niche. It must never depend on it: nothing here starts a
server, waits long, or says where the database is and how one gets in."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as DeadlineError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.database.server import running_database_url
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.index import MAX_NEIGHBOURS, ROUNDING, Neighbour, examples_of, typical_neighbours
from thumblab_core.niches import Niche
from thumblab_core.settings import Settings

if TYPE_CHECKING:  # importing SQLAlchemy takes as long as starting the service
    from sqlalchemy import Connection, Engine

_PATIENCE = 2.5
"""Seconds that a request waits, whatever the database, the network or the resolver of its name is doing."""
_STATEMENT_MS = 2_000
_CONNECT_SECONDS = 2  # the least that libpq takes
_RETRY_SECONDS = 30.0
_KEPT_SECONDS = 600.0
_ASKING = 4
_READ_AT_MOST = 10_000
_CALIBRATED_ON = 2_000
_BLOCK = 250

_log = logging.getLogger("thumblab_serving")


class NothingStoredError(LabError):
    """The database has no answer either; the message says why in the middle of a sentence."""


@dataclass(frozen=True)
class Place:
    """As `NicheIndex.percentile` and `NicheIndex.examples` of one picture."""

    percentile: float
    examples: list[Neighbour]


@dataclass(frozen=True)
class Calibration:
    """How many thumbnails a library holds, and sorted, of some of them: the mean cosine to their k nearest others."""

    count: int
    k: int
    means: npt.NDArray[np.float32]


class Stored:
    """The libraries in the database, asked in threads of its own. Safe from many threads; close it when done.

    After a failure the database is left alone for half a minute. How a library is spread is computed once in ten minutes.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_ASKING, "database")
        self._engines: dict[str, Engine] = {}
        self._making = threading.Lock()
        self._calibrations: dict[tuple[Niche, str], tuple[float, Calibration]] = {}
        self._calibrating = threading.Lock()
        self._failure: str | None = None
        self._failed_at = 0.0

    @property
    def failure(self) -> str | None:
        """Why the database is left alone for now; None where it answered when it was asked last, or was not asked yet."""
        return self._failure

    def warm(self) -> None:
        """Import what asking takes, so that no request has to wait for it. Asks nothing."""
        import psycopg  # noqa: F401

        import thumblab_core.database.nearest  # noqa: F401

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for engine in self._engines.values():
            engine.dispose()

    def places(self, niche: Niche, encoder: str, vectors: Vectors, examples: int) -> list[Place]:
        """Where each of the unit vectors, float32 [n, d] of that encoder, stands in the library of the niche, with so many
        examples that look alike. Raises `NothingStoredError`, within three seconds."""
        if self._failure is not None and time.monotonic() - self._failed_at < _RETRY_SECONDS:
            raise NothingStoredError(self._failure)
        try:
            url = running_database_url(self._settings)
        except LabError as error:
            raise NothingStoredError(f"there is no database to ask ({str(error).rstrip('.')})") from None
        if url is None:
            raise NothingStoredError("the database does not run")
        asked = self._threads.submit(self._ask, url, niche, encoder, vectors, examples)
        try:
            found = asked.result(_PATIENCE)
        except NothingStoredError:
            raise
        except DeadlineError:
            asked.cancel()  # where it has not begun; else the spread that it may find yet is kept for the next
            raise self._failed(f"the database did not answer within {_PATIENCE:g} seconds") from None
        except Exception as error:  # noqa: BLE001  whatever it is, the answer goes on without; `from None`: it may tell a URL
            raise self._failed(_said(error)) from None
        self._failure = None
        return found

    def _failed(self, why: str) -> NothingStoredError:
        self._failure, self._failed_at = why, time.monotonic()
        _log.warning("%s; it is asked again in %.0f seconds", why, _RETRY_SECONDS)
        return NothingStoredError(why)

    def _ask(self, url: str, niche: Niche, encoder: str, vectors: Vectors, examples: int) -> list[Place]:
        from thumblab_core.database.nearest import Library, search
        from thumblab_core.database.nearest_index import WORTHWHILE

        library = Library(encoder, niche.value, self._settings.library_days)
        engine = self._engine(url)
        found = self._calibration(engine, niche, library)
        if found.count < 2:
            raise NothingStoredError(f"the database holds too few thumbnails of {niche} in the space of {encoder}")
        with engine.connect() as connection:
            _hurry(connection)
            near = search(connection, library, vectors, MAX_NEIGHBOURS, exact=found.count <= WORTHWHILE)
        return [_place(found, neighbours, examples) for neighbours in near]

    def _engine(self, url: str) -> "Engine":
        from thumblab_core.database.engine import make_engine

        with self._making:
            if url not in self._engines:
                hurry = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": _STATEMENT_MS}
                self._engines[url] = make_engine(
                    url, pool_size=_ASKING, pool_pre_ping=True, pool_timeout=_PATIENCE, connect_args=hurry
                )
            return self._engines[url]

    def _calibration(self, engine: "Engine", niche: Niche, library: Any) -> Calibration:
        from thumblab_core.database.nearest import sample

        key = (niche, library.encoder)
        with self._calibrating:
            until, found = self._calibrations.get(key, (0.0, None))
            if found is not None and time.monotonic() < until:
                return found
            with engine.connect() as connection:
                _hurry(connection)
                count, vectors = sample(connection, library, _READ_AT_MOST)
            found = calibrated(count, vectors)
            if count > 1:  # one that is being collected is looked at again
                self._calibrations[key] = (time.monotonic() + _KEPT_SECONDS, found)
            return found


def calibrated(count: int, vectors: Vectors) -> Calibration:
    """Of a library of so many, from the vectors of all or of some of them, float32 [m, d].

    As `NicheIndex.build` finds it where all are given and are at most 2,000; of more, 2,000 are compared with all. Among
    some of a library, its k nearest are as many fewer as there are fewer vectors.
    """
    neighbours = typical_neighbours(count)
    if len(vectors) < 2:
        return Calibration(len(vectors), neighbours, np.zeros(0, np.float32))
    k = min(max(1, round(neighbours * len(vectors) / count)), len(vectors) - 1)
    rows = np.arange(len(vectors))[:_CALIBRATED_ON]  # they come in an order drawn by lot
    means: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        similarities = vectors[block] @ vectors.T
        similarities[np.arange(len(block)), block] = -np.inf
        means.append(-np.partition(-similarities, k - 1, axis=1)[:, :k].mean(axis=1))
    return Calibration(count, neighbours, np.sort(np.concatenate(means)))


def _place(calibration: Calibration, near: list[Neighbour], examples: int) -> Place:
    if not near:
        raise NothingStoredError("the database holds nothing of the niche any more")
    mean = np.float32(np.mean([neighbour.similarity for neighbour in near[: calibration.k]]))
    below = np.searchsorted(calibration.means, mean + ROUNDING, side="right")
    return Place(float(below / len(calibration.means) * 100.0), examples_of(near, examples))


def _hurry(connection: "Connection") -> None:
    from sqlalchemy import text

    connection.execute(text(f"SET LOCAL statement_timeout = {_STATEMENT_MS}"))
    connection.execute(text("SET LOCAL transaction_read_only = on"))


def _said(error: Exception) -> str:
    """What went wrong by its kind alone: the driver's own messages name the host, the user and more."""
    cause = getattr(error, "orig", None) or error
    kinds = [kind.__name__ for kind in type(cause).__mro__]
    if "QueryCanceled" in kinds:
        return f"the database did not answer within {_STATEMENT_MS / 1000:g} seconds"
    if "OperationalError" in kinds and getattr(cause, "sqlstate", None) is None:
        return "the database cannot be reached"
    return f"the database could not answer ({kinds[0]})"
