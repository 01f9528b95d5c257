"""Train the ranking model on cached vectors."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from thumblab_core.errors import LabError
from thumblab_core.ranker import Calibration, Ranker, RankerConfig, TrainedRanker, join
from thumblab_pipelines.steps.dataset import Dataset
from thumblab_pipelines.steps.evaluate import pair_auc
from thumblab_pipelines.steps.pairs import TRAIN, VALIDATION
from thumblab_pipelines.steps.recipe import Epoch, TrainConfig

Rows = npt.NDArray[np.intp]


Listener = Callable[[Epoch], None]


def fit(
    data: Dataset, train: Rows, validation: Rows, config: TrainConfig, on_epoch: Listener = lambda epoch: None
) -> tuple[Ranker, list[Epoch]]:
    """Train on the pairs whose two videos are among `train` rows; keep the epoch that orders `validation` best."""
    # A step of a few hundred pairs is too little to share: a second thread gains a quarter on an idle machine, and on a
    # busy one the two wait for each other several times longer than they work.
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    random = np.random.default_rng(config.seed)
    inputs = torch.from_numpy(join(data.images, data.titles))
    release = data.release.info
    architecture = RankerConfig(
        release["image_encoder"], release["title_encoder"], data.images.shape[1], data.titles.shape[1]
    )
    model = Ranker(architecture)
    model.fit_scale(inputs[torch.from_numpy(train)])
    winners, losers = _pairs_within(data, train, config.least_margin)
    if not len(winners):
        raise LabError("no training pair is clear enough to learn from; collect more videos per channel")
    held = _pairs_within(data, validation, 0.0)
    engagement = torch.from_numpy(_channel_percentile(data, train))
    sub_scores = torch.from_numpy(data.sub_scores)
    optimiser = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    steps = max(1, min(len(winners), config.pairs_per_video * len(train)) // config.pairs_per_step)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, config.epochs * steps)
    history: list[Epoch] = []
    best, best_epoch, best_state = -1.0, 0, model.state_dict()
    for number in range(config.epochs):
        model.train()
        losses = np.zeros(3)
        for _ in range(steps):
            chosen = random.integers(0, len(winners), config.pairs_per_step)
            parts = _losses(model, inputs, engagement, sub_scores, winners[chosen], losers[chosen], config)
            loss = parts[0] + config.absolute_weight * parts[1] + config.auxiliary_weight * parts[2]
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            schedule.step()
            losses += [float(part.detach()) for part in parts]
        auc = _validate(model, data, *held) if len(held[0]) else None
        pair, absolute, auxiliary = (losses / steps).tolist()
        history.append(Epoch(number, pair, absolute, auxiliary, auc))
        on_epoch(history[-1])
        if auc is None or auc > best:
            best = auc if auc is not None else best
            best_epoch, best_state = number, {name: value.clone() for name, value in model.state_dict().items()}
        if number - best_epoch >= config.patience:
            break
    model.load_state_dict(best_state)
    return model, history


def train_ranker(data: Dataset, config: TrainConfig, on_epoch: Listener) -> tuple[TrainedRanker, list[Epoch]]:
    """The model of the release: trained on the training part, stopped and calibrated on the validation part."""
    validation = data.rows(VALIDATION)
    model, history = fit(data, data.rows(TRAIN), validation, config, on_epoch)
    scores = model.predict(data.images, data.titles).score
    niches = data.videos.niche.to_numpy(object)
    calibration = Calibration(
        slope=_slope(scores, *_pairs_within(data, validation, 0.0)),
        quantiles={
            str(niche): np.percentile(scores[niches == niche], np.arange(101)).tolist() for niche in np.unique(niches)
        },
    )
    training: dict[str, Any] = {
        "config": asdict(config),
        "pairs_release": data.release.release_id,
        "age_exponent": data.release.info["age_exponent"],
        "epochs_run": len(history),
    }
    return TrainedRanker(model, calibration, training), history


def fit_without_channels(data: Dataset, config: TrainConfig, on_epoch: Listener) -> Callable[[Rows], Any]:
    """What `evaluate` calls to judge new channels: train on the known rows only, and score every video [n]."""

    def fit_elsewhere(known: Rows) -> npt.NDArray[np.float32]:
        validation = np.intersect1d(known, data.rows(VALIDATION))
        model, _ = fit(data, np.setdiff1d(known, validation), validation, config, on_epoch)
        return model.predict(data.images, data.titles).score

    return fit_elsewhere


def _losses(
    model: Ranker,
    inputs: Tensor,
    engagement: Tensor,
    sub_scores: Tensor,
    winners: Rows,
    losers: Rows,
    config: TrainConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    # Each video once, however many of the pairs it is in.
    rows, place = np.unique(np.concatenate([winners, losers]), return_inverse=True)
    score, absolute, auxiliary = model(inputs[torch.from_numpy(rows)])
    ahead, behind = (torch.from_numpy(side) for side in np.split(place, 2))
    pair = nn.functional.margin_ranking_loss(score[ahead], score[behind], torch.ones(len(ahead)), margin=config.margin)
    smoothed = engagement[rows] * (1 - config.label_smoothing) + 0.5 * config.label_smoothing
    return pair, _masked_mse(absolute, smoothed), _masked_mse(auxiliary, sub_scores[rows])


def _validate(model: Ranker, data: Dataset, winners: Rows, losers: Rows) -> float:
    rows, place = np.unique(np.concatenate([winners, losers]), return_inverse=True)
    scores = model.predict(data.images[rows], data.titles[rows]).score
    return pair_auc(scores, *np.split(place, 2))


def _masked_mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the targets that are known."""
    known = ~torch.isnan(target)
    return nn.functional.mse_loss(predicted[known], target[known]) if known.any() else predicted.sum() * 0.0


def _pairs_within(data: Dataset, rows: Rows, least_margin: float) -> tuple[Rows, Rows]:
    """Winners and losers of the pairs that lie wholly within the rows."""
    inside = np.zeros(len(data.videos), bool)
    inside[rows] = True
    winner, loser = data.pairs.winner.to_numpy(np.intp), data.pairs.loser.to_numpy(np.intp)
    chosen = inside[winner] & inside[loser] & (data.pairs.margin.to_numpy() >= least_margin)
    return winner[chosen], loser[chosen]


def _channel_percentile(data: Dataset, rows: Rows) -> npt.NDArray[np.float32]:
    """[n] the engagement target: where a training video stands among its channel's, 0 to 1; NaN elsewhere."""
    target = np.full(len(data.videos), np.nan, np.float32)
    videos = data.videos.iloc[rows]
    place = videos.groupby("channel_id").target.rank() - 0.5
    size = videos.groupby("channel_id").target.transform("size")
    target[rows] = np.where(size >= 5, place / size, np.nan)
    return target


def _slope(scores: npt.NDArray[np.float32], winners: Rows, losers: Rows) -> float:
    """Platt scaling of score differences without a bias, since a pair has no first side."""
    from sklearn.linear_model import LogisticRegression

    if len(winners) < 2:
        return 1.0
    gaps = (scores[winners] - scores[losers])[:, None]
    model = LogisticRegression(fit_intercept=False, C=1e6)
    model.fit(np.concatenate([gaps, -gaps]), np.repeat([1, 0], len(gaps)))
    # A model that orders validation pairs no better than chance must not claim to know.
    return max(float(model.coef_[0, 0]), 1e-6)
