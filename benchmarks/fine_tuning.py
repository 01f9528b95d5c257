"""Compare the speed of an epoch of fine-tuning with and without stored activations.

Fine-tuning can train only the last blocks of an encoder. The other blocks are then frozen. With stored activations, an
epoch starts from the stored output of the frozen blocks. Without stored activations, an epoch starts from stored
pictures, and computes the frozen blocks again.
"""

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
    """Train the last blocks on every picture once, and return the seconds of this epoch."""
    optimiser = torch.optim.AdamW(inputs.tower.parameters.values(), 1e-5)
    rows = np.arange(len(inputs.kept))
    start = time.perf_counter()
    for first in range(0, len(rows), _BATCH):
        optimiser.zero_grad()
        inputs.tower.above(inputs(rows[first : first + _BATCH])).square()[:, 0].mean().backward()
        optimiser.step()
    return time.perf_counter() - start


def measure(model: str, pictures: int, trained: list[int]) -> Table:
    """Return a table of the pictures per second in an epoch, for each number of trained blocks in `trained`.

    `pictures` is the number of random pictures. The weights of the model are random too.
    """
    encoder = OpenClipEncoder(model, "")  # No file of weights is given, so the weights are random.
    size, visual = encoder.preprocessing, encoder.torch_model.visual
    random_pictures = np.random.default_rng(0).integers(0, 255, (pictures, size.height, size.width, 3), np.uint8)
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
            # `kept` has the inputs for two kinds of epochs: the stored activations first, then the stored pictures.
            kept = []
            for byte_limit in (2**40, 0):
                folder = Path(name) / str(byte_limit)
                folder.mkdir()
                kept.append(
                    tower_inputs(tower, size, names, lambda n: random_pictures[int(n)], folder, byte_limit, silent)
                )
            # Epochs on activations and epochs on pictures alternate. The fastest epoch of each kind is used,
            # because other programs slowed it down the least.
            fast, slow = np.min([[epoch_seconds(inputs) for inputs in kept] for _ in range(_REPEATS)], axis=0)
            mebibytes = kept[0].kept[0].nbytes / 2**20
        table.add_row(
            f"{blocks} of {depth}",
            f"{mebibytes:.2f}",
            f"{pictures / fast:.1f}",
            f"{pictures / slow:.1f}",
            f"{slow / fast:.2f}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fine_tuning", description=__doc__)
    parser.add_argument("--model", default="ViT-B-32", help="an open_clip model")
    parser.add_argument("--pictures", type=int, default=128, help="number of random pictures (default: %(default)s)")
    parser.add_argument(
        "--blocks", type=int, nargs="+", default=[2, 4], help="how many of the model's blocks to train (default: 2 4)"
    )
    options = parser.parse_args()
    Console().print(measure(options.model, options.pictures, options.blocks))


if __name__ == "__main__":
    main()
