"""Order faces by their content, so that the order of the input does not matter."""

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Rows


def canonical_order(vectors: Float32s, *columns: npt.ArrayLike) -> Rows:
    """Return the rows [n] in an order that depends only on the vectors [n, d]. Equal vectors are ordered by `columns`
    [n].

    Without a fixed order, rounding errors of sums and the choice between equal values would depend on the input's
    order.
    """
    if not len(vectors):
        return np.empty(0, np.intp)
    parts = [np.ascontiguousarray(part) for part in (vectors, *columns)]
    content = np.hstack([part.view(np.uint8).reshape(len(vectors), -1) for part in parts])
    return np.argsort(np.ascontiguousarray(content).view(np.dtype((np.void, content.shape[1])))[:, 0], kind="stable")
