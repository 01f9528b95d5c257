"""What it saves to run the frozen blocks once: an epoch of fine-tuning on kept activations beside one on kept pictures."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_pipelines.finetune.tower_blocks import TrainableTower
from thumblab_pipelines.finetune.tower_inputs import TowerInputs, tower_inputs
from thumblab_pipelines.progress import silent

_BATCH = 16
_REPEATS = 3


def epoch_seconds(inputs: TowerInputs) -> float:
    """Forward, backward and a step of AdamW for every picture, once."""
    optimiser = torch.optim.AdamW(inputs.tower.parameters.values(), 1e-5)
    rows = np.arange(len(inputs.kept))
    start = time.perf_counter()
    for first in range(0, len(rows), _BATCH):
        optimiser.zero_grad()
        inputs.tower.above(inputs(rows[first : first + _BATCH])).square()[:, 0].mean().backward()
        optimiser.step()
    return time.perf_counter() - start


def measure(model: str, pictures: int, trained: list[int]) -> Table:
    """An epoch over `pictures` random pictures, for each number of trained blocks; weights are random, times are not."""
    encoder = OpenClipEncoder(model, "")  # no weights: they are as they were initialised
    size, visual = encoder.preprocessing, encoder.torch_model.visual
    drawn = np.random.default_rng(0).integers(0, 255, (pictures, size.height, size.width, 3), np.uint8)
    names = [str(number) for number in range(pictures)]
    table = Table(
        title=f"{model}, {pictures} pictures, {torch.get_num_threads()} threads", title_justify="left", box=SIMPLE_HEAD
    )
    for column in ("trained blocks", "MiB a picture", "pictures/s on activations", "on pictures", "ratio"):
        table.add_column(column, justify="right")
    depth = len(TrainableTower(visual, "all").blocks)
    for blocks in trained:
        tower = TrainableTower(visual, blocks)
        with tempfile.TemporaryDirectory() as name:
            kept = []
            for most in (2**40, 0):
                folder = Path(name) / str(most)
                folder.mkdir()
                kept.append(tower_inputs(tower, size, names, lambda n: drawn[int(n)], folder, most, silent))
            # In turns, and the fastest of each: the one that was disturbed least.
            fast, slow = np.min([[epoch_seconds(inputs) for inputs in kept] for _ in range(_REPEATS)], axis=0)
            room = kept[0].kept[0].nbytes / 2**20
        of = f"{blocks} of {depth}"
        table.add_row(of, f"{room:.2f}", f"{pictures / fast:.1f}", f"{pictures / slow:.1f}", f"{slow / fast:.2f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fine_tuning", description=__doc__)
    parser.add_argument("--model", default="ViT-B-32", help="an open_clip model")
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--blocks", type=int, nargs="+", default=[2, 4])
    said = parser.parse_args()
    Console().print(measure(said.model, said.pictures, said.blocks))


if __name__ == "__main__":
    main()
