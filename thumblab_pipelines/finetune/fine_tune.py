"""Fine-tune the image encoder together with the ranker's heads, on the training pairs.

The ranker is the network that computes scores from vectors. The heads are the last layers of the ranker. Either all of
the encoder's image tower is trained, or only the last blocks of this tower. The result is a release with an open_clip
checkpoint. To use the fine-tuned encoder, a person names it in the settings. Then vectors, indices and the ranking
model must be computed again, see docs/encoders.md.
"""

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, ENCODER, MODEL, Release
from thumblab_core.settings import Settings
from thumblab_pipelines.dataset.retained_pairs import deleted_videos, holding_pairs, named_pairs
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.progress import Progress, silent

if TYPE_CHECKING:
    from thumblab_core.encoders.open_clip import OpenClipEncoder
    from thumblab_pipelines.dataset.load import Dataset
    from thumblab_pipelines.trainable_ranker import TrainableRanker

WEIGHTS = "weights.safetensors"
"""The file with the weights of the whole CLIP model in an encoder release. open_clip and the lab can both read it."""

_VERSION = 3
"""Version of the training code, which is part of the digest of the inputs. Raise this number if a change of the code
makes another encoder from the same inputs."""


@dataclass(frozen=True)
class FineTuneConfig:
    """The settings of a fine-tuning. Raises `LabError` for an invalid value.

    Trained      The image tower is the part of a CLIP model that encodes pictures. The last `blocks` transformer blocks
                 of the tower, its final norm and its projection are trained. "all" trains the whole tower. The ranker's
                 heads are trained too. `heads` says which weights the heads start with: "trained" means the weights of
                 the newest ranking model, and "fresh" means random weights.
    A step       A step uses `accumulate` batches of `pictures` pictures, and all training pairs within a batch. An
                 epoch uses each picture at most once.
    Step size    The optimiser is AdamW. The learning rate at the end of the tower is `encoder_rate`. Each block has the
                 learning rate of the block after it, multiplied by `layer_decay`. The learning rate of the heads is
                 `heads_rate`. All rates rise during the first part of the steps, whose share of all steps is
                 `warm_up`. Then all rates decay to zero along a cosine. Gradients are clipped to the norm `clip_norm`.
    Pair loss    `pair_loss` is "ranknet" or "margin", with `margin` and `label_smoothing` as in `TrainConfig`. Only
                 pairs whose margin (1 - views of the loser / views of the winner) is at least `least_margin` are used.
    Disk         If the outputs of the frozen blocks take at most `activations_gib` GiB, they are stored on the disk. If
                 the outputs take more, the pictures are stored, and the frozen blocks run again in every epoch.
    """

    blocks: int | Literal["all"] = 4
    heads: Literal["trained", "fresh"] = "trained"
    epochs: int = 5
    pictures: int = 32
    accumulate: int = 1
    encoder_rate: float = 1e-5
    layer_decay: float = 1.0
    heads_rate: float = 1e-4
    warm_up: float = 0.1
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    pair_loss: Literal["ranknet", "margin"] = "ranknet"
    margin: float = 0.1
    label_smoothing: float = 0.15
    least_margin: float = 0.1
    activations_gib: float = 20.0
    seed: int = 7

    def __post_init__(self) -> None:
        if self.blocks != "all" and self.blocks < 1:
            raise LabError(f"blocks is {self.blocks}; give how many of the last blocks to train (1 or more), or 'all'")
        for name, allowed in (("heads", ("trained", "fresh")), ("pair_loss", ("ranknet", "margin"))):
            if getattr(self, name) not in allowed:
                raise LabError(f"{name} is {getattr(self, name)!r}; use {' or '.join(allowed)}")
        for name, least in (("epochs", 1), ("pictures", 2), ("accumulate", 1)):
            if getattr(self, name) < least:
                raise LabError(f"{name} is {getattr(self, name)}; use {least} or more")
        for name in ("encoder_rate", "layer_decay", "heads_rate", "clip_norm"):
            if not (0 < getattr(self, name) < math.inf):
                raise LabError(f"{name} is {getattr(self, name)}; use a finite number above 0")


@dataclass(frozen=True)
class TunedEpoch:
    """The mean pair loss of one epoch, and the AUC on the validation pairs after this epoch.

    `validation_auc` is None if there are no validation pairs.
    """

    epoch: int
    pair_loss: float
    validation_auc: float | None


