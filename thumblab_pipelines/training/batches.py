"""Which pairs make a step. A video is in many pairs, so pairs are visited in blocks that share videos.

A step computes each of its videos once, however many pairs the video is in: 1,024 pairs drawn one by one contain about
2,000 videos, and about 200 in blocks of 256. The steps of an epoch depend on (seed, epoch) alone, so a resumed training
needs no state of this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Rows
from thumblab_pipelines.training.config import TrainConfig


def order_by_shared_videos(winners: Rows, losers: Rows) -> Rows:
    """Return an order [p] of the p pairs in which neighbouring pairs share videos.

    Videos are the nodes of a graph and pairs its edges. The reverse Cuthill-McKee order keeps connected parts together
    (the videos of a channel) and puts neighbours close to each other (videos of the same weeks). Neither channels nor
    dates are passed to it.
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
    """Divides the pairs into steps, differently in every epoch.

    `order` [p]: see `order_by_shared_videos`; `pairs`: how many pairs an epoch visits; `steps`: steps in each epoch;
    `block`: pairs in a block.
    """

    order: Rows
    pairs: int
    steps: int
    block: int
    seed: int

    @classmethod
    def of(cls, winners: Rows, losers: Rows, config: TrainConfig) -> "Batches":
        """Return the batches of the pairs `winners` and `losers` [p]."""
        pairs = len(winners)
        if config.pairs_per_video:
            videos = len(np.union1d(winners, losers))
            pairs = min(pairs, max(1, config.pairs_per_video * videos))
        steps = max(1, round(pairs / config.pairs_per_step))
        order = order_by_shared_videos(winners, losers)
        return cls(order, pairs, steps, max(1, config.pairs_per_block), config.seed)

    def epoch(self, number: int) -> Sequence[Rows]:
        """Return the numbers of the pairs of each step of an epoch.

        Blocks begin at a random offset, are shuffled, and are then divided into steps of equal size.
        """
        random = np.random.default_rng([self.seed, number])
        block = (np.arange(len(self.order)) + random.integers(self.block)) // self.block
        shuffled = random.permutation(block[-1] + 1)[block]
        return np.array_split(self.order[np.argsort(shuffled, kind="stable")][: self.pairs], self.steps)
