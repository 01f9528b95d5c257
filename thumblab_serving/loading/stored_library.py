"""Search the libraries in PostgreSQL, for a niche that has no index.

The service must not depend on the database. So nothing here starts a server or waits long. No message contains the URL,
the user or the password of the database.
"""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as DeadlineError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.database.urls import running_database_url
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.index import MAX_NEIGHBOURS, Neighbour, examples_of, percentile_among, typical_neighbours
from thumblab_core.niches import Niche
from thumblab_core.settings import Settings

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection, Engine

_PATIENCE = 2.5
"""Seconds after which a request stops waiting, even if the database, the network or the name resolver hangs."""
_STATEMENT_MS = 2_000
_CONNECT_SECONDS = 2  # This is the shortest limit that libpq allows for connecting.
_RETRY_SECONDS = 30.0
_KEPT_SECONDS = 600.0
_THREADS = 4
_READ_AT_MOST = 10_000
_COMPARED_AT_MOST = 2_000
_BLOCK = 250

_log = logging.getLogger("thumblab_serving")


class NothingStoredError(LabError):
    """An error for a search that the database could not answer.

    The message gives the reason as a clause that fits into a sentence.
    """


@dataclass(frozen=True)
class Placement:
    """The place of a picture in a library.

    `percentile` says how typical the picture is, as `NicheIndex.percentile` does. `examples` are the similar thumbnails
    that `NicheIndex.examples` would return.
    """

    percentile: float
    examples: list[Neighbour]


@dataclass(frozen=True)
class SimilarityDistribution:
    """The distribution of how similar the thumbnails of a stored library are to each other.

    `count` is the size of the library. `k` is the number of nearest thumbnails with which a picture is compared.
    `means` [m] holds, for each thumbnail of a sample, its mean cosine to the nearest other thumbnails. `means` is
    sorted.
    """

    count: int
    k: int
    means: npt.NDArray[np.float32]


