"""Search the libraries in PostgreSQL, for a niche that has no index."""

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.index import MAX_NEIGHBOURS, Neighbour, examples_of, percentile_among, typical_neighbours
from thumblab_serving.loading.database import NoDatabaseError, ServiceDatabase, limit_statements

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Engine

_KEPT_SECONDS = 600.0
_READ_AT_MOST = 10_000
_COMPARED_AT_MOST = 2_000
_BLOCK = 250


class NothingStoredError(LabError):
    """The error that is raised if the database could not answer a search.

    The message gives the reason as a clause that fits into a sentence.
    """


@dataclass(frozen=True)
class Placement:
    """The place of a picture in a library.

    `percentile` says how typical the picture is, and is computed as in `NicheIndex.percentile`. `examples` are the
    similar thumbnails that `NicheIndex.examples` would return.
    """

    percentile: float
    examples: list[Neighbour]


@dataclass(frozen=True)
class SimilarityDistribution:
    """The distribution of the similarities between the thumbnails of a stored library.

    `count` is the size of the library. `k` is the number of nearest thumbnails with which a picture is compared.
    `means` [m] has an entry for each thumbnail of a sample: the mean cosine to the nearest other thumbnails. `means` is
    sorted.
    """

    count: int
    k: int
    means: npt.NDArray[np.float32]


class StoredLibraries:
    """The libraries in the database.

    Many threads may use this object at the same time. The similarity distribution of a library is kept for ten minutes.
    `library_days` is the value of the setting `library_days`.
    """

    def __init__(self, database: ServiceDatabase, library_days: int) -> None:
        self._database = database
        self._library_days = library_days
        self._distributions: dict[tuple[str, str], tuple[float, SimilarityDistribution]] = {}
        self._computing = threading.Lock()

    def warm(self) -> None:
        """Import the modules that a search needs, so that no request waits for them. Does not query the database."""
        import thumblab_core.database.nearest  # noqa: F401

        self._database.warm()

    def placements(self, niche: str, encoder: str, vectors: Vectors, examples: int) -> list[Placement]:
        """Return the placement of each vector in the library of the niche, with at most `examples` similar thumbnails.

        `encoder` is a fingerprint, and `vectors` are unit vectors of this encoder, float32 [n, d]. Raises
        `NothingStoredError` if the database cannot answer. Returns or raises within three seconds.
        """
        # A search that takes too long continues in its thread, and stores its similarity distribution. Later requests
        # use this distribution.
        try:
            return self._database.ask(lambda engine: self._search(engine, niche, encoder, vectors, examples))
        except NoDatabaseError as error:
            raise NothingStoredError(str(error)) from None

    def nearest(self, niche: str, encoder: str, vector: Vectors) -> list[Neighbour]:
        """Return the 200 videos of the stored library that are nearest to a unit vector [d].

        Raises `NothingStoredError` if the database cannot answer, and `LibraryError` if the vector does not fit the
        library.
        """

        def search_one(engine: "Engine") -> list[Neighbour]:
            from thumblab_core.database.nearest import Library, search

            library = Library(encoder, niche, self._library_days)
            with engine.connect() as connection:
                limit_statements(connection)
                return search(connection, library, vector[None])[0]

        try:
            return self._database.ask(search_one)
        except NoDatabaseError as error:
            raise NothingStoredError(str(error)) from None

    def _search(self, engine: "Engine", niche: str, encoder: str, vectors: Vectors, examples: int) -> list[Placement]:
        from thumblab_core.database.nearest import Library, search
        from thumblab_core.database.nearest_index import WORTHWHILE

        library = Library(encoder, niche, self._library_days)
        distribution = self._distribution(engine, niche, library)
        if distribution.count < 2:
            raise NothingStoredError(f"the database holds too few thumbnails of {niche} with vectors of {encoder}")
        with engine.connect() as connection:
            limit_statements(connection)
            neighbours = search(connection, library, vectors, MAX_NEIGHBOURS, exact=distribution.count <= WORTHWHILE)
        return [_placement(distribution, nearest, examples) for nearest in neighbours]

    def _distribution(self, engine: "Engine", niche: str, library: Any) -> SimilarityDistribution:
        from thumblab_core.database.nearest import sample

        key = (niche, library.encoder)
        with self._computing:
            expires, distribution = self._distributions.get(key, (0.0, None))
            if distribution is not None and time.monotonic() < expires:
                return distribution
            with engine.connect() as connection:
                limit_statements(connection)
                count, vectors = sample(connection, library, _READ_AT_MOST)
            distribution = similarity_distribution(count, vectors)
            if count > 1:  # A library of 0 or 1 videos is probably still growing, so its distribution is not kept.
                self._distributions[key] = (time.monotonic() + _KEPT_SECONDS, distribution)
            return distribution


def similarity_distribution(count: int, vectors: Vectors) -> SimilarityDistribution:
    """Return the similarity distribution of a library of `count` thumbnails.

    `vectors`, float32 [m, d], are all vectors of the library, or a random sample of them. For each of the first 2,000
    `vectors`, compute the mean of the cosines to the nearest neighbours among all `vectors`. If `vectors` is only a
    sample, fewer neighbours are used, in proportion to the size of the sample. If `vectors` is the whole library and
    has at most 2,000 rows, `NicheIndex.build` computes the same means.
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
        raise NothingStoredError("the database holds no thumbnails of the niche any more")
    mean = np.float32(np.mean([neighbour.similarity for neighbour in nearest[: distribution.k]]))
    return Placement(percentile_among(distribution.means, mean), examples_of(nearest, examples))
