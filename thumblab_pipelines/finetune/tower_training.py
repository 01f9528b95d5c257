"""Train the upper part of an image tower and the ranker's heads together, on the pairs of a dataset.

Computing the vector of a picture takes much time, but computing the loss of a pair of known vectors takes almost no
time. So a batch should contain many training pairs. A training pair consists of two videos of one channel that were
published close to each other. So a batch is filled with the pictures of such videos. The loss is computed on every
training pair within the batch. An epoch uses each picture at most once.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from thumblab_core.arrays import Rows
from thumblab_core.errors import LabError
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TRAIN, VALIDATION
from thumblab_pipelines.finetune.fine_tune import FineTuneConfig, TunedEpoch
from thumblab_pipelines.finetune.tower_blocks import TrainableTower
from thumblab_pipelines.finetune.tower_inputs import TowerInputs
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.trainable_ranker import TrainableRanker
from thumblab_pipelines.training.checkpoints import Checkpoint, State, optimiser_state, restore_optimiser
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.corpus import dataset_inputs
from thumblab_pipelines.training.fitting import learning_rate
from thumblab_pipelines.training.losses import pair_loss

Progress = Callable[[str, int, int], None]
"""A function that reports progress.

The arguments of the function are a text with the epoch and its loss so far, the number of finished steps, and the
number of all steps.
"""

Pairs = tuple[Rows, Rows]
"""The winners [p] and the losers [p] of p pairs, as row numbers of the dataset."""


@dataclass(frozen=True)
class TunedTower:
    """The result of a fine-tuning.

    `history`: all epochs. `kept`: the epoch whose weights are in the tower. `before`: the validation AUC before
    training, or None if there are no validation pairs. `pairs`: number of training pairs. `dropped_pairs`: number of
    pairs that were left out because of an unreadable picture.
    """

    history: list[TunedEpoch]
    kept: TunedEpoch
    before: float | None
    pairs: int
    dropped_pairs: int


class TowerTraining:
    """A fine-tuning, which changes the weights of the image tower and of the ranker `heads` in place.

    `rows` [n]: the rows of the dataset whose pictures are in `inputs`. Raises `LabError` when no training pair has both
    the margin `least_margin` and two readable pictures.
    """

    def __init__(
        self,
        data: Dataset,
        rows: Rows,
        inputs: TowerInputs,
        heads: TrainableRanker,
        config: FineTuneConfig,
        checkpoint: Checkpoint,
    ) -> None:
        self.config, self.tower, self.heads = config, inputs.tower, heads.to(inputs.tower.device)
        self._inputs, self._checkpoint = inputs, checkpoint
        # `pair_loss` and `learning_rate` are functions of the ranker's training, which need a `TrainConfig`. With the
        # learning rate 1 below, `learning_rate` returns for each step a factor from 0 to 1. Each group of parameters
        # multiplies its own learning rate by this factor.
        self._recipe = TrainConfig(
            epochs=config.epochs,
            learning_rate=1.0,
            warm_up=config.warm_up,
            pair_loss=config.pair_loss,
            margin=config.margin,
            label_smoothing=config.label_smoothing,
        )
        # For each row of the dataset, the position of its picture in `inputs`, or -1 if `inputs` does not have the
        # picture.
        self._position = np.full(len(data.videos), -1, np.intp)
        self._position[rows] = np.arange(len(rows))
        self._position[rows[sorted(inputs.unreadable)]] = -1
        without_pictures = dataset_inputs(replace(data, images=data.images[:, :0]), heads.config.version)
        self._titles = torch.from_numpy(without_pictures.dense()).to(self.tower.device)
        self._channel = np.unique(data.videos.channel_id.to_numpy(str), return_inverse=True)[1]
        self._train, dropped = self._readable(pairs_of(data, TRAIN, config.least_margin))
        self._validation, dropped_of_validation = self._readable(pairs_of(data, VALIDATION, 0.0))
        self.dropped_pairs = dropped + dropped_of_validation
        if not len(self._train[0]):
            raise LabError(
                f"no training pair with a margin of {config.least_margin:g} or more has two readable pictures; "
                "collect more videos"
            )
        self._learnt = np.unique(np.concatenate(self._train))
        self._micro_batches = math.ceil(len(self._learnt) / config.pictures)
        self._steps = math.ceil(self._micro_batches / config.accumulate)
        self._optimiser = torch.optim.AdamW(_groups(self.tower, self.heads, config))
        self._peaks = [group["lr"] for group in self._optimiser.param_groups]
        self._best: dict[str, Tensor] = {}

    def run(self, listener: Progress) -> TunedTower:
        """Train the epochs that are not finished yet. Then load the weights of the best epoch into the tower."""
        # The AUC is measured before `_resume` loads trained weights. So even a resumed run reports the AUC before the
        # first epoch.
        before = self.validation_auc()
        history = self._resume()
        for number in range(len(history), self.config.epochs):
            history.append(self._epoch(number, listener))
            if history[-1] == _best(history):
                self._best = {name: value.detach().clone() for name, value in self.tower.parameters.items()}
            self._save(history)
        self._load(self._best)
        return TunedTower(history, _best(history), before, len(self._train[0]), self.dropped_pairs)

    def _epoch(self, number: int, listener: Progress) -> TunedEpoch:
        config = self.config
        # All random numbers depend only on the seed and the epoch, so a resumed run draws the same numbers.
        torch.manual_seed(config.seed * 10_007 + number)
        batches = list(self._batches(np.random.default_rng([config.seed, number])))
        total, batches_done = 0.0, 0
        for step in range(self._steps):
            self.heads.train()
            self._optimiser.zero_grad()
            group = batches[step * config.accumulate : (step + 1) * config.accumulate]
            for rows, winners, losers in group:
                scores = self._scores(rows)
                loss = pair_loss(scores[winners] - scores[losers], self._recipe).mean()
                (loss / len(group)).backward()  # type: ignore[no-untyped-call]
                total, batches_done = total + float(loss.detach()), batches_done + 1
            self._update(number + step / self._steps)
            mean = total / max(batches_done, 1)
            listener(f"epoch {number + 1} of {config.epochs}, pair loss {mean:.4f}", step + 1, self._steps)
        if not math.isfinite(mean):
            raise LabError(f"the loss of epoch {number + 1} is not finite; lower encoder_rate or heads_rate")
        return TunedEpoch(number, mean, self.validation_auc())

    def _update(self, epoch: float) -> None:
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * learning_rate(self._recipe, epoch, self._steps)
        learning = [*self.tower.parameters.values(), *self.heads.parameters()]
        nn.utils.clip_grad_norm_(learning, self.config.clip_norm)
        self._optimiser.step()

    def _batches(self, random: np.random.Generator) -> Iterator[tuple[Rows, Rows, Rows]]:
        """Yield three arrays for each batch that contains pairs: the rows of the dataset, the winners and the losers.

        A winner or loser is given as its position in the first array.
        """
        config, learnt = self.config, self._learnt
        channel = self._channel[learnt]
        # The videos are in order of publication. The two videos of a pair were published close to each other, and
        # should often be in the same batch. So the order of each channel's videos is shuffled only a little.
        time = np.zeros(len(learnt))
        for number in np.unique(channel):
            own = channel == number
            time[own] = np.arange(own.sum()) + random.uniform(0, config.pictures, own.sum())
        order = learnt[np.lexsort((time, random.permutation(channel.max() + 1)[channel]))]
        position = np.full(len(self._position), -1, np.intp)
        position[order] = np.arange(len(order))
        winners, losers = (position[side] for side in self._train)
        batch = np.where(winners // config.pictures == losers // config.pictures, winners // config.pictures, -1)
        for number in random.permutation(self._micro_batches):
            inside = batch == number
            if inside.any():
                start = number * config.pictures
                yield order[start : start + config.pictures], winners[inside] - start, losers[inside] - start

    def _scores(self, rows: Rows) -> Tensor:
        """Return the ranker's scores [n] for n rows of the dataset, as a tensor on the CPU."""
        on_cuda = self.tower.device.type == "cuda"
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=on_cuda):
            images = self.tower.above(self._inputs(self._position[rows]))
        score: Tensor = self.heads(torch.cat([images, self._titles[torch.from_numpy(rows)]], dim=1))[0]
        return score.cpu()

    @torch.no_grad()
    def validation_auc(self) -> float | None:
        """Return the AUC on the validation pairs, or None if there are no validation pairs."""
        if not len(self._validation[0]):
            return None
        rows, position = np.unique(np.concatenate(self._validation), return_inverse=True)
        self.heads.eval()
        scores = np.concatenate([self._scores(part).numpy() for part in self._parts(rows)])
        return pair_auc(scores, *np.split(position, 2))

    def _parts(self, rows: Rows) -> list[Rows]:
        return [rows[start : start + self.config.pictures] for start in range(0, len(rows), self.config.pictures)]

    def _readable(self, pairs: Pairs) -> tuple[Pairs, int]:
        """Return the pairs whose two pictures are both readable, and the number of pairs that are left out."""
        winners, losers = pairs
        kept = (self._position[winners] >= 0) & (self._position[losers] >= 0)
        return (winners[kept], losers[kept]), int((~kept).sum())

    def _save(self, history: list[TunedEpoch]) -> None:
        moments, groups = optimiser_state(self._optimiser)
        parts: dict[str, Mapping[str, Tensor]] = {
            "tower": self.tower.parameters,
            "best": self._best,
            "heads": self.heads.state_dict(),
            "optimiser": moments,
        }
        tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        self._checkpoint.save(State(tensors, {"history": [asdict(epoch) for epoch in history], "groups": groups}))

    def _resume(self) -> list[TunedEpoch]:
        state = self._checkpoint.load()
        if state is None:
            return []
        self._load(state.part("tower"))
        self._best = state.part("best")
        self.heads.load_state_dict(state.part("heads"))
        restore_optimiser(self._optimiser, state.part("optimiser"), state.facts["groups"])
        return [TunedEpoch(**epoch) for epoch in state.facts["history"]]

    def _load(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.tower.parameters.items():
            parameter.data.copy_(values[name])


def pairs_of(data: Dataset, part: str, least_margin: float) -> Pairs:
    """Return the winners and losers of the pairs in `part` whose margin is `least_margin` or more.

    A pair is left out if one of its videos must not be used for training.
    """
    learnt = data.learnt(part)
    allowed = data.pairs.winner.isin(learnt) & data.pairs.loser.isin(learnt)
    chosen = data.pairs[(data.pairs.part == part) & (data.pairs.margin >= least_margin) & allowed]
    return chosen.winner.to_numpy(np.intp), chosen.loser.to_numpy(np.intp)


def _groups(tower: TrainableTower, heads: TrainableRanker, config: FineTuneConfig) -> list[dict[str, object]]:
    """Return the parameter groups for AdamW.

    The learning rate of a block is multiplied by `layer_decay` once for each later block. Weight decay is applied to
    matrices, but not to biases and norms.
    """
    layers: list[tuple[list[nn.Parameter], float]] = [(list(heads.parameters()), config.heads_rate)]
    for depth, names in enumerate(tower.layers):
        layers.append(([tower.parameters[name] for name in names], config.encoder_rate * config.layer_decay**depth))
    return [
        {"params": chosen, "lr": rate, "weight_decay": config.weight_decay if decayed else 0.0}
        for parameters, rate in layers
        for decayed in (True, False)
        if (chosen := [parameter for parameter in parameters if (parameter.ndim > 1) == decayed])
    ]


def _best(history: list[TunedEpoch]) -> TunedEpoch:
    """Return the first epoch with the highest validation AUC, or the last epoch if there are no validation pairs."""
    if history[-1].validation_auc is None:
        return history[-1]
    return max(history, key=lambda epoch: (epoch.validation_auc or 0.0, -epoch.epoch))
