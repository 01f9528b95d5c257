"""Compare variants of the training recipe.

    python -m benchmarks.recipe CATALOGUE [--encoder onnx:PATH] [--seeds 3] [--json]

CATALOGUE is a folder with `videos.csv` and `images/`. The catalogue is imported and encoded once, in a separate lab
below the data folder, and the lab makes pairs of its videos.

Every variant is trained on four windows of the catalogue. The windows have the oldest 55 %, 70 %, 85 % and 100 % of the
videos of each channel. Each window is split anew into 68 % training, 12 % validation and 20 % test by date. The variant
is evaluated on the test part. If a variant is better in only one window, this may be chance. Being better in all four
windows is hardly chance.

The lab's usual training also trains models for the evaluation on unseen channels. This benchmark leaves out the
evaluation on unseen channels. For each variant, window and seed, the benchmark trains only one model of all channels.

The global model is the model without channel adapters. An adapter multiplies the score of the global model by `kept`,
and adds what the channel's own videos teach. To measure `kept`, three more models must be trained. Each of them leaves
out a different 33 % of the channels. To save time, `kept` is measured only once for each window, with the default
recipe and the first seed. All variants use that value.
"""

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thumblab_core.arrays import Floats
from thumblab_core.embedded_postgres import server
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.ranking import adapters
from thumblab_core.ranking.inputs import AGREEMENT_BLOCK, FACTS_BLOCK, IMAGE, LENGTH_BLOCK, WORDS_BLOCK, InputLayout
from thumblab_core.ranking.kernel import VARIANCES
from thumblab_core.settings import settings
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.dataset.load import Dataset, load_dataset
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.splits import TEST, TRAIN, split_by_channel, split_by_time
from thumblab_pipelines.evaluation.reference_models import LINEAR, POOLED, image_components, references
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.features.sub_scores import measure_features
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.training import global_model, linear
from thumblab_pipelines.training.config import NO_FOLDERS, TrainConfig
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.global_model import GlobalModel
from thumblab_pipelines.training.linear import Line, LineInputs
from thumblab_pipelines.training.train import Training, adapt, measure_score_slope, scores_of_unseen_channels

SHARES = (0.55, 0.7, 0.85, 1.0)
_TWICE = 0.5
"""The margin of a pair whose winner has twice the views of the loser. Margin = 1 - loser's views / winner's views."""

Figures = tuple[float, float, float, float]
"""Four AUCs of a model on the test pairs of a window.

The first two measure the scores with channel adapters. The last two measure the global model, which has no adapters.

The first and the third are on all test pairs. The second and the fourth are on the pairs whose winner has at least
twice the views of the loser.
"""


@dataclass(frozen=True)
class Variant:
    """A change of the default recipe.

    A variant that sets `config`, `without` or `components` must be trained. The other variants use the models of the
    default recipe.

    Args:
        config: values for fields of `TrainConfig`.
        without: the name of a block of the model's inputs that is set to zero, see `thumblab_core.ranking.inputs`. The
            block is set to zero only for the model. It is still used to remove the effect of the context on views,
            before the pictures' weights are fitted.
        components: whether 64 principal components, fitted to the training part, replace the image vectors.
        linear_parts: new variances for linear parts of the kernel of the adapters, by the name of the part. See
            `thumblab_core.ranking.kernel`.
        noise: a value that replaces `adapters._NOISE`. The value decides which part of the views the adapters attribute
            to chance.
        kept: a value that replaces the measured `kept`, see the top of this module.
        together: whether the scores of all seeds are averaged.
    """

    config: dict[str, Any] = field(default_factory=dict)
    without: str = ""
    components: bool = False
    linear_parts: dict[str, float] = field(default_factory=dict)
    noise: float | None = None
    kept: float | None = None
    together: bool = False

    def trained(self) -> bool:
        """Return whether the variant must be trained."""
        return bool(self.config or self.without or self.components)


