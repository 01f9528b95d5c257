"""Choose the pairs of each training step.

A step computes the score of each of its videos only once, even if the video is in many pairs. So a step is faster if it
has fewer different videos. Pairs are therefore grouped into blocks that share videos. For example, 1,024 pairs that are
drawn one by one have about 2,000 videos. Four blocks of 256 pairs have about 200 videos.

The steps of an epoch depend only on the seed and the epoch. So a resumed training needs no state of this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Rows
from thumblab_pipelines.training.config import TrainConfig


def order_by_shared_videos(winners: Rows, losers: Rows) -> Rows:
    """Return an order [p] of the p pairs, in which a pair often shares a video with the pairs next to it.

    Videos are the nodes of a graph, and pairs are its edges. The reverse Cuthill-McKee order puts connected nodes close
    to each other. All videos of a channel are connected, and the two videos of a pair were published near each other.
    So the order is mostly by channel and by time, although this function gets neither channels nor dates.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    rows = int(max(winners.max(), losers.max())) + 1
    edges = np.concatenate([winners, losers]), np.concatenate([losers, winners])
    graph = csr_array((np.ones(2 * len(winners), np.int8), edges), shape=(rows, rows))
    position = np.empty(rows, np.intp)
    position[reverse_cuthill_mckee(graph, symmetric_mode=True)] = np.arange(rows)
    winner_position, loser_position = position[winners], position[losers]
    return np.lexsort((np.maximum(winner_position, loser_position), np.minimum(winner_position, loser_position)))


@dataclass(frozen=True)
class Batches:
    """A division of the pairs into training steps. Each epoch has a different division.

    `order` [p]: the result of `order_by_shared_videos`. `pairs`: number of pairs in an epoch. `steps`: number of steps
    in an epoch. `block`: number of pairs in a block.
    """

    order: Rows
    pairs: int
    steps: int
    block: int
    seed: int

    @classmethod
    def of(cls, winners: Rows, losers: Rows, config: TrainConfig) -> "Batches":
        """Return the batches for p pairs with these `winners` [p] and `losers` [p]."""
        pairs = len(winners)
        if config.pairs_per_video:
            videos = len(np.union1d(winners, losers))
            pairs = min(pairs, max(1, config.pairs_per_video * videos))
        steps = max(1, round(pairs / config.pairs_per_step))
        order = order_by_shared_videos(winners, losers)
        return cls(order, pairs, steps, max(1, config.pairs_per_block), config.seed)

    def epoch(self, number: int) -> Sequence[Rows]:
        """Return the row numbers of the pairs that each step of epoch `number` visits.

        The blocks begin at a random offset. The blocks are shuffled and then divided into steps of equal size.
        """
        random = np.random.default_rng([self.seed, number])
        block = (np.arange(len(self.order)) + random.integers(self.block)) // self.block
        shuffled = random.permutation(block[-1] + 1)[block]
        return np.array_split(self.order[np.argsort(shuffled, kind="stable")][: self.pairs], self.steps)
