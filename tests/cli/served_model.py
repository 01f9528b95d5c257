"""A helper that publishes and promotes a ranking model, for tests of commands that need a served model."""

import functools
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import title_encoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import model_inputs
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.evaluation.figures import FUTURE, Evaluation
from thumblab_pipelines.trainable_ranker import TrainableRanker


@functools.cache
def _vectors() -> tuple[Vectors, Vectors, tuple[str, ...]]:
    """Return the vectors of 32 pictures and of 32 titles, and the titles."""
    blocks = np.random.default_rng(0).integers(0, 256, (32, 6, 8, 3), np.uint8).repeat(30, axis=1).repeat(40, axis=2)
    texts = tuple(f"Episode {n} of {n % 5}" for n in range(32))
    return BuiltinEncoder().encode_images(list(blocks)), title_encoder("minilm").encode_texts(list(texts)), texts


def publish_model(store: ReleaseStore, proven: bool = True, pairs: int | None = None) -> None:
    """Publish a model that gives every thumbnail the same score, and promote it.

    The model uses the built-in image encoder and the title encoder minilm. If `proven` is true, the release contains an
    evaluation on unseen channels. In this evaluation, the model orders pictures under one title better than chance. If
    `proven` is false, the release contains no evaluation. If `pairs` is given, the release contains an evaluation on
    this number of held-out pairs of known channels, and is not promoted.
    """
    images, titles = BuiltinEncoder(), title_encoder("minilm")
    model = TrainableRanker(RankerConfig(images.fingerprint, titles.fingerprint, images.dimension, 384, hidden=16))
    model.fit_scale(model_inputs(*_vectors()))
    model.start(np.zeros(model.config.inputs, np.float32))
    trained = TrainedRanker(model.ranker(), Calibration(1.0, {}, 1.0), {"kept": 0.5})
    info = {"image_encoder": images.fingerprint, "title_encoder": titles.fingerprint, "image_encoder_name": "builtin"}

    def write(folder: Path) -> None:
        trained.save(folder)
        if pairs is not None:
            row = Evaluation(FUTURE, "all", "model", "auc", 0.7, 0.65, 0.75, pairs, 40)
            (folder / "evaluation.json").write_text(json.dumps([asdict(row)]))
        elif proven:
            figures = (0.7, 0.65, 0.75)
            row = Evaluation("new_channels", "residual", "model", "auc", *figures, 1_000, 40, question="one_title")
            (folder / "evaluation.json").write_text(json.dumps([asdict(row)]))

    release = store.publish(MODEL, ALL, write, info)
    if pairs is None:
        store.serving.promote(release)
