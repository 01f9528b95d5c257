"""Train one model in several processes, or in this process alone. The processes are started in one of two ways:

- `accelerate launch --multi_gpu --num_processes 2 ...`, on one machine. The option `--multi_gpu` is needed even on
  CPUs, because with `--cpu` the launcher starts only one process.
- Ray Train, on several machines (see the module `on_cluster`). Ray Train connects the processes before
  this module is used.

No other module uses ranks or the number of processes. Every process finds out which pairs each step has, and trains on
its own part of these pairs. PyTorch's DistributedDataParallel (DDP) averages the gradients. In a single process, the
methods return their arguments unchanged, and accelerate is not imported.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from thumblab_core.arrays import Rows
from thumblab_core.errors import LabError

T = TypeVar("T")


class ProcessGroup:
    """The processes of one training. `size`: number of processes. `rank` and `device`: number and device of this
    process.
    """

    def __init__(self) -> None:
        self._accelerator: Any = None
        self._counted: Tensor | None = None
        self.size, self.rank, self.device = 1, 0, torch.device("cpu")
        if "ACCELERATE_MIXED_PRECISION" in os.environ:  # `accelerate launch` always sets this variable.
            from accelerate import Accelerator

            # Without a GPU, accelerate needs `cpu=True`. With `cpu=False`, the processes would not connect to each
            # other.
            self._accelerator = Accelerator(cpu=not torch.accelerator.is_available())
            self.size, self.rank = self._accelerator.num_processes, self._accelerator.process_index
            self.device = self._accelerator.device
        elif torch.distributed.is_available() and torch.distributed.is_initialized():
            self.size, self.rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
            if torch.cuda.is_available():  # Ray Train sets LOCAL_RANK to the number of the GPU for this process.
                self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))

    @property
    def main(self) -> bool:
        """Whether this process is the main process, which writes files and prints."""
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """Return a seed that is different in each process, so that no two processes draw the same dropout masks."""
        return seed + 100_003 * self.rank

    def random(self, *seeds: int) -> np.random.Generator:
        """Return a random generator that depends on the seeds and on the number of this process."""
        return np.random.default_rng([*seeds, self.rank])

    def prepare(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return the model and the optimiser that the training must use. Both use the weights of `model`."""
        if self._accelerator is None:
            return (model if self.size == 1 else self._averaging(model)), optimiser
        forward, optimiser = self._accelerator.prepare(model, optimiser)
        return forward, optimiser

    def _averaging(self, model: nn.Module) -> nn.Module:
        """Return a model that averages the gradients of all processes."""
        devices = None if self.device.type == "cpu" else [self.device]
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the sum of all processes' losses."""
        # DDP divides the gradients by `size`, so the loss is multiplied by `size`.
        total = loss if self.size == 1 else loss * self.size
        if self._accelerator is None:
            total.backward()  # type: ignore[no-untyped-call]
        else:
            self._accelerator.backward(total)

    def share(self, pairs: Rows) -> tuple[Rows, Rows]:
        """Divide the pairs of a step among the processes.

        Returns two arrays: the part of this process, and the parts of all processes with lower numbers.
        Each part consists of consecutive pairs, so that the pairs of a block stay together. Raises `LabError` when
        there are fewer pairs than processes.
        """
        if self.size == 1:
            return pairs, pairs[:0]
        if len(pairs) < self.size:
            raise LabError(
                f"{len(pairs)} pairs per step cannot be divided among {self.size} processes; start fewer processes"
            )
        start, end = (len(pairs) * rank // self.size for rank in (self.rank, self.rank + 1))
        return pairs[start:end], pairs[:start]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of the values over all processes, without gradients."""
        if self.size == 1:
            return values
        summed = values.detach().clone()
        torch.distributed.all_reduce(summed)
        return summed

    def any(self, flag: bool) -> bool:
        """Return whether the flag is true in any process."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device))) if self.size > 1 else flag

    def broadcast(self, value: float | None) -> float | None:
        """Return the value of the main process, in every process.

        Rounding may make the values of the processes differ. With the value of the main process, all processes take the
        same decisions, for example when to stop.
        """
        if self.size == 1 or value is None:
            return value
        held = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(held, 0)
        return float(held)

    def agree(self, digest: str) -> bool:
        """Return whether all processes have the same hexadecimal digest. All processes get the same result."""
        number = float(int(digest[:12], 16))  # 12 hexadecimal digits are 48 bits, which a float can represent exactly.
        return not self.any(self.broadcast(number) != number)

    def gather(self, values: Tensor) -> Tensor:
        """Return the values [...] of all processes as one tensor [size, ...], on the CPU."""
        if self.size == 1:
            return values.cpu()[None]
        parts = [torch.empty_like(values, device=self.device) for _ in range(self.size)]
        torch.distributed.all_gather(parts, values.to(self.device))
        return torch.stack(parts).cpu()

    def own(self, gathered: Tensor) -> Tensor:
        """Return this process's part [...] of a tensor [size, ...] that `gather` returned."""
        return gathered[self.rank]

    def wait(self) -> None:
        """Wait until all processes have called this method."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()
        elif self.size > 1:
            torch.distributed.barrier()

    def in_main(self, action: Callable[[], T], then: Callable[[], T]) -> T:
        """Call `action` in the main process, and return its result.

        In the other processes, wait until `action` has ended, then call `then` and return its result.
        """
        if self.main:
            result = action()
            self.wait()
            return result
        self.wait()
        return then()

    def set_counted(self, counted: Tensor | None) -> None:
        """Set which rows of the next batch this process counts for the mean and the variance of the batch norms.

        `counted` [m]: 1 for a row that this process counts, and 0 for a row that another process counts. If `counted`
        is None, this process counts all rows.
        """
        self._counted = counted

    @contextmanager
    def shared_statistics(self, model: nn.Module) -> Iterator[None]:
        """Let the batch norms of the model compute mean and variance over the counted rows of all processes.

        With plain batch norms, each process would normalise by the statistics of its own part of a step. So two
        processes would train a different model than one process. PyTorch's SyncBatchNorm is not used, because it works
        only on GPUs, and because it counts a row twice if two processes have this row.
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
    """A differentiable sum over all processes. The gradients are summed over all processes too."""

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
    """A batch norm over the rows [n, c] of all processes together. In evaluation mode, the class works like
    nn.BatchNorm1d."""

    counted: Callable[[], Tensor | None]

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return super().forward(values)
        counted = self.counted()
        weights = values.new_ones(len(values), 1) if counted is None else counted[:, None]
        own = torch.stack([(values * weights).sum(dim=0), (values.square() * weights).sum(dim=0)])
        sums = torch.cat([own, weights.sum().expand(1, own.shape[1])])
        total, squares, count = _Sum.apply(sums)  # type: ignore[no-untyped-call]
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
