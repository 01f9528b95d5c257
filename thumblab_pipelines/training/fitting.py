"""Fit a model to pairs. The model must have the same outputs as the ranker.

The training is fast on two cores, gives the same weights for the same seed, and can be resumed. The model maps inputs
[m, d] to a pairwise score [m], engagement [m] and sub-scores [m, k]. This module does not depend on the meaning of the
inputs. If `accelerate launch` started several processes, the same call trains in all of them (see `ProcessGroup`).
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
    optimiser_state,
    restore_optimiser,
    termination,
    training_digest,
)
from thumblab_pipelines.training.config import NO_FOLDERS, Epoch, TrainConfig, TrainingFolders, TrainingStoppedError
from thumblab_pipelines.training.log import training_log
from thumblab_pipelines.training.losses import Targets, batch_losses, mixup_batch, pair_batch
from thumblab_pipelines.training.processes.distributed import ProcessGroup

Model = TypeVar("Model", bound=nn.Module)

_ROWS_AT_ONCE = 8_192
"""Maximum number of rows in a forward pass outside training steps."""


def fit(
    arrays: TrainingArrays,
    config: TrainConfig,
    model: Model,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    folders: TrainingFolders = NO_FOLDERS,
    checkpoint_every: int = 10,
    threads: int = 1,
) -> tuple[Model, list[Epoch]]:
    """Train `model` in place. Return the model in evaluation mode, with the history of its epochs.

    The model has the weights of the last epoch. With stochastic weight averaging (SWA, see `TrainConfig`), the model
    may instead have the average of the weights after several epochs. The weights of the epoch with the best validation
    AUC are not restored. The validation AUC depends only on the pairwise head, which gives the score. The pairwise head
    may be best after the first epoch, when the heads for engagement and sub-scores have not learnt anything yet.

    If `folders.checkpoints` is set, the state is written every `checkpoint_every` epochs and on SIGTERM. The state is
    deleted at the end. A call that finds a state resumes from it. On a CPU and with the same `threads`, the resumed
    training ends with the same weights as a training that was never stopped.

    `on_epoch` is called after each epoch of this run. The history also has the epochs of earlier runs. `threads`:
    number of PyTorch's threads, by default one. A step is small, so two threads would mostly wait for each other on a
    busy machine.

    Raises `LabError` when no training pair has a margin of at least `least_margin`, or when the loss is not
    finite. Raises `TrainingStoppedError` when SIGTERM has stopped the training.
    """
    with torch.random.fork_rng(devices=[]), _threads(threads):
        group = ProcessGroup()
        torch.manual_seed(group.seed(config.seed))
        with group.shared_statistics(model):
            training = _Training(arrays, config, model.to(group.device), group)
            checkpoint = None
            if folders.checkpoints is not None:
                digest = training_digest(arrays.arrays(), config, model, group.size)
                checkpoint = Checkpoint(folders.checkpoints, digest)
                training.resume(checkpoint)
            training.run(checkpoint, max(1, checkpoint_every), folders.logs, on_epoch)
            training.finish()
        group.wait()
        if checkpoint is not None:
            group.in_main(checkpoint.remove, then=_nothing)
    return model.cpu().eval(), training.history


class _Training:
    """A training in progress, with its whole state. `save` writes the state of the training, and `resume` reads it."""

    def __init__(self, arrays: TrainingArrays, config: TrainConfig, model: nn.Module, group: ProcessGroup) -> None:
        self.arrays, self.config, self.model, self.group = arrays, config, model, group
        pairs = arrays.pairs(config.least_margin)
        smoothing, device = 0.0 if arrays.measured else config.label_smoothing, group.device
        self.targets = Targets.of(arrays.inputs, arrays.engagement, arrays.sub_scores, pairs, smoothing, device)
        self.batches = Batches.of(pairs[0], pairs[1], config)
        trained = [weights for weights in model.parameters() if weights.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, config.learning_rate, weight_decay=config.weight_decay, fused=True)
        self.forward, self.stepper = group.prepare(model, self.optimiser)
        self.average = AveragedModel(model) if config.swa_start else None
        self.scale = torch.tensor([1.0, config.absolute_weight, config.auxiliary_weight], device=device)
        self.epoch, self.step = 0, 0
        self.losses = torch.zeros(3, dtype=torch.float64, device=device)
        self.best_auc, self.best_epoch = -1.0, 0
        self.history: list[Epoch] = []

    def run(
        self, checkpoint: Checkpoint | None, every: int, logs: Path | None, on_epoch: Callable[[Epoch], None]
    ) -> None:
        """Train to the last epoch, or until early stopping."""
        own_logs = logs if self.group.main else None
        with _stop_requested(checkpoint) as requested, training_log(own_logs, self.epoch) as log:
            while self.epoch < self.config.epochs and not self._stops_early():
                self._run_epoch(checkpoint, requested)
                log(self.history[-1], self.optimiser.param_groups[0]["lr"])
                on_epoch(self.history[-1])
                if checkpoint is not None and self.epoch % every == 0 and self.epoch < self.config.epochs:
                    self.save(checkpoint)

    def _run_epoch(self, checkpoint: Checkpoint | None, stop_requested: Event) -> None:
        self.model.train()
        steps = self.batches.epoch(self.epoch)
        while self.step < len(steps):
            self._run_step(steps[self.step])
            self.step += 1
            if checkpoint is not None and self.group.any(stop_requested.is_set()):
                self.save(checkpoint)
                raise TrainingStoppedError(
                    f"training was stopped in epoch {self.epoch + 1} of {self.config.epochs}; "
                    f"start it again to resume from {checkpoint.path}"
                )
        pair, absolute, auxiliary = (self.group.sum(self.losses) / self.step).tolist()
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
        own, elsewhere = self.group.share(pairs)
        if config.mixup_alpha:
            random = self.group.random(config.seed, self.epoch, self.step)
            batch = mixup_batch(self.targets, own, config.mixup_alpha, random)
        else:
            batch = pair_batch(self.targets, own, elsewhere)
        self.group.set_counted(batch.counted)
        sums, counts = batch_losses(self.forward(batch.inputs), batch, config)
        means = sums / self.group.sum(counts).clamp_min(1e-12)
        self.stepper.zero_grad()
        self.group.backward((means * self.scale).sum())
        if config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm, foreach=True)
        self.stepper.step()
        self.losses += means.detach()

    def _stops_early(self) -> bool:
        averaging = self.average is not None and self.epoch > self.config.swa_start
        return 0 < self.config.patience <= self.epoch - 1 - self.best_epoch and not averaging

    def finish(self) -> None:
        """If the weights were averaged, choose between the averaged weights and the weights of the last epoch.

        The averaged weights are loaded into the model, unless their validation AUC is lower.
        """
        if self.average is None or not int(self.average.n_averaged):
            return
        # From here on, each process computes all rows by itself. So the batch norms of each process use all rows.
        self.group.set_counted(None)
        update_bn((self.targets.inputs[rows] for rows in self._training_rows()), self.average)
        auc, last = self._validate(self.average.module), self.history[-1].validation_auc
        if auc is None or last is None or auc >= last:
            self.model.load_state_dict(self.average.module.state_dict())

    def _training_rows(self) -> Iterator[Tensor]:
        """Yield all rows of the training pairs in random order, in parts.

        The parts have similar sizes, because the batch norms estimate a mean and a variance in each part. A last part
        with only a few rows would give poor estimates.
        """
        rows = np.union1d(self.targets.winners, self.targets.losers)
        rows = np.random.default_rng(self.config.seed).permutation(rows)
        for part in np.array_split(rows, math.ceil(len(rows) / _ROWS_AT_ONCE)):
            yield torch.from_numpy(part)

    @torch.inference_mode()
    def _validate(self, model: nn.Module) -> float | None:
        """Return the AUC on the validation pairs, or None if there are no validation pairs."""
        held = np.concatenate([self.arrays.held_winners, self.arrays.held_losers])
        if not len(held):
            return None
        model.eval()
        rows, position = np.unique(held, return_inverse=True)
        parts = np.array_split(rows, math.ceil(len(rows) / _ROWS_AT_ONCE))
        scores = torch.cat([model(self.targets.inputs[torch.from_numpy(part)])[0].cpu() for part in parts])
        return self.group.broadcast(pair_auc(scores.numpy(), *np.split(position, 2)))

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the state. All processes must call this method. Only the main process writes the file."""
        of_processes = {"random": self.group.gather(torch.get_rng_state()), "losses": self.group.gather(self.losses)}
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
        self.group.in_main(lambda: checkpoint.save(State(named | of_processes, facts)), then=_nothing)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Load the saved state of this training, if there is one."""
        state = checkpoint.load()
        if state is None:
            return
        self.model.load_state_dict(state.part("model"))
        restore_optimiser(self.optimiser, state.part("optimiser"), state.facts["groups"])
        if self.average is not None:
            self.average.load_state_dict(state.part("average"))
        # `set_rng_state` reads from a wrong offset if its argument is a view of another tensor, so it gets a copy.
        torch.set_rng_state(self.group.own(state.tensors["random"]).clone())
        self.losses = self.group.own(state.tensors["losses"]).to(self.group.device)
        self.epoch, self.step = state.facts["epoch"], state.facts["step"]
        self.best_auc, self.best_epoch = state.facts["best"]
        self.history = [Epoch(**epoch) for epoch in state.facts["history"]]


def learning_rate(config: TrainConfig, epoch: float, steps: int) -> float:
    """Return the learning rate at the time `epoch`.

    The rate rises linearly during the warm-up, and then decays along a cosine. If `swa_start` is set, the rate stays
    constant from that epoch on.

    `epoch`: the time since the start of the training in epochs, with fractions. An epoch has `steps` steps.
    """
    if config.swa_start:
        epoch = min(epoch, config.swa_start)
    warm = config.warm_up * config.epochs
    if epoch < warm:
        return config.learning_rate * min(1.0, (epoch + 1 / steps) / warm)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - warm) / max(config.epochs - warm, 1e-9)))


@contextmanager
def _stop_requested(checkpoint: Checkpoint | None) -> Iterator[Event]:
    """Yield an event that SIGTERM sets. Without a checkpoint, the state cannot be saved, so SIGTERM is not handled."""
    if checkpoint is None:
        yield Event()
    else:
        with termination() as requested:
            yield requested


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let PyTorch use `number` threads inside the `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _nothing() -> None:
    """Do nothing. A process that does not write the checkpoint calls this function instead of writing."""