class StoredLibraries:
    """The libraries in the database. They are searched in separate threads, so close this object after use.

    Many threads may use this object at the same time. After a failure, the database is not asked again for half a
    minute. The similarity distribution of a library is kept for ten minutes.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_THREADS, "database")
        self._engines: dict[str, Engine] = {}
        self._making_engine = threading.Lock()
        self._distributions: dict[tuple[Niche, str], tuple[float, SimilarityDistribution]] = {}
        self._computing = threading.Lock()
        self._failure: str | None = None
        self._failed_at = 0.0

    @property
    def failure(self) -> str | None:
        """Why the last search failed. None if it succeeded, or if there was no search yet."""
        return self._failure

    def warm(self) -> None:
        """Import the modules that a search needs, so that no request waits for them. Does not ask the database."""
        import psycopg  # noqa: F401

        import thumblab_core.database.nearest  # noqa: F401

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for engine in self._engines.values():
            engine.dispose()

    def placements(self, niche: Niche, encoder: str, vectors: Vectors, examples: int) -> list[Placement]:
        """Return the placement of each vector in the library of the niche, with at most `examples` similar thumbnails.

        `encoder` is a fingerprint, and `vectors` are unit vectors of this encoder, float32 [n, d]. Raises
        `NothingStoredError` if the database cannot answer. Returns or raises within three seconds.
        """
        if self._failure is not None and time.monotonic() - self._failed_at < _RETRY_SECONDS:
            raise NothingStoredError(self._failure)
        try:
            url = running_database_url(self._settings)
        except LabError as error:
            raise NothingStoredError(f"there is no database to ask ({str(error).rstrip('.')})") from None
        if url is None:
            raise NothingStoredError("the database does not run")
        search = self._threads.submit(self._search, url, niche, encoder, vectors, examples)
        try:
            placements = search.result(_PATIENCE)
        except NothingStoredError:
            raise
        except DeadlineError:
            # `cancel` has no effect on a search that already runs. Such a search goes on in its thread. It stores the
            # similarity distribution that it computes, and later requests use it.
            search.cancel()
            raise self._failed(f"the database did not answer within {_PATIENCE:g} seconds") from None
        except Exception as error:  # noqa: BLE001  the answer goes on without the database, whatever the error is
            # `from None` hides the error of the driver, because its message may contain the URL.
            raise self._failed(_message(error)) from None
        self._failure = None
        return placements

    def _failed(self, reason: str) -> NothingStoredError:
        self._failure, self._failed_at = reason, time.monotonic()
        _log.warning("%s; it is asked again in %.0f seconds", reason, _RETRY_SECONDS)
        return NothingStoredError(reason)

    def _search(self, url: str, niche: Niche, encoder: str, vectors: Vectors, examples: int) -> list[Placement]:
        from thumblab_core.database.nearest import Library, search
        from thumblab_core.database.nearest_index import WORTHWHILE

        library = Library(encoder, niche.value, self._settings.library_days)
        engine = self._engine(url)
        distribution = self._distribution(engine, niche, library)
        if distribution.count < 2:
            raise NothingStoredError(f"the database holds too few thumbnails of {niche} with vectors of {encoder}")
        with engine.connect() as connection:
            _limit_statements(connection)
            neighbours = search(connection, library, vectors, MAX_NEIGHBOURS, exact=distribution.count <= WORTHWHILE)
        return [_placement(distribution, nearest, examples) for nearest in neighbours]

    def _engine(self, url: str) -> "Engine":
        from thumblab_core.database.engine import make_engine

        with self._making_engine:
            if url not in self._engines:
                timeouts = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": _STATEMENT_MS}
                self._engines[url] = make_engine(
                    url, pool_size=_THREADS, pool_pre_ping=True, pool_timeout=_PATIENCE, connect_args=timeouts
                )
            return self._engines[url]

    def _distribution(self, engine: "Engine", niche: Niche, library: Any) -> SimilarityDistribution:
        from thumblab_core.database.nearest import sample

        key = (niche, library.encoder)
        with self._computing:
            expires, distribution = self._distributions.get(key, (0.0, None))
            if distribution is not None and time.monotonic() < expires:
                return distribution
            with engine.connect() as connection:
                _limit_statements(connection)
                count, vectors = sample(connection, library, _READ_AT_MOST)
            distribution = similarity_distribution(count, vectors)
            if count > 1:  # A library of 0 or 1 videos is probably still growing, so its distribution is not kept.
                self._distributions[key] = (time.monotonic() + _KEPT_SECONDS, distribution)
            return distribution


def similarity_distribution(count: int, vectors: Vectors) -> SimilarityDistribution:
    """Return the similarity distribution of a library of `count` thumbnails.

    `vectors`, float32 [m, d], are all vectors of the library, or a random sample of them. A mean cosine is computed for
    each of the first 2,000 `vectors`. It is the mean of the vector's cosines to its nearest neighbours among all
    `vectors`. If `vectors` is only a sample, fewer neighbours are used, in proportion to the size of the sample. If
    `vectors` is the whole library and has at most 2,000 rows, the means are the same as those of `NicheIndex.build`.
    """
    neighbours = typical_neighbours(count)
    if len(vectors) < 2:
        return SimilarityDistribution(len(vectors), neighbours, np.zeros(0, np.float32))
    k = min(max(1, round(neighbours * len(vectors) / count)), len(vectors) - 1)
    # The first rows are a random sample, because `sample` shuffles the vectors.
    rows = np.arange(len(vectors))[:_COMPARED_AT_MOST]
    means: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        similarities = vectors[block] @ vectors.T
        similarities[np.arange(len(block)), block] = -np.inf
        means.append(-np.partition(-similarities, k - 1, axis=1)[:, :k].mean(axis=1))
    return SimilarityDistribution(count, neighbours, np.sort(np.concatenate(means)))


def _placement(distribution: SimilarityDistribution, nearest: list[Neighbour], examples: int) -> Placement:
    if not nearest:
        raise NothingStoredError("the database holds nothing of the niche any more")
    mean = np.float32(np.mean([neighbour.similarity for neighbour in nearest[: distribution.k]]))
    return Placement(percentile_among(distribution.means, mean), examples_of(nearest, examples))


def _limit_statements(connection: "Connection") -> None:
    """Set a time limit for the statements of the transaction, and make the transaction read-only."""
    from sqlalchemy import text

    connection.execute(text(f"SET LOCAL statement_timeout = {_STATEMENT_MS}"))
    connection.execute(text("SET LOCAL transaction_read_only = on"))


def _message(error: Exception) -> str:
    """Return what went wrong, in words that depend only on the type of the error.

    The message of the database driver is not used, because it may show the host and the user.
    """
    cause = getattr(error, "orig", None) or error
    kinds = [kind.__name__ for kind in type(cause).__mro__]
    if "QueryCanceled" in kinds:
        return f"the database did not answer within {_STATEMENT_MS / 1000:g} seconds"
    if "OperationalError" in kinds and getattr(cause, "sqlstate", None) is None:
        return "the database cannot be reached"
    return f"the database could not answer ({kinds[0]})"
