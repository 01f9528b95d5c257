"""Train, evaluate and publish a model release, and check whether a release can be served."""

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
from thumblab_pipelines.dataset.retained_pairs import deleted_videos, holding_pairs, missing_videos, newest_pairs
from thumblab_pipelines.dataset.video_fingerprints import FINGERPRINTS_FILE, encoder_fingerprints, fingerprints
from thumblab_pipelines.evaluation.evaluate import evaluate, figure, save_evaluations
from thumblab_pipelines.evaluation.figures import FUTURE, Evaluation
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.ray_cluster.cluster import cluster_of
from thumblab_pipelines.ray_cluster.tasks import tasks_of
from thumblab_pipelines.statistics.calibration import calibration_curve
from thumblab_pipelines.training.config import Epoch, TrainConfig, TrainingFolders
from thumblab_pipelines.training.title_prior.prior import PRIOR_VERSION, file_digest, prior_for

if TYPE_CHECKING:
    from thumblab_pipelines.dataset.load import Dataset
    from thumblab_pipelines.training.train import TrainedRanking

_VERSION = 10
"""Version of the training code, which is part of the digest of a model's inputs.

Raise this number when a change of the code gives a different model for the same inputs. Otherwise the lab would reuse a
release that the old code made.
"""

_LEAST_PAIRS = 100
"""Minimum number of held-out pairs for serving a model. A model that was evaluated on fewer pairs is not served."""


@dataclass(frozen=True)
class BuiltModel:
    """A model release. `reused`: whether the release already existed, because neither the pairs nor the config had
    changed."""

    release: Release
    reused: bool

    @property
    def forgotten(self) -> int:
        """Number of videos of the pairs release that were deleted from the lab before the training ended.

        The model was not trained on these videos.
        """
        return int(self.release.info.get("forgotten", 0)) + int(self.release.info.get("forgotten_meanwhile", 0))

    @property
    def evaluations(self) -> list[Evaluation]:
        """The figures from the evaluation of the model."""
        return [Evaluation.of(row) for row in _read(self.release, "evaluation.json")]

    @property
    def history(self) -> list[Epoch]:
        """The losses and other figures of each epoch of the training."""
        return [Epoch(**row) for row in _read(self.release, "history.json")]


def build_model(
    lab: Lab,
    config: TrainConfig | None = None,
    progress: Progress = silent,
    run_id: str | None = None,
    logs: Path | None = None,
) -> BuiltModel:
    """Train a model on the newest pairs release, evaluate it and publish it. Return the release.

    If a model release of the same inputs exists, it is returned and nothing is trained. `logs`: a folder for
    TensorBoard's logs. If the setting `title_prior` names a table of titles, the training starts from its title prior.

    If the settings name a Ray cluster, its workers train the networks and fit the reference models.

    If `accelerate launch` started several processes, each process calls this function. Only the main process publishes
    a release, and all processes return this release.

    Raises `LabError` if there are no pairs to learn from, if the pairs fail a check, or if the processes did not read
    the same data.
    """
    from thumblab_pipelines.dataset.load import load_dataset
    from thumblab_pipelines.training.processes.distributed import ProcessGroup
    from thumblab_pipelines.training.train import train

    config, group = config or TrainConfig(), ProcessGroup()
    if group.size > 1 and lab.settings.ray_address:
        raise LabError(
            "`accelerate launch` and THUMBLAB_RAY_ADDRESS both divide the training; unset THUMBLAB_RAY_ADDRESS, or start "
            "the training without `accelerate launch`"
        )
    with holding_pairs(lab):
        source = newest_pairs(lab)
        deleted = deleted_videos(lab, source)
        path = lab.settings.title_prior
        # Earlier versions of the lab had no title prior. Without a prior, the digest of the inputs is the same as in
        # these versions, so their releases are reused.
        of_prior = [] if path is None else [PRIOR_VERSION, file_digest(path)]
        inputs = inputs_digest(_VERSION, source.info["inputs"], asdict(config), deleted, *of_prior)
        release = lab.releases.unchanged(MODEL, ALL, inputs)
        reused = release is not None
        if release is None:
            failed = [check for check in check_pairs(source) if not check.passed]
            if failed:
                raise LabError(
                    f"{source} cannot be used for training: {'; '.join(check.explanation for check in failed)}"
                )
            data = load_dataset(lab, source, deleted)
            prior = None if path is None else prior_for(path, data)
    # The processes read the data at different moments, so the data may have changed in between. With different data,
    # processes have different numbers of steps, and would wait for each other forever.
    if not group.agree(inputs_digest(inputs, reused)):
        raise LabError(
            "the training pairs, the models or the videos of the lab changed while the processes of this training "
            "started; start the training again"
        )
    if release is None:
        cluster = cluster_of(lab.settings)
        folders = TrainingFolders(lab.settings.data_dir / "training" / inputs[:16], logs)
        trained = train(
            data,
            config,
            lambda what, epoch: progress(what, epoch.epoch + 1, config.epochs),
            folders,
            lambda: missing_videos(lab, data.video_ids),
            prior,
            cluster,
        )
        progress("evaluating the model", 0, 1)
        release = group.in_main(
            lambda: publish_model(
                lab, data, trained, evaluate(data, trained.held, tasks_of(lab.settings)), inputs, run_id
            ),
            then=lambda: _published(lab, inputs),
        )
        progress("evaluating the model", 1, 1)
    built = BuiltModel(release, reused)
    save_evaluations(lab, release.release_id, built.evaluations)
    return built


