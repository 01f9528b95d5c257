"""Fine-tune the image encoder: its last blocks, or all of it, learn with the ranker's heads which of two pictures wins.

What comes of it is an encoder like any other: a release with an open_clip checkpoint, which the settings can name. Vectors,
index and ranking model are then made anew with it, see docs/encoders.md.
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
from thumblab_pipelines.dataset.kept_pairs import deleted_in, holding_pairs, named_pairs
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.progress import Progress, silent

if TYPE_CHECKING:
    from thumblab_core.encoders.open_clip import OpenClipEncoder
    from thumblab_core.ranking.ranker import Ranker
    from thumblab_pipelines.dataset.load import Dataset

WEIGHTS = "weights.safetensors"
"""The file of a release that holds the whole CLIP, as open_clip and the lab read it."""

_VERSION = 3


@dataclass(frozen=True)
class FineTuneConfig:
    """How to fine-tune. Raises `LabError` for a value that makes no sense.

    What learns  the last `blocks` transformer blocks of the image tower with its final norm and projection, or "all" of it;
                 and the ranker's heads, which start as those of the newest ranking model ("trained") or at random ("fresh").
    A step       `accumulate` times `pictures` pictures and all training pairs among them; an epoch shows each picture once.
    Step size    AdamW; `encoder_rate` for the end of the tower, `layer_decay` times less for every block below, `heads_rate`
                 for the heads; reached after the share `warm_up` of all steps, then falling to nothing along a cosine.
                 Gradients are cut to `clip_norm`.
    Pair loss    as for the ranker: "ranknet" or "margin", on pairs whose own margin is at least `least_margin`.
    Room         activations of the frozen blocks are kept on the disk where they take at most `activations_gib`.
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
            raise LabError(f"blocks is how many of the last blocks learn, 1 or more, or 'all'; not {self.blocks}")
        for name, allowed in (("heads", ("trained", "fresh")), ("pair_loss", ("ranknet", "margin"))):
            if getattr(self, name) not in allowed:
                raise LabError(f"{name} is {' or '.join(allowed)}, not {getattr(self, name)!r}")
        for name, least in (("epochs", 1), ("pictures", 2), ("accumulate", 1)):
            if getattr(self, name) < least:
                raise LabError(f"{name} is {least} or more, not {getattr(self, name)}")
        for name in ("encoder_rate", "layer_decay", "heads_rate", "clip_norm"):
            if not (0 < getattr(self, name) < math.inf):
                raise LabError(f"{name} is above 0, not {getattr(self, name)}")


@dataclass(frozen=True)
class TunedEpoch:
    """The mean pair loss of one epoch, and the validation AUC after it; None where there are no validation pairs."""

    epoch: int
    pair_loss: float
    validation_auc: float | None


def fine_tune(
    lab: Lab,
    pairs_release: Release,
    config: FineTuneConfig | None = None,
    progress: Progress = silent,
    run_id: str | None = None,
) -> Release:
    """Fine-tune the encoder of the settings on the pairs, and publish it (kind `encoder`); `setting_of` says how to use it.

    A checkpoint is written after every epoch: called again after a crash with the same pairs and configuration it goes on,
    and called again after it has finished it returns what is there. A picture that cannot be read takes its pairs with it,
    which the release counts. Raises `LabError` where the encoder is no ViT of open_clip, the pairs were made with another
    one, or there is no ranking model to start from.
    """
    from thumblab_pipelines.dataset.load import load_dataset

    config = config or FineTuneConfig()
    encoder = base_encoder(lab.settings, pairs_release)
    start = lab.releases.latest(MODEL, ALL) if config.heads == "trained" else None
    if config.heads == "trained" and (
        start is None or start.info["image_encoder"] != pairs_release.info["image_encoder"]
    ):
        raise LabError(
            f"there is no ranking model of {pairs_release.info['image_encoder']} whose heads could start; "
            "train one first, or fine-tune with fresh heads"
        )
    with holding_pairs(lab):
        there = pairs_release.path.is_dir()  # else a video was forgotten since it was chosen
        source = pairs_release if there else named_pairs(lab, pairs_release.release_id)
        data = load_dataset(lab, source, forgotten := deleted_in(lab, source))
    from_heads = start.files if start is not None else None
    inputs = inputs_digest(_VERSION, source.info["inputs"], encoder.base, asdict(config), from_heads, forgotten)
    scope = f"fine-tuned-{encoder.base}"
    with lab.releases.serving.changing(ENCODER, scope, patience=0):
        found = [release for release in lab.releases.all(ENCODER, scope) if release.info["inputs"] == inputs]
        if found:
            return found[-1]
        folder = lab.settings.data_dir / "fine-tuning" / inputs[:16]
        folder.mkdir(parents=True, exist_ok=True)
        release = _train_and_publish(lab, data, encoder, start, config, folder, progress, scope, inputs, run_id)
        shutil.rmtree(folder)
    return release


