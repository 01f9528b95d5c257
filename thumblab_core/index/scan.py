"""Compare a query with many vectors of an index, by the index's own search. For some kinds of index, this is the
fastest way.

An IVF index is exact up to the precision of its vectors if a search visits all of its lists. The search reads the
vectors in the order in which they lie in memory, and does not copy them. If the index stores the vectors at half
precision, the search reads only half as many bytes.
"""

import re
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.kinds import FLAT, IndexKind, faiss_module

ROUNDING = 1e-4
"""The largest error of a cosine that `scan` returns."""
_SCANNABLE = re.compile(r"IVF\d+,(Flat|SQfp16)")


def can_scan(kind: IndexKind) -> bool:
    """Return whether `scan` can search an index of this kind."""
    return kind.factory == FLAT or _SCANNABLE.fullmatch(kind.factory) is not None


def scan(
    index: Any, kind: IndexKind, rows: np.ndarray[Any, np.dtype[np.int64]], query: Vectors, k: int
) -> tuple[Vectors, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the cosines and rows of the k vectors nearest to the unit vector `query` [d] among `rows`, nearest first.

    The index must be one that `can_scan` admits. If there are fewer than k rows, all of them are returned.
    """
    faiss = faiss_module()
    admitted = np.zeros(index.ntotal, np.bool_)
    admitted[rows] = True
    selector = faiss.IDSelectorBitmap(np.packbits(admitted, bitorder="little"))
    parameters = (
        faiss.SearchParameters(sel=selector)
        if kind.factory == FLAT
        else faiss.SearchParametersIVF(sel=selector, nprobe=index.nlist)
    )
    similarities, found = index.search(np.ascontiguousarray(query[None]), min(k, len(rows)), params=parameters)
    return similarities[0], found[0]
