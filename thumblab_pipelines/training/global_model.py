"""Fit the global model, which is the same for all channels. The global model is the sum of a linear model and a
network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from thumblab_core.arrays import Float32s, Rows
from thumblab_core.errors import LabError
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import AGREEMENT_BLOCK, IMAGE, LENGTH_BLOCK
from thumblab_core.ranking.ranker import Ranker
from thumblab_pipelines.ray_cluster.cluster import Cluster
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.statistics.trend import slope_within_channels
from thumblab_pipelines.trainable_ranker import TrainableRanker
from thumblab_pipelines.training.arrays import TrainingArrays
from thumblab_pipelines.training.config import Epoch, TrainConfig, TrainingFolders
from thumblab_pipelines.training.context import context_features
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.fitting import fit
from thumblab_pipelines.training.linear import LineInputs, LineParameters, fit_line
from thumblab_pipelines.training.one_video_inputs import differences
from thumblab_pipelines.training.processes.on_cluster import fit_on_cluster

_NETWORK_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class GlobalModel:
    """A fitted ranker, and its predictions for all n videos of the corpus.

    `scores` [n]: scores in log views, without channel adapters. `expected` [n]: the output of the absolute head, which
    predicts engagement. `line`: the parameters of the linear model. `history`: the epochs of the training.
    """

    model: Ranker
    scores: Float32s
    expected: Float32s
    line: LineParameters
    history: list[Epoch]


def fit_global_model(
    corpus: Corpus,
    config: TrainConfig,
    train: Rows,
    validation: Rows,
    on_epoch: Callable[[Epoch], None],
    folders: TrainingFolders,
    cluster: Cluster | None = None,
) -> GlobalModel:
    """Fit a model to the pairs within the rows `train`. With a `cluster`, its workers train the network.

    The rows `validation` are used to stop early, to choose the network's share of the score, and to calibrate the scale
    of the scores. Raises `LabError` when there are fewer than two rows to learn from, or when no pair has both videos
    in these rows.
    """
    release, data = corpus.data.release.info, corpus.data
    pictures, titles = data.images.shape[1], data.titles.shape[1]
    torch.manual_seed(config.seed)
    if len(train) < 2:
        raise LabError(
            "there are fewer than two videos to learn from; collect more videos, or see what training_pairs left out"
        )
    model = TrainableRanker(RankerConfig(release["image_encoder"], release["title_encoder"], pictures, titles))
    model.fit_scale(corpus.inputs.take(train))
    winners, losers, margins = corpus.pairs_within(train)
    measured = corpus.learns_ctr(train)
    absolute = corpus.absolute_target(train, measured)
    line = _start_from_line(model, corpus, train, absolute, config.partial_out)
    held_winners, held_losers, _ = corpus.pairs_within(validation)
    arrays = TrainingArrays(
        corpus.inputs,
        winners,
        losers,
        absolute,
        data.sub_scores,
        held_winners,
        held_losers,
        margins=margins,
        measured=measured,
    )
    fit_model = fit if cluster is None else partial(fit_on_cluster, cluster)
    model, history = fit_model(arrays, config, model, on_epoch=on_epoch, folders=folders)
    _choose_network_share(model, corpus.inputs, np.stack([held_winners, held_losers]))
    model.unit.fill_(_log_view_unit(model, corpus, validation))
    ranker = model.ranker()
    score, engagement = corpus.inputs.mapped(lambda block: np.stack(_outputs(ranker, block), axis=1)).T
    return GlobalModel(ranker, score.copy(), engagement.copy(), line, history)


def _outputs(ranker: Ranker, inputs: Float32s) -> tuple[Float32s, Float32s]:
    predictions = ranker.predict(inputs)
    return predictions.score, predictions.engagement


def _start_from_line(
    model: TrainableRanker, corpus: Corpus, train: Rows, absolute: Float32s, partialled: bool
) -> LineParameters:
    """Fit the linear model to the rows `train`. Initialise `model` with the linear model, and return its parameters.

    `absolute` [n]: the target of the absolute head. The initialised absolute head predicts the mean of this target for
    every input. `partialled`: see `fit_line`.
    """
    layout = model.config.layout
    picture = np.r_[layout.columns(IMAGE), layout.columns(AGREEMENT_BLOCK)]
    # All candidates of a request are for one video. The length of this video cannot change the order of the candidates,
    # so the linear model does not use the length. Only the channel adapters use the length.
    title = np.setdiff1d(np.arange(layout.total - layout.sizes[LENGTH_BLOCK]), picture)
    above = corpus.above_trend(train)[train]
    ranker = model.ranker()
    inputs = corpus.inputs.take(train).through(ranker.standardise)
    pictures, titles = inputs.through(lambda block: block[:, picture]), inputs.through(lambda block: block[:, title])
    context = context_features(corpus.data, train).take(train)
    rows = LineInputs(pictures.dense(), titles, context, corpus.channel[train])
    start = None if corpus.prior is None else corpus.prior.weights(ranker)[title]
    line = fit_line(rows, above, differences(corpus, ranker, train, picture), partialled, start)
    weights = np.zeros(layout.total, np.float32)
    weights[picture], weights[title] = line.picture, line.title
    known = absolute[np.isfinite(absolute)]
    usual = float(np.clip(known.mean(), 0.001, 0.999)) if len(known) else 0.5
    model.start(weights, usual)
    return line.parameters


def _choose_network_share(model: TrainableRanker, inputs: MixedRows, pairs: Rows) -> None:
    """Choose how much of the network's output is added to the linear score, and change the model accordingly.

    The share with the highest AUC on the validation pairs is chosen. `pairs` [2, p]: the rows of the winners and of the
    losers of the validation pairs. Without validation pairs, the whole output is added.
    """
    if not pairs.size:
        return
    rows, positions = np.unique(pairs.ravel(), return_inverse=True)
    winners, losers = np.split(positions, 2)
    ranker = model.ranker()
    linear, network = inputs.take(rows).mapped(lambda block: np.stack(ranker.score_parts(block), axis=1)).T
    aucs = [(pair_auc(linear + share * network, winners, losers), share) for share in _NETWORK_SHARES]
    model.scale_network(max(aucs)[1])


def _log_view_unit(model: TrainableRanker, corpus: Corpus, rows: Rows) -> float:
    """Return the factor that turns the model's scores into log views, or 1 if there are fewer than two `rows`.

    The factor is measured on `rows`. The model must not have been trained on these rows.
    """
    if len(rows) < 2:
        return 1.0
    scores = corpus.inputs.take(rows).mapped(model.ranker().scores)
    # If a model orders the validation videos wrongly, the slope is negative. The lower bound is positive, so the factor
    # never reverses the order of the scores. The upper bound limits the scale of the scores.
    return float(np.clip(slope_within_channels(corpus.channel[rows], scores, corpus.target[rows]), 0.05, 2.0))
