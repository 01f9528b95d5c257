"""A training's state in one file, so that one that was killed goes on where it was.

The file is a safetensors file: tensors, and JSON in its header. It is written aside, brought to the disk and then
renamed, so a kill at any instruction leaves the old state or the new one, whole. Two trainings may share a folder: each has
a file aside of its own.
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
from thumblab_core.errors import LabError
from thumblab_pipelines.training.config import TrainConfig

_log = logging.getLogger(__name__)
_NAME = "training.safetensors"
_ASIDE = ".aside"
_LEFT_S = 3_600


class TrainingStoppedError(LabError):
    """SIGTERM came: the state is written, and the same call goes on from it."""

    transient = True


@dataclass(frozen=True)
class State:
    """`tensors` by name, and `facts` that JSON can hold."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose names begin with `prefix` and a slash, by the rest of their names."""
        return {name.removeprefix(f"{prefix}/"): t for name, t in self.tensors.items() if name.startswith(f"{prefix}/")}


class Checkpoint:
    """The state of one training in a folder of its own. `digest` says which training: data, configuration and model."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.path = folder / _NAME
        self.digest = digest

    def save(self, state: State) -> None:
        from safetensors.torch import save_file

        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: another training in this folder neither renames this file half-written nor takes it away.
        aside = self.path.with_suffix(f".{secrets.token_hex(6)}{_ASIDE}")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        try:
            save_file(tensors, aside, {"facts": json.dumps(state.facts), "digest": self.digest})
            sync(aside)
            aside.replace(self.path)
        finally:
            aside.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # another training in this folder is over by now and has taken it away
            sync(self.path.parent)

    def load(self) -> State | None:
        """What was saved; None when there is nothing, or when it is damaged or of another training, which is logged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, framework="pt") as file:
                about = file.metadata() or {}
                if about.get("digest") != self.digest:
                    _log.warning(
                        "%s is of another training (other pairs, settings or processes): starting anew", self.path
                    )
                    return None
                # Copies: what the file gives are views of its mapped pages, which a training would go on to write to.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
                return State(tensors, json.loads(about["facts"]))
        except FileNotFoundError:
            return None
        except SafetensorError as error:
            _log.warning("%s cannot be read (%s): starting anew", self.path, error)
            return None

    def remove(self) -> None:
        """The training is over: its file goes, what killed ones left an hour ago, and the folder where nothing is in it."""
        self.path.unlink(missing_ok=True)
        for aside in self.path.parent.glob(f"{self.path.stem}*{_ASIDE}"):
            with suppress(FileNotFoundError):
                if age(aside) > _LEFT_S:  # a newer one may be another training's, being written
                    aside.unlink()
        with suppress(OSError):
            self.path.parent.rmdir()


def training_digest(
    arrays: Iterable[npt.NDArray[Any]], config: TrainConfig, model: torch.nn.Module, processes: int
) -> str:
    """What makes a training this one and no other: its data, settings, shapes of weights, and number of processes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    found.update(json.dumps([asdict(config), shapes, processes]).encode())
    return found.hexdigest()


@contextmanager
def termination() -> Iterator[threading.Event]:
    """Inside, SIGTERM only sets the event. Other threads than the main one cannot listen: for them it is never set."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def optimiser_state(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The tensors of an optimiser, named number/name, and its groups."""
    state = optimiser.state_dict()
    tensors = {f"{number}/{name}": value for number, part in state["state"].items() for name, value in part.items()}
    return tensors, state["param_groups"]


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Undo `optimiser_state`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": groups})
