"""Compare the lab's training with a plain PyTorch loop.

    python -m benchmarks.training [--pairs 50000] [--epochs 200] [--plain-epochs 10]

Both trainings use the same model, losses, vectors, pairs, pairs per step, learning rates and threads. The plain loop is
the simplest code that trains this model: a DataLoader yields pairs, and both videos of every pair go through the model.
The plain loop is timed for a few epochs only, because each of its epochs takes the same time. The table also shows the
validation AUC of both trainings after the same number of epochs.
"""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from thumblab_core.encoders.protocol import unit
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import model_inputs
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.trainable_ranker import TrainableRanker
from thumblab_pipelines.training.arrays import TrainingArrays
from thumblab_pipelines.training.config import Epoch, TrainConfig
from thumblab_pipelines.training.fitting import fit, learning_rate
from thumblab_pipelines.training.losses import pair_loss, smooth_labels

IMAGE, TITLE = 768, 384
PAIRS, EPOCHS, PLAIN_EPOCHS, THREADS = 50_000, 200, 10, 1
RECIPE = TrainConfig(patience=0, pairs_per_step=1_024, pairs_per_block=512, pairs_per_video=0)
_ARCHITECTURE = RankerConfig("images", "titles", IMAGE, TITLE)
_PAIRS_PER_VIDEO = 10
_PER_CHANNEL = 50
_NOISE = 1.0


@dataclass(frozen=True)
class Run:
    """The seconds of each epoch of a training, and the validation AUC after each epoch."""

    seconds: list[float]
    aucs: list[float | None]


def planted(pairs: int, seed: int = 0) -> TrainingArrays:
    """Return random training data. Each channel has 50 videos, and ten pairs per video.

    A quality is computed from the image vector of each video, and noise is added. The video with the larger sum wins a
    pair. `pairs` is the number of training pairs. 10 % of the channels are for validation.
    """
    random = np.random.default_rng(seed)
    channels = max(2, round(pairs / _PAIRS_PER_VIDEO / _PER_CHANNEL / 0.9))
    rows = channels * _PER_CHANNEL
    images, titles = (unit(random.standard_normal((rows, dimension))) for dimension in (IMAGE, TITLE))
    texts = [" ".join(f"word{number}" for number in numbers) for numbers in random.zipf(1.3, (rows, 8)) % 5_000]
    inputs = model_inputs(images, titles, texts)
    quality = np.sqrt(IMAGE) * images[:, :8].sum(axis=1) / np.sqrt(8)
    quality += _NOISE * random.standard_normal(rows)
    lower, upper = np.triu_indices(_PER_CHANNEL, 1)
    chosen = [random.choice(len(lower), _PER_CHANNEL * _PAIRS_PER_VIDEO, replace=False) for _ in range(channels)]
    first = np.concatenate([lower[c] + _PER_CHANNEL * i for i, c in enumerate(chosen)])
    second = np.concatenate([upper[c] + _PER_CHANNEL * i for i, c in enumerate(chosen)])
    ahead = quality[first] > quality[second]
    winners, losers = np.where(ahead, first, second), np.where(ahead, second, first)
    held = len(winners) - pairs
    rank = quality.reshape(channels, -1).argsort(axis=1).argsort(axis=1) / (_PER_CHANNEL - 1)
    sub_scores = random.random((rows, 6)).astype(np.float32)
    engagement = rank.ravel().astype(np.float32)
    return TrainingArrays(
        inputs, winners[held:], losers[held:], engagement, sub_scores, winners[:held], losers[:held]
    )  # fmt: skip


