"""Make the batch of a training step, and compute its losses for the pairs, for engagement and for the sub-scores."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from thumblab_core.arrays import Float32s, Rows
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.training.config import TrainConfig


@dataclass(frozen=True)
class Inputs:
    """The inputs of all n rows of a training. The rows of a step are made dense and moved to the device for that step."""

    rows: MixedRows
    device: torch.device

    def __getitem__(self, chosen: Tensor) -> Tensor:
        """Return the inputs [m, d] of the chosen rows [m], float32."""
        return torch.from_numpy(np.asarray(self.rows[chosen.numpy()], np.float32)).to(self.device)


@dataclass(frozen=True)
class Targets:
    """All n rows and p pairs of a training, on the device that trains.

    `inputs` [n, d]: the inputs. `values` [n, 1 + k]: the smoothed engagement and the k sub-scores, 0 for unknown
    values. `known` [n, 1 + k]: 1 for known values, else 0. `winners` [p], `losers` [p] and `weights` [p]: the pairs.
    """

    inputs: Inputs
    values: Tensor
    known: Tensor
    winners: Rows
    losers: Rows
    weights: Tensor

    @classmethod
    def of(
        cls,
        inputs: Float32s | MixedRows,
        engagement: Float32s,
        sub_scores: Float32s,
        pairs: tuple[Rows, Rows, Float32s],
        smoothing: float,
        device: torch.device,
    ) -> "Targets":
        """Return the targets as tensors. `pairs`: the winners, losers and weights [p] of the pairs.

        `smoothing`: see `smooth_labels`.
        """
        winners, losers, weights = pairs
        values = np.concatenate([smooth_labels(engagement, smoothing)[:, None], sub_scores], axis=1)
        known = ~np.isnan(values)
        arrays = (np.where(known, values, 0), known, weights)
        y, m, w = (torch.from_numpy(np.asarray(array, np.float32)).to(device) for array in arrays)
        return cls(Inputs(MixedRows.of(inputs), device), y, m, winners, losers, w)


def smooth_labels(labels: Float32s, smoothing: float) -> Float32s:
    """Return the labels, moved towards one half by the share `smoothing`."""
    return labels * np.float32(1 - smoothing) + np.float32(0.5 * smoothing)


@dataclass(frozen=True)
class Batch:
    """A batch of m rows and b pairs of these rows.

    `inputs` [m, d], `values` [m, 1 + k] and `known` [m, 1 + k]: rows of the same fields of `Targets`. `ahead` [b] and
    `behind` [b]: the rows of the winners and of the losers. `weights` [b]: the weights of the pairs. `counted` [m]: 0
    for a row that another process counts, else 1.
    """

    inputs: Tensor
    values: Tensor
    known: Tensor
    ahead: Tensor
    behind: Tensor
    weights: Tensor
    counted: Tensor


def pair_batch(targets: Targets, pairs: Rows, elsewhere: Rows) -> Batch:
    """Return the batch of some pairs. The batch contains each row only once, even if the row is in several pairs.

    `elsewhere`: the pairs of the same step that belong to processes with lower numbers. The rows of these pairs are
    counted by those processes.
    """
    rows, position = np.unique(np.concatenate([targets.winners[pairs], targets.losers[pairs]]), return_inverse=True)
    counted = np.ones(len(rows), np.float32)
    if len(elsewhere):
        counted[np.isin(rows, np.concatenate([targets.winners[elsewhere], targets.losers[elsewhere]]))] = 0
    selected, (ahead, behind) = torch.from_numpy(rows), np.split(position, 2)
    return Batch(
        targets.inputs[selected],
        targets.values[selected],
        targets.known[selected],
        torch.from_numpy(ahead),
        torch.from_numpy(behind),
        targets.weights[torch.from_numpy(pairs)],
        torch.from_numpy(counted).to(targets.inputs.device),
    )


def mixup_batch(targets: Targets, pairs: Rows, alpha: float, random: np.random.Generator) -> Batch:
    """Return the batch of some pairs, in which each pair is mixed with a partner.

    The partners are the same pairs in random order. The winner of a pair is mixed with the partner's winner, and the
    loser with the partner's loser. Winners and losers are mixed with the same share, which is drawn from Beta(`alpha`,
    `alpha`). The batch has two rows per pair: first the rows of all winners, then the rows of all losers.
    """
    partners = random.permutation(pairs)
    share = torch.from_numpy(random.beta(alpha, alpha, len(pairs)).astype(np.float32)).to(targets.inputs.device)
    share_of_rows = torch.cat([share, share])[:, None]
    rows, partner_rows = (
        torch.from_numpy(np.concatenate([targets.winners[chosen], targets.losers[chosen]]))
        for chosen in (pairs, partners)
    )
    weights = torch.lerp(targets.weights[torch.from_numpy(partners)], targets.weights[torch.from_numpy(pairs)], share)
    positions = torch.arange(2 * len(pairs))
    return Batch(
        torch.lerp(targets.inputs[partner_rows], targets.inputs[rows], share_of_rows),
        torch.lerp(targets.values[partner_rows], targets.values[rows], share_of_rows),
        targets.known[partner_rows] * targets.known[rows],
        positions[: len(pairs)],
        positions[len(pairs) :],
        weights,
        torch.ones_like(share_of_rows[:, 0]),
    )


def batch_losses(outputs: tuple[Tensor, Tensor, Tensor], batch: Batch, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Return three sums of losses, and three totals of weights. A sum divided by its total is a mean loss.

    The first sum is over pairs. The second sum is over engagement values, and the third sum is over sub-scores.

    `outputs` are the outputs of the model: score [m], engagement [m] and sub-scores [m, k].
    """
    score, absolute, auxiliary = outputs
    pair = pair_loss(score[batch.ahead] - score[batch.behind], config) * batch.weights
    known = batch.known * batch.counted[:, None]
    squares = (torch.cat([absolute[:, None], auxiliary], dim=1) - batch.values).square() * known
    sums = torch.stack([pair.sum(), squares[:, 0].sum(), squares[:, 1:].sum()])
    return sums, torch.stack([batch.weights.sum(), known[:, 0].sum(), known[:, 1:].sum()])


def pair_loss(gap: Tensor, config: TrainConfig) -> Tensor:
    """Return the loss of each pair [b]. `gap` [b] is the score of the winner minus the score of the loser."""
    if config.pair_loss == "margin":
        return (config.margin - gap).clamp_min(0)
    if config.pair_loss == "ranknet":
        # With s = label_smoothing, the loss is -(1 - s/2) log sigmoid(gap) - s/2 log sigmoid(-gap).
        return nn.functional.softplus(-gap) + 0.5 * config.label_smoothing * gap
    raise ValueError(f"pair_loss is {config.pair_loss!r}; use 'margin' or 'ranknet'")
