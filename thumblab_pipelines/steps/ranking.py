"""The model release: train, evaluate and publish it; judge it; promote it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.errors import LabError
from thumblab_core.releases import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.steps import pairs
from thumblab_pipelines.steps.evaluate import FUTURE, Evaluation, evaluate, save_evaluations
from thumblab_pipelines.steps.lab import Lab, inputs_digest
from thumblab_pipelines.steps.progress import Progress, silent
from thumblab_pipelines.steps.recipe import Epoch, TrainConfig
from thumblab_pipelines.steps.verdict import Verdict

_VERSION = 1
_LEAST_PAIRS = 100
"""A model that could not be judged on this many held-out pairs is not served."""


@dataclass(frozen=True)
class BuiltModel:
    """The release, and whether it was there already because neither pairs nor configuration had changed."""

    release: Release
    reused: bool

    @property
    def evaluations(self) -> list[Evaluation]:
        return [Evaluation(**row) for row in _read(self.release, "evaluation.json")]

    @property
    def history(self) -> list[Epoch]:
        return [Epoch(**row) for row in _read(self.release, "history.json")]


def build_model(
    lab: Lab, config: TrainConfig | None = None, progress: Progress = silent, run_id: str | None = None
) -> BuiltModel:
    """Train on the newest pairs release and publish what came of it, with its evaluation, unless it is there already.

    Raises `LabError` when there are no pairs to learn from.
    """
    config = config or TrainConfig()
    source = lab.releases.latest(PAIRS, ALL)
    if source is None:
        raise LabError("there are no training pairs; materialize training_pairs first")
    inputs = inputs_digest(_VERSION, source.info["inputs"], asdict(config))
    release = lab.releases.unchanged(MODEL, ALL, inputs)
    if release is None:
        bad = [verdict for verdict in pairs.judge_pairs(source) if not verdict.passed]
        if bad:
            raise LabError(f"{source} is not fit for training: {'; '.join(v.explanation for v in bad)}")
        release = _train_and_publish(lab, source, config, inputs, progress, run_id)
        reused = False
    else:
        reused = True
    built = BuiltModel(release, reused)
    save_evaluations(lab, release.release_id, built.evaluations)
    return built


def _train_and_publish(
    lab: Lab, source: Release, config: TrainConfig, inputs: str, progress: Progress, run_id: str | None
) -> Release:
    from thumblab_pipelines.steps.dataset import load_dataset
    from thumblab_pipelines.steps.train import fit_without_channels, train_ranker

    data = load_dataset(lab, source)
    trained, history = train_ranker(data, config, _epochs(progress, "training", config))
    scores = trained.model.predict(data.images, data.titles).score
    elsewhere = fit_without_channels(
        data, config, _epochs(progress, "training without the channels it is judged on", config)
    )
    evaluations = evaluate(data, scores, elsewhere)

    def write(folder: Path) -> None:
        trained.save(folder)
        (folder / "evaluation.json").write_text(json.dumps([asdict(e) for e in evaluations], indent=1))
        (folder / "history.json").write_text(json.dumps([asdict(epoch) for epoch in history]))

    info: dict[str, Any] = {
        "inputs": inputs,
        "image_encoder": source.info["image_encoder"],
        "image_encoder_name": source.info.get("image_encoder_name"),
        "title_encoder": source.info["title_encoder"],
        "pairs_release": source.release_id,
        "videos": len(data.videos),
        "future_auc": next(e.auc for e in evaluations if (e.split, e.slice, e.scorer) == (FUTURE, "all", "model")),
    }
    return lab.releases.publish(MODEL, ALL, write, info, run_id)


def judge_model(lab: Lab, release: Release) -> list[Verdict]:
    """What a person would look at before serving a model. Loads and verifies the release."""
    from thumblab_core.ranker import TrainedRanker

    try:
        trained = TrainedRanker.load(release)
    except LabError as error:
        return [Verdict("intact", False, str(error))]
    architecture = trained.model.config
    expected = (
        image_encoder(lab.settings).fingerprint,
        title_encoder(lab.settings.title_encoder).fingerprint,
    )
    found = (architecture.image_encoder, architecture.title_encoder)
    noise = np.random.default_rng(0)
    images = noise.standard_normal((64, architecture.image_dimension)).astype(np.float32)
    titles = noise.standard_normal((64, architecture.title_dimension)).astype(np.float32)
    outputs = trained.model.predict(images, titles)
    alive = bool(np.isfinite(outputs.score).all() and np.isfinite(outputs.engagement).all() and outputs.score.std() > 0)
    future = next(
        e for e in BuiltModel(release, True).evaluations if (e.split, e.slice, e.scorer) == (FUTURE, "all", "model")
    )
    enough = future.pairs >= _LEAST_PAIRS
    auc = future.auc if future.auc is not None else float("nan")
    return [
        Verdict("intact", True, f"{len(release.files)} files match their checksums"),
        Verdict(
            "encoders",
            found == expected,
            f"trained on {' and '.join(found)}, the settings say {' and '.join(expected)}",
        ),
        Verdict(
            "alive", alive, "finite and different scores for different inputs" if alive else "constant or not finite"
        ),
        Verdict("judged", enough, f"{future.pairs} held-out pairs; at least {_LEAST_PAIRS} are needed"),
        Verdict("beats_chance", enough and auc > 0.5, f"AUC {auc:.3f} on the future of known channels"),
    ]


def promote_model(lab: Lab) -> Release:
    """Serve the newest model release, judged once more. Raises `LabError` when it does not pass."""
    release = lab.releases.latest(MODEL, ALL)
    if release is None:
        raise LabError("there is no model release; materialize ranking_model first")
    bad = [verdict for verdict in judge_model(lab, release) if not verdict.passed]
    if bad:
        raise LabError(f"{release} is not promoted: {'; '.join(v.explanation for v in bad)}")
    if lab.releases.current_id(MODEL, ALL) != release.release_id:
        lab.releases.promote(release)
    for kind, scope in ((MODEL, ALL), (PAIRS, ALL)):
        lab.releases.prune(kind, scope, lab.settings.releases_kept)
    return release


def judge_served_model(lab: Lab, expected: Release) -> list[Verdict]:
    """Does the pointer name the release that was promoted?"""
    found = lab.releases.current_id(MODEL, ALL)
    return [Verdict("pointer", found == expected.release_id, f"the service reads {found}")]


def _epochs(progress: Progress, what: str, config: TrainConfig) -> Callable[[Epoch], None]:
    return lambda epoch: progress(what, epoch.epoch + 1, config.epochs)


def _read(release: Release, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((release.path / name).read_text())
    return rows