def plain(problem: TrainingArrays, config: TrainConfig, epochs: int, threads: int) -> Run:
    """Train for `epochs` epochs with the plain loop. The learning rate is planned for `config.epochs` epochs."""
    torch.set_num_threads(threads)
    model = fresh(config)
    pairs = TensorDataset(torch.from_numpy(problem.winners), torch.from_numpy(problem.losers))
    loader = DataLoader(pairs, batch_size=config.pairs_per_step, shuffle=True)
    inputs, sub_scores = torch.from_numpy(problem.inputs), torch.from_numpy(problem.sub_scores)
    engagement = torch.from_numpy(smooth_labels(problem.engagement, config.label_smoothing))
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    run = Run([], [])
    for epoch in range(epochs):
        start = time.perf_counter()
        model.train()
        for step, (winners, losers) in enumerate(loader):
            optimiser.param_groups[0]["lr"] = learning_rate(config, epoch + step / len(loader), len(loader))
            won, lost = model(inputs[winners]), model(inputs[losers])
            loss = pair_loss(won[0] - lost[0], config).mean()
            for outputs, rows in ((won, winners), (lost, losers)):
                loss = loss + config.absolute_weight / 2 * nn.functional.mse_loss(outputs[1], engagement[rows])
                loss = loss + config.auxiliary_weight / 2 * nn.functional.mse_loss(outputs[2], sub_scores[rows])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
        run.aucs.append(validate(model, inputs, problem))
        run.seconds.append(time.perf_counter() - start)
    return run


def fitted(problem: TrainingArrays, config: TrainConfig, threads: int) -> Run:
    """Run the lab's training, and return the seconds and the validation AUC of each epoch."""
    run = Run([], [])
    last = time.perf_counter()

    def on_epoch(epoch: Epoch) -> None:
        nonlocal last
        now = time.perf_counter()
        run.seconds.append(now - last)
        run.aucs.append(epoch.validation_auc)
        last = now

    fit(problem, config, fresh(config), on_epoch=on_epoch, threads=threads)
    return run


def fresh(config: TrainConfig) -> TrainableRanker:
    """Return an untrained model. The seed of `config` determines its initial weights."""
    torch.manual_seed(config.seed)
    return TrainableRanker(_ARCHITECTURE)


@torch.inference_mode()
def validate(model: nn.Module, inputs: Tensor, problem: TrainingArrays) -> float:
    """Return the AUC of the model on the validation pairs."""
    model.eval()
    return pair_auc(model(inputs)[0].numpy(), problem.held_winners, problem.held_losers)


def training(pairs: int, epochs: int, plain_epochs: int, threads: int) -> Table:
    """Return a table that compares the plain loop with the lab's training.

    Both trainings run for `plain_epochs` epochs, with the learning rates of a complete training of that length. Then
    the lab trains for `epochs` epochs.
    """
    problem = planted(pairs)
    short = dataclasses.replace(RECIPE, epochs=min(plain_epochs, epochs))
    plain_run = plain(problem, short, short.epochs, threads)
    lab_run = fitted(problem, short, threads)
    full_run = fitted(problem, dataclasses.replace(RECIPE, epochs=epochs), threads)
    slow, quick = float(np.median(plain_run.seconds)), float(np.median(lab_run.seconds))
    title = f"{pairs:,} pairs of {len(np.union1d(problem.winners, problem.losers)):,} videos, {threads} thread(s)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("training", "epochs", "s an epoch", "s in all", "best validation AUC"):
        table.add_column(column, justify="left" if column == "training" else "right")
    for name, run, per_epoch in (
        ("plain PyTorch loop", plain_run, slow),
        ("thumblab", lab_run, quick),
        ("thumblab", full_run, float(np.median(full_run.seconds))),
    ):
        best = max(auc or 0.0 for auc in run.aucs)
        table.add_row(name, f"{len(run.seconds)}", f"{per_epoch:.2f}", f"{sum(run.seconds):.0f}", f"{best:.4f}")
    in_all = f"{epochs} of its epochs would take {slow * epochs / 60:.0f} min"
    table.caption = f"{slow / quick:.1f} times the plain loop's speed; {in_all}"
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="training pairs (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, help="number of epochs of the lab's long training (default: %(default)s)"
    )
    parser.add_argument(
        "--plain-epochs",
        type=int,
        default=PLAIN_EPOCHS,
        help="number of epochs of each of the two compared trainings (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=THREADS, help="threads of both (default: %(default)s)")
    options = parser.parse_args(arguments)
    Console().print(training(options.pairs, options.epochs, options.plain_epochs, options.threads))


if __name__ == "__main__":
    main()