DEFAULT = "default"
VARIANTS: dict[str, Variant] = {
    DEFAULT: Variant(),
    "the straight line alone": Variant({"epochs": 0}),
    "pair loss ranknet": Variant({"pair_loss": "ranknet"}),
    "pair loss ranknet, no label smoothing": Variant({"pair_loss": "ranknet", "label_smoothing": 0.0}),
    "margin 0.5": Variant({"margin": 0.5}),
    "no label smoothing": Variant({"label_smoothing": 0.0}),
    "mixup 0.3": Variant({"mixup_alpha": 0.3}),
    "no early stopping": Variant({"patience": 0}),
    "SWA from epoch 20 of 30": Variant({"patience": 0, "swa_start": 20}),
    "SWA from epoch 5 of 30": Variant({"patience": 0, "swa_start": 5}),
    "weight decay 0.5": Variant({"weight_decay": 0.5}),
    "learning rate 2e-5": Variant({"learning_rate": 2e-5}),
    "learning rate 1e-4": Variant({"learning_rate": 1e-4}),
    "learning rate 1e-3": Variant({"learning_rate": 1e-3}),
    "no auxiliary heads": Variant({"auxiliary_weight": 0.0}),
    "no absolute head": Variant({"absolute_weight": 0.0}),
    "pictures not partialled out": Variant({"partial_out": False}),
    "without words": Variant(without=WORDS_BLOCK),
    "without facts": Variant(without=FACTS_BLOCK),
    "without pictures": Variant(without=IMAGE),
    "without agreement": Variant(without=AGREEMENT_BLOCK),
    "without length": Variant(without=LENGTH_BLOCK),
    "64 principal components": Variant(components=True),
    "histories alone (kept 0.02)": Variant(kept=0.02),
    "kept 1": Variant(kept=1.0),
    "kernel without linear parts": Variant(linear_parts=dict.fromkeys(VARIANCES, 0.0)),
    "kernel without linear part of pictures": Variant(linear_parts={IMAGE: 0.0}),
    "kernel with half of the linear parts": Variant(linear_parts={name: v / 2 for name, v in VARIANCES.items()}),
    "kernel with twice the linear parts": Variant(linear_parts={name: v * 2 for name, v in VARIANCES.items()}),
    "kernel noise 0.25": Variant(noise=0.25),
    "kernel noise 1": Variant(noise=1.0),
    "kernel noise 2": Variant(noise=2.0),
    "ensemble of the seeds": Variant(together=True),
}


def truncated(data: Dataset, share: float) -> Dataset:
    """Return the oldest videos of each channel, with a new split and new pairs. `share` is their share of all videos.

    Two things are not estimated anew for these videos: which videos are outliers, and how views grow with age. Both
    were estimated on the training part of the whole catalogue. One-video pairs are left out, because some of their
    experiments took place after the newest of these videos.
    """
    by_channel = data.videos.groupby("channel_id")
    place = (by_channel.cumcount() + 0.5) / by_channel.channel_id.transform("size")
    rows = np.flatnonzero((place <= share).to_numpy(bool))
    kept = data.videos.iloc[rows].reset_index(drop=True)
    kept = kept.assign(part=split_by_time(kept), fold=split_by_channel(kept))
    pairs = pair_up(kept, data.release.info["pair_days"])
    parts = (values[rows] for values in (data.images, data.titles, data.sub_scores))
    return Dataset(data.release, kept, pairs, *parts)


