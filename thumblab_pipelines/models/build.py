"""The model release: train, evaluate and publish it; judge it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.checks import check_pairs
from thumblab_pipelines.dataset.kept_pairs import deleted_in, holding_pairs, newest_pairs
from thumblab_pipelines.dataset.seen_videos import SEEN, fingerprints, seen_by_encoder
from thumblab_pipelines.evaluation.evaluate import evaluate, figure, save_evaluations
from thumblab_pipelines.evaluation.questions import FUTURE, Evaluation
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.statistics.calibration import calibration_curve
from thumblab_pipelines.training.config import Epoch, TrainConfig

if TYPE_CHECKING:
    from thumblab_pipelines.dataset.load import Dataset

_VERSION = 6
_LEAST_PAIRS = 100
"""A model that could not be judged on this many held-out pairs is not served."""


@dataclass(frozen=True)
class BuiltModel:
    """The release, and whether it was there already because neither pairs nor configuration had changed."""

    release: Release
    reused: bool

    @property
    def forgotten(self) -> int:
        """How many videos of its pairs the lab had forgotten by the time it was trained."""
        return int(self.release.info.get("forgotten", 0))

    @property
    def evaluations(self) -> list[Evaluation]:
        return [Evaluation.of(row) for row in _read(self.release, "evaluation.json")]

    @property
    def history(self) -> list[Epoch]:
        return [Epoch(**row) for row in _read(self.release, "history.json")]


def build_model(
    lab: Lab,
    config: TrainConfig | None = None,
    progress: Progress = silent,
    run_id: str | None = None,
    logs: Path | None = None,
) -> BuiltModel:
    """Train on the newest pairs release and publish what came of it, with its evaluation, unless it is there already.

    `logs`: a folder for TensorBoard. Of the processes that `accelerate launch` started, all call this; the main one
    publishes, and all return its release. Raises `LabError` when there are no pairs to learn from, and in all processes when
    they did not read the same.
    """
    from thumblab_pipelines.dataset.load import load_dataset
    from thumblab_pipelines.training.distributed import ProcessGroup

    config = config or TrainConfig()
    with holding_pairs(lab):
        source = newest_pairs(lab)
        forgotten = deleted_in(lab, source)
        inputs = inputs_digest(_VERSION, source.info["inputs"], asdict(config), forgotten)
        release = lab.releases.unchanged(MODEL, ALL, inputs)
        reused = release is not None
        if release is None:
            bad = [verdict for verdict in check_pairs(source) if not verdict.passed]
            if bad:
                raise LabError(f"{source} is not fit for training: {'; '.join(v.explanation for v in bad)}")
            data = load_dataset(lab, source, forgotten)
    # Each process has read for itself, one after the other; with different rows they would wait for each other for good.
    if not ProcessGroup().agree(inputs_digest(inputs, reused)):
        raise LabError(
            "the training pairs, the models or the videos of the lab changed while the processes of this training "
            "started; start it again"
        )
    if release is None:
        release = _train_and_publish(lab, data, config, inputs, progress, run_id, logs)
    built = BuiltModel(release, reused)
    save_evaluations(lab, release.release_id, built.evaluations)
    return built


def _train_and_publish(
    lab: Lab,
    data: "Dataset",
    config: TrainConfig,
    inputs: str,
    progress: Progress,
    run_id: str | None,
    logs: Path | None,
) -> Release:
    from thumblab_pipelines.dataset.splits import TEST
    from thumblab_pipelines.training.distributed import ProcessGroup
    from thumblab_pipelines.training.train import train

    source, team = data.release, ProcessGroup()
    place = lab.settings.data_dir / "training" / inputs[:16]
    trained = train(data, config, lambda what, epoch: progress(what, epoch.epoch + 1, config.epochs), place, logs)
    if not team.main:
        team.wait()
        return _published(lab, inputs)
    evaluations = evaluate(data, trained.held)
    test = data.pairs[data.pairs.part == TEST]
    gaps = trained.held.future[test.winner.to_numpy()] - trained.held.future[test.loser.to_numpy()]
    own = fingerprints(data.videos.video_id[data.videos.part != TEST])
    seen = np.union1d(own, seen_by_encoder(source.info.get("image_encoder_name") or ""))

    def write(folder: Path) -> None:
        trained.ranker.save(folder)
        (folder / "evaluation.json").write_text(json.dumps([asdict(e) for e in evaluations], indent=1))
        (folder / "history.json").write_text(json.dumps([asdict(epoch) for epoch in trained.history]))
        (folder / "calibration_curve.json").write_text(json.dumps(calibration_curve(gaps, trained.held.slope_adapted)))
        np.save(folder / SEEN, seen, allow_pickle=False)

    info: dict[str, Any] = {
        "inputs": inputs,
        "image_encoder": source.info["image_encoder"],
        "image_encoder_name": source.info.get("image_encoder_name"),
        "title_encoder": source.info["title_encoder"],
        "pairs_release": source.release_id,
        "videos": len(data.videos),
        "forgotten": data.forgotten,
        "channels_adapted": trained.ranker.training["channels_adapted"],
        "future_auc": figure(evaluations, FUTURE).value,
    }
    release = lab.releases.publish(MODEL, ALL, write, info, run_id)
    team.wait()
    return release


def _published(lab: Lab, inputs: str) -> Release:
    """What the main process has made of these inputs."""
    for release in reversed(lab.releases.all(MODEL, ALL)):
        if release.info.get("inputs") == inputs:
            return release
    raise LabError("the main process published no model of these pairs; see what it said, and start the training again")


def check_model(lab: Lab, release: Release) -> list[CheckResult]:
    """What a person would look at before serving a model. Loads and verifies the release."""
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    try:
        trained = TrainedRanker.load(release)
    except LabError as error:
        return [CheckResult("intact", False, str(error))]
    architecture = trained.model.config
    expected = (
        image_encoder(lab.settings).fingerprint,
        title_encoder(lab.settings.title_encoder).fingerprint,
    )
    found = (architecture.image_encoder, architecture.title_encoder)
    random = np.random.default_rng(0)
    sides = (architecture.image_dimension, architecture.title_dimension)
    images, titles = (random.standard_normal((64, side)).astype(np.float32) for side in sides)
    outputs = trained.predict(images, titles, [f"{number} titles" for number in range(64)])
    alive = bool(np.isfinite(outputs.score).all() and np.isfinite(outputs.engagement).all() and outputs.score.std() > 0)
    future = figure(BuiltModel(release, True).evaluations, FUTURE)
    enough = future.pairs >= _LEAST_PAIRS
    auc = future.value if future.value is not None else float("nan")
    return [
        CheckResult("intact", True, f"{len(release.files)} files match their checksums"),
        CheckResult(
            "encoders",
            found == expected,
            f"trained on {' and '.join(found)}, the settings say {' and '.join(expected)}",
        ),
        CheckResult(
            "alive", alive, "finite and different scores for different inputs" if alive else "constant or not finite"
        ),
        CheckResult("judged", enough, f"{future.pairs} held-out pairs; at least {_LEAST_PAIRS} are needed"),
        CheckResult("beats_chance", enough and auc > 0.5, f"AUC {auc:.3f} on the future of known channels"),
    ]


def _read(release: Release, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((release.path / name).read_text())
    return rows
