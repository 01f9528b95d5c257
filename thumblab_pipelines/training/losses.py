"""The losses of a step: which of two wins, and how far the other heads are from what is known."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from thumblab_core.arrays import Float32s, Rows
from thumblab_pipelines.training.config import TrainConfig


@dataclass(frozen=True)
class Targets:
    """What the heads learn, on the device of the training.

    `inputs` [n, d]; `values` [n, 1 + k] engagement, smoothed, and the sub-scores, 0 where `known` [n, 1 + k] is 0;
    `winners`, `losers` and `weights` [p].
    """

    inputs: Tensor
    values: Tensor
    known: Tensor
    winners: Rows
    losers: Rows
    weights: Tensor

    @classmethod
    def of(
        cls,
        inputs: Float32s,
        engagement: Float32s,
        sub_scores: Float32s,
        pairs: tuple[Rows, Rows, Float32s],
        smoothing: float,
        device: torch.device,
    ) -> "Targets":
        values = np.concatenate([smooth(engagement, smoothing)[:, None], sub_scores], axis=1)
        known = ~np.isnan(values)
        tensors = (inputs, np.where(known, values, 0), known, pairs[2])
        x, y, m, w = (torch.from_numpy(np.asarray(a, np.float32)).to(device) for a in tensors)
        return cls(x, y, m, pairs[0], pairs[1], w)


def smooth(target: Float32s, smoothing: float) -> Float32s:
    """Labels drawn towards one half."""
    return target * np.float32(1 - smoothing) + np.float32(0.5 * smoothing)


@dataclass(frozen=True)
class Batch:
    """m rows and b pairs of them.

    `inputs` [m, d], `values` and `known` [m, 1 + k]; `ahead` and `behind` pick the pairs' two sides [b] out of m;
    `counted` [m]: 0 for a row that another process counts, else 1.
    """

    inputs: Tensor
    values: Tensor
    known: Tensor
    ahead: Tensor
    behind: Tensor
    weights: Tensor
    counted: Tensor


def distinct(targets: Targets, pairs: Rows, elsewhere: Rows) -> Batch:
    """Some pairs, each of their rows once, however many pairs it is in; `elsewhere`: pairs that other processes take."""
    rows, place = np.unique(np.concatenate([targets.winners[pairs], targets.losers[pairs]]), return_inverse=True)
    counted = np.ones(len(rows), np.float32)
    if len(elsewhere):
        counted[np.isin(rows, np.concatenate([targets.winners[elsewhere], targets.losers[elsewhere]]))] = 0
    at, (ahead, behind) = torch.from_numpy(rows), np.split(place, 2)
    return Batch(
        targets.inputs[at],
        targets.values[at],
        targets.known[at],
        torch.from_numpy(ahead),
        torch.from_numpy(behind),
        targets.weights[torch.from_numpy(pairs)],
        torch.from_numpy(counted).to(targets.inputs),
    )


def mixed(targets: Targets, pairs: Rows, alpha: float, random: np.random.Generator) -> Batch:
    """Two rows per pair, winners first, each mixed with the same side of another pair in the pair's own proportion."""
    other = random.permutation(pairs)
    share = torch.from_numpy(random.beta(alpha, alpha, len(pairs)).astype(np.float32)).to(targets.inputs)
    twice = torch.cat([share, share])[:, None]
    mine, theirs = (torch.from_numpy(np.concatenate([targets.winners[p], targets.losers[p]])) for p in (pairs, other))
    weights = torch.lerp(targets.weights[torch.from_numpy(other)], targets.weights[torch.from_numpy(pairs)], share)
    sides = torch.arange(2 * len(pairs))
    return Batch(
        torch.lerp(targets.inputs[theirs], targets.inputs[mine], twice),
        torch.lerp(targets.values[theirs], targets.values[mine], twice),
        targets.known[theirs] * targets.known[mine],
        sides[: len(pairs)],
        sides[len(pairs) :],
        weights,
        torch.ones_like(twice[:, 0]),
    )


def batch_losses(outputs: tuple[Tensor, Tensor, Tensor], batch: Batch, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Sums [3] of the pair, absolute and auxiliary losses, and the weights [3] that they are to be divided by."""
    score, absolute, auxiliary = outputs
    pair = pair_loss(score[batch.ahead] - score[batch.behind], config) * batch.weights
    known = batch.known * batch.counted[:, None]
    squares = (torch.cat([absolute[:, None], auxiliary], dim=1) - batch.values).square() * known
    sums = torch.stack([pair.sum(), squares[:, 0].sum(), squares[:, 1:].sum()])
    return sums, torch.stack([batch.weights.sum(), known[:, 0].sum(), known[:, 1:].sum()])


def pair_loss(gap: Tensor, config: TrainConfig) -> Tensor:
    """[b] score of the winner less that of the loser, to losses [b]."""
    if config.pair_loss == "margin":
        return (config.margin - gap).clamp_min(0)
    if config.pair_loss == "ranknet":
        # -(1 - s/2) log sigmoid(gap) - s/2 log sigmoid(-gap)
        return nn.functional.softplus(-gap) + 0.5 * config.label_smoothing * gap
    raise ValueError(f"pair_loss is margin or ranknet, not {config.pair_loss!r}")