class Window:
    """The oldest videos of the catalogue's channels, and the models that the default recipe fits to these videos.

    `kept` is the factor by which the channel adapters multiply the score of the global model.
    """

    def __init__(self, data: Dataset, seeds: Sequence[int]) -> None:
        self.data, self.seeds = data, seeds
        self.usual = Corpus.of(data)
        test = data.pairs[data.pairs.part == TEST]
        self.winners, self.losers = test.winner.to_numpy(np.intp), test.loser.to_numpy(np.intp)
        self.twice = test.margin.to_numpy(float) >= _TWICE
        others = _training(TrainConfig(seed=seeds[0])).fit_without_folds(self.usual)
        self.kept = measure_score_slope(self.usual, scores_of_unseen_channels(self.usual, others))
        self.models = [self._fit(Variant(), seed) for seed in seeds]

    def evaluate(self, variant: Variant) -> list[Figures]:
        """Return the AUCs of a variant for each seed.

        If the variant averages the scores of all seeds, the list has only one entry.
        """
        models = [self._fit(variant, seed) for seed in self.seeds] if variant.trained() else self.models
        if variant.together:
            models = [(models[0][0], replace(models[0][1], scores=np.mean([m.scores for _, m in models], axis=0)))]
        kept = self.kept if variant.kept is None else variant.kept
        noise = adapters._NOISE if variant.noise is None else variant.noise
        with patch.object(adapters, "_NOISE", noise), patch.dict(VARIANCES, variant.linear_parts):
            adapted = [adapt(corpus, model, self.usual.known, kept)[1] for corpus, model in models]
        return [self.figures(scores, model.scores) for scores, (_, model) in zip(adapted, models, strict=True)]

    def _fit(self, variant: Variant, seed: int) -> tuple[Corpus, GlobalModel]:
        corpus = self.usual
        learnt, pictures = self.data.learnt(TRAIN), self.data.images.shape[1]
        if variant.components:
            images = image_components(self.data, learnt).astype(np.float32)
            inputs = MixedRows((images, *corpus.inputs.parts[1:]))
            corpus = replace(corpus, data=replace(self.data, images=images), inputs=inputs)
        if variant.without:
            names = InputLayout(pictures, self.data.titles.shape[1]).sizes
            parts = [
                part * 0 if name == variant.without else part
                for name, part in zip(names, corpus.inputs.parts, strict=True)
            ]
            corpus = replace(corpus, inputs=MixedRows(parts))
        training = _training(replace(TrainConfig(), seed=seed, **variant.config))
        return corpus, training.fit(corpus, learnt, corpus.validation, "", "")

    def figures(self, adapted: Floats, unadapted: Floats) -> Figures:
        """Return the AUCs of scores with channel adapters (`adapted`) and of scores without adapters (`unadapted`)."""
        wide = self.winners[self.twice], self.losers[self.twice]
        with_adapters, without_adapters = (
            (pair_auc(s, self.winners, self.losers), pair_auc(s, *wide)) for s in (adapted, unadapted)
        )
        return *with_adapters, *without_adapters


def _training(config: TrainConfig) -> Training:
    """Return a `Training` that reports no progress and writes no files."""
    return Training(config, lambda what, epoch: None, NO_FOLDERS)


def measure(data: Dataset, seeds: int, names: Sequence[str], console: Console) -> dict[str, npt.NDArray[np.float64]]:
    """Return the AUCs of each variant and of a reference model, by name.

    The AUCs of a model are an array [windows, seeds, 4]. The four AUCs are explained at `Figures`.

    The reference model is the ridge regression `partial_pooling` of the evaluation. The reference model is evaluated
    once for each window, so its array has one seed.
    """
    figures_by_name = defaultdict(list)
    cache: dict[bytes, Line] = {}

    def fit_once(inputs: LineInputs, target: Floats, *options: Any) -> Line:
        """Fit the linear model with `linear.fit_line`, or return the stored model of an earlier call.

        A stored model is returned if it was fitted to the same inputs. Most variants and seeds have the same inputs.
        The first of `options` is for one-video pairs. This option must be None, because a window has no such pairs.
        """
        assert options[0] is None
        arrays = inputs.picture, inputs.title, inputs.context, inputs.channel, target, np.array(options[1])
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).digest()
        if digest not in cache:
            cache[digest] = linear.fit_line(inputs, target, *options)
        return cache[digest]

    with patch.object(global_model, "fit_line", fit_once):
        for number, share in enumerate(SHARES, 1):
            window = Window(truncated(data, share), range(TrainConfig.seed, TrainConfig.seed + seeds))
            pooled = references(window.data, window.usual.known)
            figures_by_name[POOLED].append([window.figures(pooled[POOLED], pooled[LINEAR])])
            for name in names:
                console.print(f"window {number} of {len(SHARES)}: {name}", style="dim")
                figures_by_name[name].append(window.evaluate(VARIANTS[name]))
    return {name: np.array(figures) for name, figures in figures_by_name.items()}


