"""Fixtures for tests of promotion.

In the lab of these fixtures, a model is only a file with a score for each video. The target of a video is its
age-corrected log views.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.video_fingerprints import FINGERPRINTS_FILE, fingerprints
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import promotion


@pytest.fixture
def scored_lab(open_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab in which a model release holds a file of scores instead of a network.

    If the info of a release has a true value for `broken`, the release cannot be loaded. If it has a true value for
    `dead`, the release fails its check.
    """
    monkeypatch.setattr(promotion, "_loaded", lambda release: None if release.info.get("broken") else release)
    monkeypatch.setattr(promotion, "model_scores", lambda release, data: np.load(release.path / "scores.npy"))
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
    data = dataclasses.replace(planted, release=release)
    monkeypatch.setattr(promotion, "load_dataset", lambda lab, release: data)
    return data


@pytest.fixture
def publish(scored_lab: Lab, newest_pairs: Dataset) -> Callable[..., Release]:
    """A function that publishes a model. The score of a video is its target plus noise.

    `noise` is the standard deviation of the noise, and `seen` are the ids of the model's training videos.
    """
    target = newest_pairs.videos.target.to_numpy(float)

    def publish(noise: float, seen: list[str] | None = None, seed: int = 0, **facts: object) -> Release:
        def write(folder: Path) -> None:
            np.save(folder / "scores.npy", target + noise * np.random.default_rng(seed).standard_normal(len(target)))
            if seen is not None:
                np.save(folder / FINGERPRINTS_FILE, fingerprints(seen))

        info = {"image_encoder": "i", "title_encoder": "t", "noise": noise, "seed": seed, **facts}
        return scored_lab.releases.publish(MODEL, ALL, write, json.loads(json.dumps(info)))

    return publish