def publish_model(
    lab: Lab,
    data: "Dataset",
    trained: "TrainedRanking",
    evaluations: list[Evaluation],
    inputs: str,
    run_id: str | None = None,
) -> Release:
    """Publish the trained model with its `evaluations`. `inputs`: the digest of everything that the model was made
    from.
    """
    from thumblab_pipelines.dataset.splits import TEST, TRAIN

    source, held = data.release, trained.held
    test = data.pairs[data.pairs.part == TEST]
    gaps = held.future[test.winner.to_numpy()] - held.future[test.loser.to_numpy()]
    one_video = data.one_video.pairs
    learnt_pairs = one_video.pair_id[one_video.part == TRAIN].tolist()
    own = fingerprints([*data.videos.video_id[data.videos.part != TEST], *learnt_pairs])
    seen = np.union1d(own, encoder_fingerprints(source.info.get("image_encoder_name") or ""))

    def write(folder: Path) -> None:
        trained.ranker.save(folder)
        (folder / "evaluation.json").write_text(json.dumps([asdict(e) for e in evaluations], indent=1))
        (folder / "history.json").write_text(json.dumps([asdict(epoch) for epoch in trained.history]))
        (folder / "calibration_curve.json").write_text(json.dumps(calibration_curve(gaps, held.slope_adapted)))
        np.save(folder / FINGERPRINTS_FILE, seen, allow_pickle=False)

    info: dict[str, Any] = {
        "inputs": inputs,
        "image_encoder": source.info["image_encoder"],
        "image_encoder_name": source.info.get("image_encoder_name"),
        "title_encoder": source.info["title_encoder"],
        "pairs_release": source.release_id,
        "videos": len(data.videos),
        "forgotten": data.forgotten,
        "forgotten_meanwhile": trained.deleted_meanwhile,
        "channels_adapted": trained.ranker.training["channels_adapted"],
        "title_prior": trained.ranker.training["title_prior"],
        "future_auc": figure(evaluations, FUTURE).value,
    }
    return lab.releases.publish(MODEL, ALL, write, info, run_id)


def _published(lab: Lab, inputs: str) -> Release:
    """Return the release that the main process has published for the same inputs.

    Raises `LabError` if there is no such release.
    """
    for release in reversed(lab.releases.all(MODEL, ALL)):
        if release.info.get("inputs") == inputs:
            return release
    raise LabError("the main process published no model; see the error of that process, and start the training again")


def check_model(lab: Lab, release: Release) -> list[CheckResult]:
    """Load a model release, verify its checksums, and check whether it can be served."""
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    try:
        ranker = TrainedRanker.load(release)
    except LabError as error:
        return [CheckResult("intact", False, str(error))]
    architecture = ranker.model.config
    expected = (
        image_encoder(lab.settings).fingerprint,
        title_encoder(lab.settings.title_encoder).fingerprint,
    )
    encoders = (architecture.image_encoder, architecture.title_encoder)
    random = np.random.default_rng(0)
    sides = (architecture.image_dimension, architecture.title_dimension)
    images, titles = (random.standard_normal((64, side)).astype(np.float32) for side in sides)
    outputs = ranker.predict(images, titles, [f"{number} titles" for number in range(64)])
    alive = bool(np.isfinite(outputs.score).all() and np.isfinite(outputs.engagement).all() and outputs.score.std() > 0)
    future = figure(BuiltModel(release, True).evaluations, FUTURE)
    enough = future.pairs >= _LEAST_PAIRS
    auc = future.value if future.value is not None else float("nan")
    return [
        CheckResult(
            "intact",
            True,
            f"{len(release.files)} files match their checksums",
            figures={"files": len(release.files)},
        ),
        CheckResult(
            "encoders",
            encoders == expected,
            f"trained on vectors of {' and '.join(encoders)}; the settings name {' and '.join(expected)}",
            figures={"of_the_settings": int(encoders == expected)},
        ),
        CheckResult(
            "alive",
            alive,
            "finite and different scores for different inputs" if alive else "the scores are constant or not finite",
            figures={"standard_deviation": float(np.nan_to_num(outputs.score.std()))},
        ),
        CheckResult(
            "judged",
            enough,
            f"{future.pairs} held-out pairs; at least {_LEAST_PAIRS} are needed",
            figures={"held_out_pairs": future.pairs},
        ),
        CheckResult(
            "beats_chance",
            enough and auc > 0.5,
            f"AUC {auc:.3f} on the future of known channels",
            figures={} if np.isnan(auc) else {"auc": auc},
        ),
    ]


def _read(release: Release, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((release.path / name).read_text())
    return rows


def failed_checks(lab: Lab) -> str | None:
    """Return a text that names the checks that the newest model fails. Return None if the model passes all checks, or
    if there is no model.
    """
    newest = lab.releases.latest(MODEL, ALL)
    failed = [] if newest is None else [check.explanation for check in check_model(lab, newest) if not check.passed]
    if newest is None or not failed:
        return None
    return f"{newest.release_id} was trained, but it failed its checks ({'; '.join(failed)})"