@dataclass(frozen=True)
class _FineTuning:
    """The data, the models and the settings of one fine-tuning.

    `encoder`: the encoder whose weights are changed. `start`: the ranking model whose heads are used at the start, or
    None for fresh heads. `inputs`: a digest of everything on which the result depends.
    """

    data: "Dataset"
    encoder: "OpenClipEncoder"
    start: Release | None
    config: FineTuneConfig
    inputs: str

    @property
    def scope(self) -> str:
        """The scope of the releases of the fine-tuned encoder."""
        return f"fine-tuned-{self.encoder.base}"


def fine_tune(
    lab: Lab,
    pairs_release: Release,
    config: FineTuneConfig | None = None,
    progress: Progress = silent,
    run_id: str | None = None,
) -> Release:
    """Fine-tune the image encoder in the settings on the pairs. Publish the result as a release of kind `encoder`.

    A checkpoint is written after every epoch. After a crash, a call with the same pairs and config continues from the
    checkpoint. If an earlier call has already published the result, its release is returned. Pairs with an unreadable
    picture are left out, and the release stores their number. To use the new encoder, see `encoder_setting`.

    Raises `LabError` when the encoder is not a ViT of open_clip, or when the pairs were made with another encoder. Also
    raises `LabError` when `heads` is "trained" but there is no ranking model to start from.
    """
    from thumblab_pipelines.dataset.load import load_dataset

    config = config or FineTuneConfig()
    encoder = base_encoder(lab.settings, pairs_release)
    start = lab.releases.latest(MODEL, ALL) if config.heads == "trained" else None
    if config.heads == "trained" and (
        start is None or start.info["image_encoder"] != pairs_release.info["image_encoder"]
    ):
        raise LabError(
            "there are no trained heads to start from: no ranking model exists, or the newest ranking model was not "
            f"trained with {pairs_release.info['image_encoder']}; run `thumblab train` first, or fine-tune with fresh "
            "heads"
        )
    with holding_pairs(lab):
        # If a video of this pairs release was deleted in the meantime, a successor without the video has replaced the
        # release. `named_pairs` finds the successor by the id of the replaced release.
        source = pairs_release if pairs_release.path.is_dir() else named_pairs(lab, pairs_release.release_id)
        deleted = deleted_videos(lab, source)
        data = load_dataset(lab, source, deleted)
    start_files = start.files if start is not None else None
    inputs = inputs_digest(_VERSION, source.info["inputs"], encoder.base, asdict(config), start_files, deleted)
    tuning = _FineTuning(data, encoder, start, config, inputs)
    with lab.releases.serving.changing(ENCODER, tuning.scope, patience=0):
        existing = [release for release in lab.releases.all(ENCODER, tuning.scope) if release.info["inputs"] == inputs]
        if existing:
            return existing[-1]
        folder = lab.settings.data_dir / "fine-tuning" / inputs[:16]
        folder.mkdir(parents=True, exist_ok=True)
        release = _train_and_publish(lab, tuning, folder, progress, run_id)
        shutil.rmtree(folder)
    return release


def encoder_setting(release: Release) -> str:
    """Return the value of THUMBLAB_IMAGE_ENCODER that makes the lab use the fine-tuned encoder in the release."""
    return f"open_clip:{release.info['model']}/{release.path.resolve() / WEIGHTS}"


def base_encoder(settings: Settings, pairs_release: Release) -> "OpenClipEncoder":
    """Return a new instance of the image encoder in the settings. The caller may change the weights of the new
    instance.

    Raises `LabError` when the encoder in the settings is not an open_clip encoder, or when the pairs were made with
    another encoder.
    """
    kind, _, rest = settings.image_encoder.partition(":")
    model, _, weights = rest.partition("/")
    if kind != "open_clip" or not weights:
        raise LabError(
            f"only an open_clip encoder can be fine-tuned, not {settings.image_encoder}; "
            "set THUMBLAB_IMAGE_ENCODER=open_clip:MODEL/WEIGHTS"
        )
    from thumblab_core.encoders.open_clip import OpenClipEncoder

    encoder = OpenClipEncoder(model, weights)
    made_with = str(pairs_release.info["image_encoder"])
    if not made_with.startswith(f"{encoder.base}-"):
        raise LabError(
            f"the pairs were made with the encoder {made_with}, but the settings name {encoder.base}; materialize "
            "training_pairs again"
        )
    return encoder


