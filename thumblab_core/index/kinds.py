"""Which FAISS index a library gets: chosen by its size, or a factory string of FAISS as the settings say it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.items import LibraryError

AUTO, FLAT = "auto", "Flat"
FLAT_UP_TO = 10_000
"""Up to here comparing with every vector takes about a millisecond, and nothing has to be trained."""

_TRAINED_ON = 30_000
_FAITHFUL = re.compile(
    r"(IDMap2?,)?((IVF\d+(_HNSW\d+)?|HNSW\d+),)?(Flat|SQfp16)"
)  # nothing before it turns the vectors
_ROUNDS = 5
"""Of k-means, for the lists. Twice as many of both take four times as long, for a search that is no faster."""


class UntrainableError(LibraryError):
    """There are too few vectors to train the index on."""


@dataclass(frozen=True)
class Kind:
    """How a library is searched: a FAISS factory string, and the one parameter that trades time for recall.

    `recall` is the share of the true `k` nearest that is found, measured on `queries` vectors of the library itself, each
    against all others. `note` says why it is not what was asked for, where it is not.
    """

    factory: str
    parameter: str | None = None
    value: int | None = None
    recall: float = 1.0
    target: float = 1.0
    k: int = 0
    queries: int = 0
    note: str | None = None

    @property
    def exact(self) -> bool:
        return self.factory == FLAT

    @property
    def faithful(self) -> bool:
        """Its own similarities are those of the vectors, to 1e-4; of others they are computed once more."""
        return _FAITHFUL.fullmatch(self.factory) is not None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def factory_for(count: int) -> str:
    """What a library of that many vectors gets where nobody says otherwise."""
    if count <= FLAT_UP_TO:
        return FLAT
    return f"IVF{2 * round(count**0.5)},SQfp16"


def flat(vectors: Vectors) -> Any:
    """An exact index of unit vectors, float32 [n, d]."""
    index = faiss_module().IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


def trained(vectors: Vectors, factory: str) -> Any:
    """A FAISS index of that factory string with all vectors, numbered by their rows. Raises `LibraryError`."""
    faiss = faiss_module()
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise LibraryError(f"FAISS knows no index {factory!r} ({_short(error)}); set THUMBLAB_INDEX_FACTORY") from None
    with suppress(RuntimeError):  # it has no lists
        faiss.extract_index_ivf(index).cp.niter = _ROUNDS
    sample = vectors
    if len(vectors) > _TRAINED_ON:
        sample = vectors[np.sort(np.random.default_rng(0).choice(len(vectors), _TRAINED_ON, replace=False))]
    try:
        with all_cores():
            index.train(np.ascontiguousarray(sample))
            if factory.startswith("IDMap"):
                index.add_with_ids(np.ascontiguousarray(vectors), np.arange(len(vectors)))
            else:
                index.add(np.ascontiguousarray(vectors))
    except RuntimeError as error:
        raise UntrainableError(f"FAISS cannot make {factory} of {len(vectors)} vectors ({_short(error)})") from None
    return index


def parameter_of(factory: str, count: int) -> tuple[str | None, list[int]]:
    """The parameter that trades time for recall, and its values to try, cheapest first."""
    lists = re.search(r"\bIVF(\d+)", factory)
    if lists is not None:
        return "nprobe", _rising(1, int(lists[1]))
    if re.search(r"\bHNSW", factory):
        return "efSearch", _rising(64, max(64, min(count, 4096)))
    return None, []


def set_parameter(index: Any, name: str, value: int) -> None:
    """Raises `LibraryError` for an index that has no such parameter."""
    try:
        faiss_module().ParameterSpace().set_index_parameter(index, name, value)
    except RuntimeError as error:
        raise LibraryError(f"the FAISS index takes no {name} ({_short(error)})") from None


@contextmanager
def all_cores() -> Iterator[None]:
    """For work that is worth sharing; outside of it FAISS keeps to the thread that asks."""
    faiss = faiss_module()
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(1)


def faiss_module() -> Any:
    import faiss

    # Of the calling thread. One query is too little work to share: waking a second one costs up to ten times the search.
    faiss.omp_set_num_threads(1)
    return faiss


def _rising(first: int, last: int) -> list[int]:
    """From the first to the last, each about a fifth more than the one before."""
    found = [first]
    while found[-1] < last:
        found.append(min(last, max(found[-1] + 1, round(found[-1] * 1.2))))
    return found


def _short(error: Exception) -> str:
    return str(error).rpartition("Error: ")[2][:160] or str(error)[:160]
