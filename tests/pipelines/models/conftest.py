"""Fixtures for the tests of the decision whether a new model is promoted.

In the lab of these fixtures, a model is only a file with a score for each picture. The target of a video is its
age-corrected log views.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compared_pictures import with_pairs

from thumblab_core.arrays import Float32s, Float64s
from thumblab_core.ranking.inputs import VERSION
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.video_fingerprints import FINGERPRINTS_FILE, fingerprints
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import comparison, promotion
from thumblab_pipelines.statistics.mixed_rows import MixedRows


def stored_model(release: Release) -> Any:
    """Return an object that takes the place of the loaded model of `release`.

    The object has the path of the release's files, which `stored_scores` needs.
    """
    return SimpleNamespace(path=release.path, model=SimpleNamespace(config=SimpleNamespace(version=VERSION)))


def stored_scores(model: Any, inputs: Float32s, channels: Any) -> Float64s:
    """Return the scores [k] of the pictures whose inputs are given. This function replaces `scores_of`.

    The inputs of a picture begin with the picture's vector. The release has a file of vectors, and a file with a score
    for each vector. The function finds the vector of the picture in the first file, and returns its score.
    """
    pictures, scores = np.load(model.path / "pictures.npy"), np.load(model.path / "scores.npy")
    place = {vector.tobytes(): row for row, vector in enumerate(pictures)}
    vectors = np.ascontiguousarray(MixedRows.of(inputs).dense()[:, : pictures.shape[1]])
    return np.asarray(scores[[place[vector.tobytes()] for vector in vectors]], np.float64)


@pytest.fixture
def scored_lab(open_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab in which a model release contains a file of scores instead of a network. `stored_scores` reads this file.

    A release whose info has `broken: true` cannot be loaded. A release whose info has `dead: true` fails its check.
    """
    monkeypatch.setattr(
        promotion, "_loaded", lambda release: None if release.info.get("broken") else stored_model(release)
    )
    monkeypatch.setattr(comparison, "scores_of", stored_scores)
    monkeypatch.setattr(
        promotion,
        "check_model",
        lambda lab, release: [CheckResult("alive", not release.info.get("dead"), "as its info says")],
    )
    return open_lab()


@pytest.fixture
def newest_pairs(scored_lab: Lab, plant: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The dataset that the lab loads from its newest release of pairs."""
    planted = plant(channels=8, videos=60)
    release = scored_lab.releases.publish(PAIRS, ALL, lambda folder: (folder / "x").touch(), planted.release.info)
    data = with_pairs(dataclasses.replace(planted, release=release), 40)
    monkeypatch.setattr(promotion, "load_dataset", lambda lab, release: data)
    return data


@pytest.fixture
def publish(scored_lab: Lab, newest_pairs: Dataset) -> Callable[..., Release]:
    """A function that publishes a model. The score of a video's picture is the target of the video plus noise.

    In a one-video pair, the difference between the scores of the two pictures is `one_video` times the gap of the pair,
    plus noise. `noise` is the standard deviation of the noise of one picture. The model was trained on the videos and
    one-video pairs whose ids are in `seen`. `facts` are added to the info of the release.
    """
    target = newest_pairs.videos.target.to_numpy(float)
    pairs = newest_pairs.one_video
    # The file of vectors first has the pictures of the videos. Then come the first pictures of all one-video pairs, and
    # then their second pictures. The true value of a first picture is half of the gap of its pair. The true value of a
    # second picture is minus half of the gap.
    half = pairs.pairs.gap.to_numpy(float) / 2
    pictures = np.concatenate([newest_pairs.images, pairs.images[:, 0], pairs.images[:, 1]])

    def publish(
        noise: float, seen: list[str] | None = None, seed: int = 0, one_video: float = 1.0, **facts: object
    ) -> Release:
        def write(folder: Path) -> None:
            random = np.random.default_rng(seed)
            truth = np.concatenate([target, one_video * half, -one_video * half])
            np.save(folder / "scores.npy", truth + noise * random.standard_normal(len(truth)))
            np.save(folder / "pictures.npy", pictures)
            if seen is not None:
                np.save(folder / FINGERPRINTS_FILE, fingerprints(seen))

        info = {"image_encoder": "i", "title_encoder": "t", "noise": noise, "seed": seed, **facts}
        return scored_lab.releases.publish(MODEL, ALL, write, json.loads(json.dumps(info)))

    return publish
