"""Tests on real channels.

On known channels, the model ranks videos that were published after its training videos. The AUC of the model must be
higher than the AUC of partial pooling, the best reference model. On the three largest unseen channels, the model with
channel adapters must have a mean AUC of at least 0.60.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from thumblab_core.database.tables import videos
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.dataset.load import Dataset, load_dataset
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.evaluation.evaluate import evaluate, figure
from thumblab_pipelines.evaluation.figures import ADAPTED, FUTURE, SLICES, Evaluation
from thumblab_pipelines.evaluation.reference_models import POOLED
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.train import train

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1_800)]

ENCODER = {"resize": "squash", "interpolation": "bilinear", "mean": None, "std": None, "near_duplicate": 0.97}
SEEDS = (1, 2, 3)
DEEP = 3


@pytest.fixture(scope="module")
def data(shared_data: Path, open_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A dataset of real thumbnails and titles, encoded by MobileNet and MiniLM.

    The sub-scores of the pictures are not measured.
    """
    model, catalogue = shared_data.parent / "models" / "mobilenet_v1_embedding.onnx", shared_data / "thumbnails"
    if not model.is_file() or not catalogue.is_dir():
        pytest.skip("the real catalogue or its encoder is missing")
    folder = tmp_path_factory.mktemp("mobilenet")
    shutil.copy(model, folder / "model.onnx")
    (folder / "model.json").write_text(json.dumps(ENCODER))
    lab = open_lab(image_encoder=f"onnx:{folder / 'model.onnx'}", encoder_precision="float32")
    import_catalogue(lab, catalogue)
    with lab.engine.connect() as connection:
        niches = connection.scalars(select(videos.c.niche).distinct().order_by(videos.c.niche)).all()
    for niche in niches:
        embed(lab, niche)
    dataset = load_dataset(lab, build_pairs(lab).release)
    assert len(dataset.videos) > 1_500
    return dataset


@pytest.fixture(scope="module", params=SEEDS)
def evaluations(data: Dataset, request: pytest.FixtureRequest) -> list[Evaluation]:
    return evaluate(data, train(data, TrainConfig(seed=request.param)).held)


def deep_channels(evaluations: list[Evaluation]) -> dict[str, Any]:
    """Return the AUC of the model with channel adapters, for the `DEEP` channels that have the most pairs.

    The keys of the dictionary are the names of the channels' slices.
    """
    adapted = [e for e in evaluations if (e.split, e.scorer, e.metric) == (ADAPTED, "model", "auc")]
    of_channels = sorted((e for e in adapted if e.slice.startswith("channel:")), key=lambda e: -e.pairs)
    return {e.slice: e.value for e in of_channels[:DEEP]}


def test_the_model_beats_partial_pooling_on_the_future_of_known_channels(evaluations: list[Evaluation]) -> None:
    for slice_ in SLICES:
        lead = figure(evaluations, FUTURE, slice_, f"lead_over_{POOLED}")
        model = figure(evaluations, FUTURE, slice_)
        assert lead.pairs > 500
        assert lead.value is not None
        assert model.value is not None
        assert lead.value > 0, f"{slice_}: {model.value:.3f}, {lead.value:+.3f}"
        assert model.value > 0.6


def test_a_large_unseen_channel_is_ranked_well_after_adapting(evaluations: list[Evaluation]) -> None:
    aucs = deep_channels(evaluations)
    assert len(aucs) == DEEP
    assert np.mean(list(aucs.values())) >= 0.60, aucs
