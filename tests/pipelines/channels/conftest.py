"""Fixtures with labs for the tests of channel adapters.

The model of these labs gives every picture the same score. Therefore, a difference between two scores comes from a
channel adapter.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from channel_catalogue import FEW, TASTE, picture, write_catalogue
from owner_exports import Owner

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import title_encoder
from thumblab_core.images import decode
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import model_inputs
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.channels.add import AddedChannel, add_channel
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.trainable_ranker import TrainableRanker


@pytest.fixture(scope="module")
def catalogue_folder(tmp_path_factory: pytest.TempPathFactory, drawn: Callable[..., bytes]) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    write_catalogue(folder, drawn)
    return folder


@pytest.fixture(scope="module")
def serve(drawn: Callable[..., bytes]) -> Callable[..., Release]:
    """A function that publishes and serves a model.

    The model standardises its inputs, and its score is 0 for every picture.
    """
    import torch

    images, titles = BuiltinEncoder(), title_encoder("minilm")
    vectors = images.encode_images([decode(picture(drawn, 900 + n, ("blue", "red")[n % 2])).pixels for n in range(40)])
    texts = [f"Episode {n}" for n in range(40)]

    def publish(lab: Lab, seed: int = 0, **more: Any) -> Release:
        torch.manual_seed(seed)
        model = TrainableRanker(RankerConfig(images.fingerprint, titles.fingerprint, images.dimension, 384, hidden=16))
        model.fit_scale(model_inputs(vectors, titles.encode_texts(texts), texts))
        model.start(np.zeros(model.config.inputs, np.float32))
        trained = TrainedRanker(model.ranker(), Calibration(1.0, {}, 1.0), {"seed": seed, "kept": 0.5})
        info = {
            "image_encoder": images.fingerprint,
            "title_encoder": titles.fingerprint,
            "image_encoder_name": "builtin",
        }
        release = lab.releases.publish(MODEL, ALL, trained.save, info | more)
        lab.releases.serving.promote(release)
        return release

    return publish


@pytest.fixture(scope="module")
def lab(open_lab: Callable[..., Lab], serve: Callable[..., Release]) -> Lab:
    """A lab with a served model. All tests of a module share this lab."""
    lab = open_lab()
    serve(lab)
    return lab


@pytest.fixture(scope="module")
def added(lab: Lab, catalogue_folder: Path) -> AddedChannel:
    """The result of adding the channel `TASTE` to the fixture `lab`."""
    return add_channel(lab, TASTE, catalogue_folder)


@pytest.fixture
def own_lab(open_lab: Callable[..., Lab], serve: Callable[..., Release], catalogue_folder: Path) -> Lab:
    """A lab for one test, to which both channels were added."""
    lab = open_lab()
    serve(lab)
    for name in (TASTE, FEW):
        add_channel(lab, name, catalogue_folder)
    return lab


@pytest.fixture
def owner(
    open_lab: Callable[..., Lab], serve: Callable[..., Release], catalogue: SyntheticCatalogue
) -> Iterator[Owner]:
    """The largest channel of the emulated YouTube, and the lab of its owner. The lab serves a model and has no video."""
    with Emulator(catalogue) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint)
        serve(lab)
        channel = max(catalogue.channels.values(), key=lambda channel: len(channel.videos))
        yield Owner(lab, emulator, channel.videos)
