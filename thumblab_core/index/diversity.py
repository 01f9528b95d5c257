"""Order the results of a search by maximal marginal relevance (MMR), so that near-duplicates are not next to each
other.

Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing summaries",
SIGIR 1998.
"""

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors

Order = npt.NDArray[np.int64]


def diversified(similarities: Vectors, vectors: Vectors, diversity: float, count: int | None = None) -> Order:
    """Return the order of n candidates as positions, or only the first `count` of them.

    `similarities` [n] compares each candidate with the query. `vectors`, float32 [n, d], are unit vectors with which
    the candidates are compared with each other. `diversity` is from 0 to 1.

    The most similar candidate comes first. Each next candidate has the highest value of

        (1 - diversity) * similarity - diversity * (similarity to the most similar candidate before it).

    At the start, both similarities are scaled over all candidates to the range 0 to 1. Otherwise the result would
    depend on the kind of the query: cosines of a text and pictures differ much less than cosines of two pictures. If
    values are equal, the candidate with the lower position comes first. A larger `count` never changes the order of the
    first candidates.
    """
    number = len(similarities)
    count = number if count is None else min(count, number)
    by_similarity = np.argsort(-np.asarray(similarities, np.float64), kind="stable")
    if diversity <= 0 or count < 1:
        return by_similarity[:count]
    relevance = _scaled(np.asarray(similarities, np.float64))
    alike = _scaled((vectors @ vectors.T).astype(np.float64), ~np.eye(number, dtype=np.bool_))
    order = [int(by_similarity[0])]
    nearest = alike[order[0]].copy()
    open_ = np.ones(number, np.bool_)
    open_[order[0]] = False
    while len(order) < count:
        values = np.where(open_, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        chosen = int(np.argmax(values))
        order.append(chosen)
        open_[chosen] = False
        nearest = np.maximum(nearest, alike[chosen])
    return np.array(order, np.int64)


def _scaled(values: npt.NDArray[np.float64], among: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.float64]:
    """Scale the values so that the smallest value in `among` becomes 0 and the largest becomes 1. If all values in
    `among` are equal, return zeros.
    """
    chosen = values if among is None else values[among]
    if not chosen.size:
        return np.zeros_like(values)
    low, high = chosen.min(), chosen.max()
    scaled: npt.NDArray[np.float64] = (values - low) / (high - low) if high - low > 1e-9 else np.zeros_like(values)
    return scaled