def table(figures_by_name: dict[str, npt.NDArray[np.float64]], title: str) -> Table:
    """Return a table with a row for each variant.

    A row has the mean AUCs over windows and seeds, and the mean AUCs of the last window. The column `lead` has the mean
    AUC on all pairs minus the mean AUC of the default recipe. The column `windows` has the number of windows in which
    the lead is positive. The column `seeds` has the largest mean AUC of a seed minus the smallest.
    """
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, column in enumerate(
        ("variant", "all", "2x", "lead", "windows", "seeds", "global: all", "2x", "last: all", "2x")
    ):
        shown.add_column(column, justify="right" if number else "left", no_wrap=True)
    for name, figures in figures_by_name.items():
        means = [f"{mean:.3f}" for mean in figures.mean(axis=(0, 1))]
        ahead = figures[:, :, 0].mean(axis=1) - figures_by_name[DEFAULT][:, :, 0].mean(axis=1)
        lead = (f"{ahead.mean():+.3f}", f"{int((ahead > 0).sum())}/{len(ahead)}") if name != DEFAULT else ("", "")
        apart = f"{np.ptp(figures[:, :, 0].mean(axis=0)):.3f}" if figures.shape[1] > 1 else ""
        last = [f"{mean:.3f}" for mean in figures[-1].mean(axis=0)[:2]]
        shown.add_row(name, *means[:2], *lead, apart, *means[2:], *last)
    return shown


def prepared(catalogue: Path, encoder: str, sub_scores: bool, console: Console) -> Dataset:
    """Import and encode the catalogue, make pairs of its videos, and return the dataset.

    The results of each step are stored, and a second call for the same catalogue uses them.
    """
    name = hashlib.sha256(str(catalogue.resolve()).encode()).hexdigest()[:12]
    folder = settings().data_dir.resolve() / f"recipe-{name}"
    changed = {"data_dir": folder, "database_url": None, "release_dir": None, "image_encoder": encoder}
    lab_settings = settings().model_copy(update=changed)
    lab = Lab.open(lab_settings)
    try:
        console.print(f"{import_catalogue(lab, catalogue).good} videos imported; encoding", style="dim")
        for niche in DEFAULT_NAMES:
            embed(lab, niche)
            if sub_scores:
                measure_features(lab, niche)
        return load_dataset(lab, build_pairs(lab).release)
    finally:
        lab.engine.dispose()
        server.stop(lab_settings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipe", description=__doc__)
    parser.add_argument("catalogue", type=Path, help="a folder with videos.csv and images/")
    parser.add_argument(
        "--encoder",
        default=settings().image_encoder,
        help="the image encoder, in the format of THUMBLAB_IMAGE_ENCODER (default: %(default)s)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: %(default)s)")
    parser.add_argument(
        "--sub-scores",
        action="store_true",
        help="also measure the sub-scores, which the model learns besides views (takes minutes)",
    )
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME", help="variants to measure"
    )
    parser.add_argument("--json", action="store_true", help="print every figure as JSON instead of the table")
    options = parser.parse_args()
    console = Console(stderr=True)
    data = prepared(options.catalogue, options.encoder, options.sub_scores, console)
    names = [DEFAULT, *(name for name in options.variants if name != DEFAULT)]
    figures = measure(data, max(1, options.seeds), names, console)
    measured = float(np.isfinite(data.sub_scores).mean())
    if options.json:
        facts = {"windows": SHARES, "seeds": options.seeds, "videos": len(data.videos), "sub_scores": measured}
        print(json.dumps(facts | {"figures": {name: values.tolist() for name, values in figures.items()}}))
    else:
        sizes = f"{len(SHARES)} windows, {options.seeds} seeds"
        title = f"{len(data.videos)} videos, {measured:.0%} of sub-scores known, {sizes}"
        Console(width=130).print(table(figures, title))


if __name__ == "__main__":
    main()
