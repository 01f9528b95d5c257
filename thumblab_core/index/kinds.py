"""Choose and make the FAISS index of a library.

The settings may name the index. Otherwise, the size of the library decides which index the library gets. An index is
named by its factory string, a short text that FAISS defines, such as `Flat`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.factories import check_factory
from thumblab_core.index.items import LibraryError

AUTO, FLAT = "auto", "Flat"
FLAT_UP_TO = 10_000
"""The largest number of vectors for which a library gets an exact index, which needs no training.

An exact index compares a query with all vectors. With 10,000 vectors, this takes about a millisecond.
"""

_TRAINING_SAMPLE = 30_000
_ADDED = 50_000
"""The number of vectors that are added to an index at a time."""
_KMEANS_ITERATIONS = 5
"""Iterations of k-means in the training of an IVF index, which divides the vectors into lists by k-means.

With twice as many iterations and a training sample of twice the size, training takes four times as long, and searches
are no faster.
"""

# The pattern matches the names of indices that store the vectors at full or half precision, without a transformation.
_FAITHFUL = re.compile(r"(IDMap2?,)?((IVF\d+(_HNSW\d+)?|HNSW\d+),)?(Flat|SQfp16)")


class UntrainableError(LibraryError):
    """Raised if a library has too few vectors to train the requested index."""


@dataclass(frozen=True)
class IndexKind:
    """The kind of a library's index: a FAISS factory string, and the parameter of which a higher value gives slower
    searches and a higher recall.

    `recall` is the share of the `k` nearest vectors that a search finds. To measure the recall, a sample of the
    library's own vectors is searched. `queries` is the size of this sample. `target` is the requested recall. `note` is
    None if the library has the requested index, and this index reaches the target. Otherwise, `note` gives the reason.
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
    def keeps_distances(self) -> bool:
        """Whether the cosines that the index returns have errors of at most 1e-4. Otherwise, `Base` computes the
        cosines again.
        """
        return _FAITHFUL.fullmatch(self.factory) is not None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def factory_for(count: int) -> str:
    """Return the string from which FAISS makes the index of a library with `count` vectors."""
    if count <= FLAT_UP_TO:
        return FLAT
    return f"IVF{2 * round(count**0.5)},SQfp16"


def flat(vectors: Vectors) -> Any:
    """Return an exact FAISS index of unit vectors, float32 [n, d]."""
    index = faiss_module().IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


def trained(vectors: Vectors, factory: str) -> Any:
    """Train a FAISS index and add all vectors to it. The id of a vector in the index is the number of its row in
    `vectors`.

    Raises `LibraryError` for a factory string that `check_factory` or FAISS refuses, and `UntrainableError` if there are
    too few vectors or too little memory.
    """
    check_factory(factory)
    faiss = faiss_module()
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    except MemoryError:
        raise LibraryError(f"there is too little memory for the FAISS index {factory!r}; use smaller numbers") from None
    except RuntimeError as error:
        raise LibraryError(
            f"FAISS knows no index {factory!r} ({_short(error)}); change THUMBLAB_INDEX_FACTORY"
        ) from None
    with suppress(RuntimeError):  # FAISS raises this error if the index is not an IVF index.
        faiss.extract_index_ivf(index).cp.niter = _KMEANS_ITERATIONS
    sample = vectors
    if len(vectors) > _TRAINING_SAMPLE:
        sample = vectors[np.sort(np.random.default_rng(0).choice(len(vectors), _TRAINING_SAMPLE, replace=False))]
    try:
        with all_cores():
            index.train(np.ascontiguousarray(sample))
            _add(faiss, index, vectors)
    except MemoryError:
        raise UntrainableError(
            f"there is too little memory for the index {factory} of {len(vectors)} vectors; use smaller numbers"
        ) from None
    except RuntimeError as error:
        raise UntrainableError(
            f"FAISS cannot make the index {factory} of {len(vectors)} vectors ({_short(error)})"
        ) from None
    return index


def _add(faiss: Any, index: Any, vectors: Vectors) -> None:
    """Add all vectors in blocks. The id of a vector in the index is the number of its row in `vectors`."""
    rows = np.arange(len(vectors))
    blocks = [slice(start, start + _ADDED) for start in range(0, len(vectors), _ADDED)]
    if isinstance(index, faiss.IndexIVF):
        lists = np.concatenate([index.quantizer.assign(np.ascontiguousarray(vectors[b]), 1).ravel() for b in blocks])
        # A list that grows reserves up to twice the memory that it needs. So each list gets all of its memory in one
        # step.
        for number, count in enumerate(np.bincount(lists, minlength=index.nlist).tolist()):
            index.invlists.resize(number, count)
            index.invlists.resize(number, 0)
        for block in blocks:
            added, ids, numbers = np.ascontiguousarray(vectors[block]), rows[block], lists[block]
            index.add_core(len(added), *(faiss.swig_ptr(array) for array in (added, ids, numbers)))
    elif isinstance(index, faiss.IndexIDMap):
        index.add_with_ids(np.ascontiguousarray(vectors), rows)
    else:
        for block in blocks:
            index.add(np.ascontiguousarray(vectors[block]))


def parameter_of(factory: str, count: int) -> tuple[str | None, list[int]]:
    """Return the parameter whose higher values raise recall and search time, and the values to try, smallest first.

    If the index has no such parameter, return None and no values.
    """
    lists = re.search(r"\bIVF(\d+)", factory)
    if lists is not None:
        return "nprobe", _rising(1, int(lists[1]))
    if re.search(r"\bHNSW", factory):
        return "efSearch", _rising(64, max(64, min(count, 4096)))
    return None, []


def set_parameter(index: Any, name: str, value: int) -> None:
    """Set a search parameter of a FAISS index. Raises `LibraryError` if the index has no such parameter."""
    try:
        faiss_module().ParameterSpace().set_index_parameter(index, name, value)
    except RuntimeError as error:
        raise LibraryError(f"the FAISS index has no parameter {name} ({_short(error)})") from None


@contextmanager
def all_cores() -> Iterator[None]:
    """Let FAISS use all cores inside the `with` block.

    Use it for long work only, such as training. Outside the block, FAISS uses only the thread that calls it.
    """
    faiss = faiss_module()
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(1)


def faiss_module() -> Any:
    """Import FAISS, and let it use only one thread for calls from the current thread. Return the module.

    One query is too little work for several threads. Waking a second thread takes up to ten times as long as the search
    itself.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss


def _rising(first: int, last: int) -> list[int]:
    """Return rising values from `first` to `last`. Each value is about 20 % larger than the value before it."""
    values = [first]
    while values[-1] < last:
        values.append(min(last, max(values[-1] + 1, round(values[-1] * 1.2))))
    return values


def _short(error: Exception) -> str:
    return str(error).rpartition("Error: ")[2][:160] or str(error)[:160]