def _train_and_publish(lab: Lab, tuning: _FineTuning, folder: Path, progress: Progress, run_id: str | None) -> Release:
    """Fine-tune the encoder and publish it. Checkpoints and activations are stored in `folder`."""
    import numpy as np

    from thumblab_core.images import decode
    from thumblab_pipelines.dataset.splits import TEST
    from thumblab_pipelines.dataset.video_fingerprints import FINGERPRINTS_FILE, encoder_fingerprints, fingerprints
    from thumblab_pipelines.finetune.tower_blocks import TrainableTower
    from thumblab_pipelines.finetune.tower_inputs import tower_inputs
    from thumblab_pipelines.finetune.tower_training import TowerTraining
    from thumblab_pipelines.training.checkpoints import Checkpoint

    data, encoder, config, start = tuning.data, tuning.encoder, tuning.config, tuning.start
    tower = TrainableTower(encoder.torch_model.visual, config.blocks)
    rows = np.flatnonzero(data.videos.part.to_numpy(object) != TEST)
    pictures = data.videos.sha256.to_numpy(object)[rows].tolist()
    tower_pictures = tower_inputs(
        tower,
        encoder.preprocessing,
        pictures,
        lambda sha256: encoder.prepare(decode(lab.images.get(sha256), encoder.decode_size).pixels),
        folder,
        int(config.activations_gib * 2**30),
        progress,
    )
    heads = _heads(data, start, config.seed)
    training = TowerTraining(data, rows, tower_pictures, heads, config, Checkpoint(folder, tuning.inputs))
    trained = training.run(lambda what, done, total: progress(f"fine-tuning {encoder.base}, {what}", done, total))
    info: dict[str, Any] = {
        "inputs": tuning.inputs,
        "model": lab.settings.image_encoder.partition(":")[2].partition("/")[0],
        "base": encoder.base,
        "pairs_release": data.release.release_id,
        "forgotten": data.forgotten,
        "ranker_release": start.release_id if start is not None else None,
        "config": asdict(config),
        "blocks": list(tower.blocks),
        "ending": list(tower.ending),
        "whole": tower.whole,
        "pictures": len(rows),
        "unreadable": [[pictures[row], reason] for row, reason in sorted(tower_pictures.unreadable.items())],
        "pairs": trained.pairs,
        "dropped_pairs": trained.dropped_pairs,
        "kept": asdict(trained.kept),
        "validation_auc_before": trained.before,
    }

    def write(release_folder: Path) -> None:
        encoder.save_checkpoint(release_folder / WEIGHTS)
        (release_folder / "history.json").write_text(json.dumps([asdict(epoch) for epoch in trained.history], indent=1))
        # The best epoch was chosen on the validation pairs. So the validation videos count as training videos too.
        own = fingerprints(data.videos.video_id.to_numpy(object)[rows])
        # This training started from the encoder in the settings, which may itself be fine-tuned. So the file of
        # fingerprints also gets the fingerprints of the videos that this encoder was fine-tuned on.
        seen_before = encoder_fingerprints(lab.settings.image_encoder)
        np.save(release_folder / FINGERPRINTS_FILE, np.union1d(own, seen_before), allow_pickle=False)

    return lab.releases.publish(ENCODER, tuning.scope, write, info, run_id)


def _heads(data: "Dataset", start: Release | None, seed: int) -> "TrainableRanker":
    """Return the ranker of the release `start`, or a new ranker if `start` is None.

    A new ranker standardises its inputs with the means and standard deviations of the training videos.
    """
    import torch

    from thumblab_core.ranking.architecture import RankerConfig
    from thumblab_core.ranking.trained_ranker import TrainedRanker
    from thumblab_pipelines.dataset.splits import TRAIN
    from thumblab_pipelines.trainable_ranker import TrainableRanker
    from thumblab_pipelines.training.corpus import dataset_inputs

    if start is not None:
        return TrainableRanker.of(TrainedRanker.load(start).model)
    torch.manual_seed(seed)
    info = data.release.info
    sizes = data.images.shape[1], data.titles.shape[1]
    heads = TrainableRanker(RankerConfig(info["image_encoder"], info["title_encoder"], *sizes))
    rows = data.learnt(TRAIN)
    heads.fit_scale(dataset_inputs(data).take(rows))
    return heads
