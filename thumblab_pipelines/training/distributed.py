"""The processes that train one model together: this one alone, or those that `accelerate launch` started.

    accelerate launch --multi_gpu --num_processes 2 ...     also on CPUs: with --cpu the launcher starts one process only

Every process knows the whole plan and takes its part of the pairs of each step; gradients are averaged by accelerate (DDP).
Alone, every method here is the identity and accelerate is not imported.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from thumblab_core.arrays import Rows
from thumblab_core.errors import LabError


class ProcessGroup:
    """`size` processes, of which this is number `rank`; it computes on `device`."""

    def __init__(self) -> None:
        self._accelerator: Any = None
        self._counted: Tensor | None = None
        self.size, self.rank, self.device = 1, 0, torch.device("cpu")
        if "ACCELERATE_MIXED_PRECISION" in os.environ:  # the launcher sets it, whatever else it is told
            from accelerate import Accelerator

            # Without a GPU it has to be told, or several processes would not find each other.
            self._accelerator = Accelerator(cpu=not torch.accelerator.is_available())
            self.size, self.rank = self._accelerator.num_processes, self._accelerator.process_index
            self.device = self._accelerator.device

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def prepare(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The model to call and the optimiser to step in training; the model given has the same weights."""
        if self._accelerator is None:
            return model, optimiser
        forward, optimiser = self._accelerator.prepare(model, optimiser)
        return forward, optimiser

    def backward(self, loss: Tensor) -> None:
        """Gradients of the sum of all processes' losses."""
        if self._accelerator is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._accelerator.backward(loss * self.size)  # DDP takes the mean

    def share(self, pairs: Rows) -> tuple[Rows, Rows]:
        """This process's part of the pairs of a step, and the parts of those before it. A block of pairs stays together."""
        if self.size == 1:
            return pairs, pairs[:0]
        if len(pairs) < self.size:
            raise LabError(f"{len(pairs)} pairs a step cannot be shared by {self.size} processes; start fewer of them")
        cut = [len(pairs) * rank // self.size for rank in (self.rank, self.rank + 1)]
        return pairs[cut[0] : cut[1]], pairs[: cut[0]]

    def total(self, values: Tensor) -> Tensor:
        """The sum over the processes; no gradient passes."""
        if self.size == 1:
            return values
        summed = values.detach().clone()
        torch.distributed.all_reduce(summed)
        return summed

    def any(self, said: bool) -> bool:
        """Whether any process says so."""
        return bool(self.total(torch.tensor(float(said), device=self.device))) if self.size > 1 else said

    def told(self, value: float | None) -> float | None:
        """What the main process has, so that a difference in the last digit never makes one go on where another stops."""
        if self.size == 1 or value is None:
            return value
        held = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(held, 0)
        return float(held)

    def agree(self, digest: str) -> bool:
        """Whether all processes have the same digest, in hexadecimal; all get the same answer."""
        mine = float(int(digest[:12], 16))  # 48 bits, which a float holds exactly
        return not self.any(self.told(mine) != mine)

    def gather(self, values: Tensor) -> Tensor:
        """[...] to [size, ...], on the CPU."""
        if self.size == 1:
            return values.cpu()[None]
        parts = [torch.empty_like(values, device=self.device) for _ in range(self.size)]
        torch.distributed.all_gather(parts, values.to(self.device))
        return torch.stack(parts).cpu()

    def wait(self) -> None:
        """Until all processes are here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    def count(self, counted: Tensor | None) -> None:
        """Which rows of the next batch [m] this process counts; 0 for those that another one counts. None: all."""
        self._counted = counted

    @contextmanager
    def shared_statistics(self, model: nn.Module) -> Iterator[None]:
        """Inside, batch norms take mean and variance over the rows that all processes `count`.

        PyTorch's SyncBatchNorm does so on GPUs only, and knows no rows that two processes have. Without it each process
        would normalise by its own part of a step, and two processes would train another model than one.
        """
        norms = [layer for layer in model.modules() if type(layer) is nn.BatchNorm1d] if self.size > 1 else []
        for layer in norms:
            layer.__class__ = _SharedBatchNorm
            vars(layer)["counted"] = lambda: self._counted
        try:
            yield
        finally:
            for layer in norms:
                layer.__class__ = nn.BatchNorm1d
                del vars(layer)["counted"]


class _Sum(torch.autograd.Function):
    """The sum over all processes, of the values and of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        torch.distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        summed = gradients[0].clone()
        torch.distributed.all_reduce(summed)
        return summed


class _SharedBatchNorm(nn.BatchNorm1d):
    """Batch norm over [n, c] of every process together; as nn.BatchNorm1d when not training."""

    counted: Callable[[], Tensor | None]

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return super().forward(values)
        counted = self.counted()
        weights = values.new_ones(len(values), 1) if counted is None else counted[:, None]
        here = torch.stack([(values * weights).sum(dim=0), (values.square() * weights).sum(dim=0)])
        total, squares, count = _Sum.apply(torch.cat([here, weights.sum().expand(1, here.shape[1])]))  # type: ignore[no-untyped-call]
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1), momentum)
        normalised: Tensor = (values - mean) * torch.rsqrt(variance + self.eps)
        return normalised * self.weight + self.bias
