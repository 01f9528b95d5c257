"""Save the state of a training in one file, from which a killed training can be resumed.

The file is a safetensors file with tensors, and with JSON in its header. The file is written under a temporary name,
synced to the disk and then renamed. So after a kill at any moment, the file has either the complete old state or the
complete new state. Two trainings may share a folder, because each temporary name is unique.
"""

import hashlib
import json
import logging
import secrets
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from thumblab_core.durable_files import age, sync
from thumblab_pipelines.training.config import TrainConfig

_log = logging.getLogger(__name__)
_NAME = "training.safetensors"
_ASIDE = ".aside"
_ABANDONED_S = 3_600
"""Age in seconds from which a temporary file is deleted, because a killed training probably left it."""


@dataclass(frozen=True)
class State:
    """The state of a training: `tensors` by name, and `facts` that can be written as JSON."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with `prefix` and a slash.

        The keys of the result are the names without this prefix.
        """
        return {name.removeprefix(f"{prefix}/"): t for name, t in self.tensors.items() if name.startswith(f"{prefix}/")}


class Checkpoint:
    """The file with the state of one training. `digest` identifies the training (see `training_digest`)."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.path = folder / _NAME
        self.digest = digest

    def save(self, state: State) -> None:
        """Replace the saved state by `state`."""
        from safetensors.torch import save_file

        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The temporary name is unique, so no other training in this folder renames or deletes this unfinished file.
        aside = self.path.with_suffix(f".{secrets.token_hex(6)}{_ASIDE}")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        try:
            save_file(tensors, aside, {"facts": json.dumps(state.facts), "digest": self.digest})
            sync(aside)
            aside.replace(self.path)
        finally:
            aside.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # Another training in this folder may have ended and deleted the folder.
            sync(self.path.parent)

    def load(self) -> State | None:
        """Return the saved state, or None if there is no usable state.

        A damaged file, or the state of another training, is not used. A warning is logged in both cases.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("digest") != self.digest:
                    _log.warning(
                        "%s belongs to a training with other pairs, settings or processes; "
                        "this training starts from the beginning",
                        self.path,
                    )
                    return None
                # The tensors are views of the memory-mapped file. The tensors are cloned, because training writes to
                # them.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
                return State(tensors, json.loads(header["facts"]))
        except FileNotFoundError:
            return None
        except SafetensorError as error:
            _log.warning("%s cannot be read (%s); this training starts from the beginning", self.path, error)
            return None

    def remove(self) -> None:
        """Delete the state, and temporary files that are older than an hour. If the folder is then empty, delete it
        too."""
        self.path.unlink(missing_ok=True)
        for aside in self.path.parent.glob(f"{self.path.stem}*{_ASIDE}"):
            with suppress(FileNotFoundError):
                if age(aside) > _ABANDONED_S:  # A younger file may belong to another running training.
                    aside.unlink()
        with suppress(OSError):
            self.path.parent.rmdir()


def training_digest(
    arrays: Iterable[npt.NDArray[Any]], config: TrainConfig, model: torch.nn.Module, processes: int
) -> str:
    """Return a digest of the data, the settings, the shapes of the weights and the number of processes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    digest.update(json.dumps([asdict(config), shapes, processes]).encode())
    return digest.hexdigest()


@contextmanager
def termination() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets. Inside the `with` block, SIGTERM has no other effect.

    Only the main thread can handle signals. In any other thread, the event is never set.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: requested.set())
    try:
        yield requested
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def optimiser_state(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Return the tensors of an optimiser, and its parameter groups.

    The key of a tensor is, for example, "3/exp_avg": the number of a parameter, and the optimiser's name for the
    tensor.
    """
    state = optimiser.state_dict()
    tensors = {f"{number}/{name}": value for number, part in state["state"].items() for name, value in part.items()}
    return tensors, state["param_groups"]


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Load the tensors and parameter groups from `optimiser_state` into an optimiser."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": groups})
