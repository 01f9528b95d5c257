"""Fit a model of the ranker's shape on pairs: fast on two cores, the same weights for the same seed, resumable.

The model maps inputs [m, d] to a pairwise score [m], engagement [m] and sub-scores [m, k]; what the inputs are is not known
here. Started by `accelerate launch`, the same call trains in several processes.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from thumblab_core.arrays import Rows
from thumblab_core.errors import LabError
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.training.arrays import TrainingArrays
from thumblab_pipelines.training.batches import Batches
from thumblab_pipelines.training.checkpoints import (
    Checkpoint,
    State,
    TrainingStoppedError,
    optimiser_state,
    restore_optimiser,
    termination,
    training_digest,
)
from thumblab_pipelines.training.config import Epoch, TrainConfig
from thumblab_pipelines.training.distributed import ProcessGroup
from thumblab_pipelines.training.log import training_log
from thumblab_pipelines.training.losses import Targets, batch_losses, distinct, mixed

Model = TypeVar("Model", bound=nn.Module)
_ROWS_AT_ONCE = 8_192


def fit(
    problem: TrainingArrays,
    config: TrainConfig,
    model: Model,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    checkpoints: Path | None = None,
    checkpoint_every: int = 10,
    logs: Path | None = None,
    threads: int = 1,
) -> tuple[Model, list[Epoch]]:
    """Train `model` in place; it is returned in evaluation mode, with the weights of the last epoch or their average (SWA).

    Not those of the epoch that orders pairs best: it may be the first, and then the other heads have learnt nothing.

    `checkpoints`: a folder for the state of this training, written every `checkpoint_every` epochs and on SIGTERM, and
    removed at the end. A call that finds it goes on from there, to weights equal to those of a run that was never stopped
    (on a CPU, with the same threads). `on_epoch` hears of the epochs of this run, the history has all. `logs`: a folder for
    TensorBoard. `threads` of PyTorch: a step is little to share, and on a busy machine two wait for each other.

    Raises `LabError` when no pair is clear enough or the loss is not finite, `TrainingStoppedError` when SIGTERM came.
    """
    with torch.random.fork_rng(devices=[]), _threads(threads):
        team = ProcessGroup()
        torch.manual_seed(config.seed + 100_003 * team.rank)  # each process drops its own features
        with team.shared_statistics(model):
            training = _Training(problem, config, model.to(team.device), team)
            checkpoint = None
            if checkpoints is not None:
                digest = training_digest(problem.arrays(), config, model, team.size)
                checkpoint = Checkpoint(checkpoints, digest)
                training.resume(checkpoint)
            training.run(checkpoint, max(1, checkpoint_every), logs, on_epoch)
            training.finish()
        team.wait()
        if checkpoint is not None and team.main:
            checkpoint.remove()
    return model.cpu().eval(), training.history


class _Training:
    """Everything that changes while a model is trained; `save` and `resume` know all of it."""

    def __init__(self, problem: TrainingArrays, config: TrainConfig, model: nn.Module, team: ProcessGroup) -> None:
        self.problem, self.config, self.model, self.team = problem, config, model, team
        pairs = problem.pairs(config.least_margin)
        smoothing, device = 0.0 if problem.measured else config.label_smoothing, team.device
        self.targets = Targets.of(problem.inputs, problem.engagement, problem.sub_scores, pairs, smoothing, device)
        self.batches = Batches.of(pairs[0], pairs[1], config)
        trained = [weights for weights in model.parameters() if weights.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, config.learning_rate, weight_decay=config.weight_decay, fused=True)
        self.forward, self.stepper = team.prepare(model, self.optimiser)
        self.average = AveragedModel(model) if config.swa_start else None
        self.scale = torch.tensor([1.0, config.absolute_weight, config.auxiliary_weight], device=device)
        self.epoch, self.step = 0, 0
        self.losses = torch.zeros(3, dtype=torch.float64, device=device)
        self.best_auc, self.best_epoch = -1.0, 0
        self.history: list[Epoch] = []

    def run(
        self, checkpoint: Checkpoint | None, every: int, logs: Path | None, on_epoch: Callable[[Epoch], None]
    ) -> None:
        with _listening(checkpoint) as asked, training_log(logs if self.team.main else None, self.epoch) as log:
            while self.epoch < self.config.epochs and not self._gave_up():
                self._run_epoch(checkpoint, asked)
                log(self.history[-1], self.optimiser.param_groups[0]["lr"])
                on_epoch(self.history[-1])
                if checkpoint is not None and self.epoch % every == 0 and self.epoch < self.config.epochs:
                    self.save(checkpoint)

    def _run_epoch(self, checkpoint: Checkpoint | None, asked: Event) -> None:
        self.model.train()
        plan = self.batches.epoch(self.epoch)
        while self.step < len(plan):
            self._run_step(plan[self.step])
            self.step += 1
            if checkpoint is not None and self.team.any(asked.is_set()):
                self.save(checkpoint)
                raise TrainingStoppedError(
                    f"training was told to stop in epoch {self.epoch + 1} of {self.config.epochs}; "
                    f"start it again and it goes on from {checkpoint.path}"
                )
        pair, absolute, auxiliary = (self.team.total(self.losses) / self.step).tolist()
        if not math.isfinite(pair + absolute + auxiliary):
            raise LabError(f"the loss of epoch {self.epoch + 1} is not finite; lower the learning rate")
        auc = self._validate(self.model)
        self.history.append(Epoch(self.epoch, pair, absolute, auxiliary, auc))
        if auc is None or auc > self.best_auc:
            self.best_auc, self.best_epoch = -1.0 if auc is None else auc, self.epoch
        if self.average is not None and self.epoch >= self.config.swa_start:
            self.average.update_parameters(self.model)
        self.epoch, self.step = self.epoch + 1, 0
        self.losses.zero_()

    def _run_step(self, pairs: Rows) -> None:
        config = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, self.epoch + self.step / self.batches.steps, self.batches.steps)
        mine, elsewhere = self.team.share(pairs)
        if config.mixup_alpha:
            random = np.random.default_rng([config.seed, self.epoch, self.step, self.team.rank])
            batch = mixed(self.targets, mine, config.mixup_alpha, random)
        else:
            batch = distinct(self.targets, mine, elsewhere)
        self.team.count(batch.counted)
        sums, counts = batch_losses(self.forward(batch.inputs), batch, config)
        means = sums / self.team.total(counts).clamp_min(1e-12)
        self.stepper.zero_grad()
        self.team.backward((means * self.scale).sum())
        if config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm, foreach=True)
        self.stepper.step()
        self.losses += means.detach()

    def _gave_up(self) -> bool:
        averaging = self.average is not None and self.epoch > self.config.swa_start
        return 0 < self.config.patience <= self.epoch - 1 - self.best_epoch and not averaging

    def finish(self) -> None:
        """Leave the average in the model, where there is one and it orders validation no worse than the last epoch."""
        if self.average is None or not int(self.average.n_averaged):
            return
        self.team.count(None)  # every process goes over the same rows
        update_bn((self.targets.inputs[rows] for rows in self._training_rows()), self.average)
        auc, last = self._validate(self.average.module), self.history[-1].validation_auc
        if auc is None or last is None or auc >= last:
            self.model.load_state_dict(self.average.module.state_dict())

    def _training_rows(self) -> Iterator[Tensor]:
        """All training rows, in parts that are large and equal enough for batch norm."""
        rows = np.union1d(self.targets.winners, self.targets.losers)
        rows = np.random.default_rng(self.config.seed).permutation(rows)
        for part in np.array_split(rows, math.ceil(len(rows) / _ROWS_AT_ONCE)):
            yield torch.from_numpy(part)

    @torch.inference_mode()
    def _validate(self, model: nn.Module) -> float | None:
        """AUC on the validation pairs; None when there are none."""
        held = np.concatenate([self.problem.held_winners, self.problem.held_losers])
        if not len(held):
            return None
        model.eval()
        rows, place = np.unique(held, return_inverse=True)
        several = np.array_split(rows, math.ceil(len(rows) / _ROWS_AT_ONCE))
        parts = [model(self.targets.inputs[torch.from_numpy(part)])[0].cpu() for part in several]
        return self.team.told(pair_auc(torch.cat(parts).numpy(), *np.split(place, 2)))

    def save(self, checkpoint: Checkpoint) -> None:
        """All processes call this; the main one writes."""
        each = {"random": self.team.gather(torch.get_rng_state()), "losses": self.team.gather(self.losses)}
        tensors, groups = optimiser_state(self.optimiser)
        parts = {"model": self.model.state_dict(), "optimiser": tensors}
        if self.average is not None:
            parts["average"] = self.average.state_dict()
        named = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        facts = {
            "groups": groups,
            "epoch": self.epoch,
            "step": self.step,
            "best": [self.best_auc, self.best_epoch],
            "history": [asdict(epoch) for epoch in self.history],
        }
        if self.team.main:
            checkpoint.save(State(named | each, facts))
        self.team.wait()

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take up the saved state, where there is one of this training."""
        state = checkpoint.load()
        if state is None:
            return
        self.model.load_state_dict(state.part("model"))
        restore_optimiser(self.optimiser, state.part("optimiser"), state.facts["groups"])
        if self.average is not None:
            self.average.load_state_dict(state.part("average"))
        torch.set_rng_state(state.tensors["random"][self.team.rank].clone())  # it reads a view from the wrong place
        self.losses = state.tensors["losses"][self.team.rank].to(self.team.device)
        self.epoch, self.step = state.facts["epoch"], state.facts["step"]
        self.best_auc, self.best_epoch = state.facts["best"]
        self.history = [Epoch(**epoch) for epoch in state.facts["history"]]


def learning_rate(config: TrainConfig, epoch: float, steps: int) -> float:
    """The step size at a moment counted in epochs of `steps` steps: up along a line, then down along a cosine."""
    if config.swa_start:
        epoch = min(epoch, config.swa_start)
    warm = config.warm_up * config.epochs
    if epoch < warm:
        return config.learning_rate * min(1.0, (epoch + 1 / steps) / warm)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - warm) / max(config.epochs - warm, 1e-9)))


@contextmanager
def _listening(checkpoint: Checkpoint | None) -> Iterator[Event]:
    """SIGTERM is listened to only where there is a place to keep the state."""
    if checkpoint is None:
        yield Event()
    else:
        with termination() as asked:
            yield asked


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