def setting_of(release: Release) -> str:
    """What THUMBLAB_IMAGE_ENCODER says to use a fine-tuned encoder."""
    return f"open_clip:{release.info['model']}/{release.path.resolve() / WEIGHTS}"


def base_encoder(settings: Settings, pairs_release: Release) -> "OpenClipEncoder":
    """An encoder of one's own, whose weights may be changed, of the model that the settings name and the pairs know."""
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
            f"the pairs were made with {made_with}, the settings say {encoder.base}; materialize training_pairs again"
        )
    return encoder


def _train_and_publish(
    lab: Lab,
    data: "Dataset",
    encoder: "OpenClipEncoder",
    start: Release | None,
    config: FineTuneConfig,
    folder: Path,
    progress: Progress,
    scope: str,
    inputs: str,
    run_id: str | None,
) -> Release:
    import numpy as np

    from thumblab_core.images import decode
    from thumblab_pipelines.dataset.seen_videos import SEEN, fingerprints, seen_by_encoder
    from thumblab_pipelines.dataset.splits import TEST
    from thumblab_pipelines.finetune.tower_blocks import TrainableTower
    from thumblab_pipelines.finetune.tower_inputs import tower_inputs
    from thumblab_pipelines.finetune.tower_training import TowerTraining
    from thumblab_pipelines.training.checkpoints import Checkpoint

    tower = TrainableTower(encoder.torch_model.visual, config.blocks)
    rows = np.flatnonzero(data.videos.part.to_numpy(object) != TEST)
    pictures = data.videos.sha256.to_numpy(object)[rows].tolist()
    taken = tower_inputs(
        tower,
        encoder.preprocessing,
        pictures,
        lambda sha256: encoder.prepare(decode(lab.images.get(sha256), encoder.decode_size).pixels),
        folder,
        int(config.activations_gib * 2**30),
        progress,
    )
    heads = _heads(data, start, config.seed)
    training = TowerTraining(data, rows, taken, heads, config, Checkpoint(folder, inputs))
    trained = training.run(lambda what, done, total: progress(f"fine-tuning {encoder.base}, {what}", done, total))
    info: dict[str, Any] = {
        "inputs": inputs,
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
        "unreadable": [[pictures[row], why] for row, why in sorted(taken.unreadable.items())],
        "pairs": trained.pairs,
        "dropped_pairs": trained.dropped_pairs,
        "kept": asdict(trained.kept),
        "validation_auc_before": trained.before,
    }

    def write(to: Path) -> None:
        encoder.save_checkpoint(to / WEIGHTS)
        (to / "history.json").write_text(json.dumps([asdict(epoch) for epoch in trained.history], indent=1))
        # The validation part chose the epoch, so it has been seen as well.
        own = fingerprints(data.videos.video_id.to_numpy(object)[rows])
        before = seen_by_encoder(lab.settings.image_encoder)  # where that was fine-tuned already
        np.save(to / SEEN, np.union1d(own, before), allow_pickle=False)

    return lab.releases.publish(ENCODER, scope, write, info, run_id)


def _heads(data: "Dataset", start: Release | None, seed: int) -> "Ranker":
    import torch

    from thumblab_core.ranking.ranker import Ranker, RankerConfig, join
    from thumblab_core.ranking.trained_ranker import TrainedRanker
    from thumblab_pipelines.dataset.splits import TRAIN

    if start is not None:
        return TrainedRanker.load(start).model
    torch.manual_seed(seed)
    said = data.release.info
    sizes = data.images.shape[1], data.titles.shape[1]
    heads = Ranker(RankerConfig(said["image_encoder"], said["title_encoder"], *sizes))
    rows = data.learnt(TRAIN)
    heads.fit_scale(join(data.images[rows], data.titles[rows], data.videos.title.iloc[rows].tolist()))
    return heads
