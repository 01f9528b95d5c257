"""Which pairs make a step. One video is in many pairs, so pairs are visited in blocks that share videos.

A step computes each of its videos once, whatever the number of its pairs; 1,024 pairs drawn one by one have some 2,000
videos, in blocks of 256 about 200. What the steps of an epoch see is a function of (seed, epoch) alone: a run
that is resumed needs no state of this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Rows
from thumblab_pipelines.training.config import TrainConfig


def neighbouring(winners: Rows, losers: Rows) -> Rows:
    """The p pairs in an order where those next to each other share videos, [p].

    Videos are nodes and pairs are edges. The reverse Cuthill-McKee order keeps the parts of a graph together (a channel) and
    puts neighbours close (videos of the same weeks), without being told what a channel or a week is.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    rows = int(max(winners.max(), losers.max())) + 1
    both = np.concatenate([winners, losers]), np.concatenate([losers, winners])
    graph = csr_array((np.ones(2 * len(winners), np.int8), both), shape=(rows, rows))
    place = np.empty(rows, np.intp)
    place[reverse_cuthill_mckee(graph, symmetric_mode=True)] = np.arange(rows)
    one, other = place[winners], place[losers]
    return np.lexsort((np.maximum(one, other), np.minimum(one, other)))


@dataclass(frozen=True)
class Batches:
    """Deals the pairs out, anew for every epoch. `order` is that of `neighbouring`; `steps` is the same for every epoch."""

    order: Rows
    pairs: int
    steps: int
    block: int
    seed: int

    @classmethod
    def of(cls, winners: Rows, losers: Rows, config: TrainConfig) -> "Batches":
        pairs = len(winners)
        if config.pairs_per_video:
            videos = len(np.union1d(winners, losers))
            pairs = min(pairs, max(1, config.pairs_per_video * videos))
        steps = max(1, round(pairs / config.pairs_per_step))
        return cls(neighbouring(winners, losers), pairs, steps, max(1, config.pairs_per_block), config.seed)

    def epoch(self, number: int) -> Sequence[Rows]:
        """Numbers of pairs, per step: blocks that begin elsewhere each time, shuffled, dealt out in equal parts."""
        random = np.random.default_rng([self.seed, number])
        block = (np.arange(len(self.order)) + random.integers(self.block)) // self.block
        shuffled = random.permutation(block[-1] + 1)[block]
        return np.array_split(self.order[np.argsort(shuffled, kind="stable")][: self.pairs], self.steps)
