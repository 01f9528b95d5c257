"""Make the lab that the servers of this benchmark use: random weights, a library of random vectors, and a model.

The time of an answer does not depend on the random values.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.encoding import synthetic_files
from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import Item, NicheIndex
from thumblab_core.ranking.familiarity import Familiarity
from thumblab_core.ranking.inputs import model_inputs
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings

KEY = "key-of-the-benchmark-0123456789"
NICHE = "tech"
LIBRARY = 10_000
MOST_CLIENTS = 256
"""The number of clients that the service of the benchmark admits at the same time."""
TITLE = "I tested every phone of this year"
VIT = "ViT-B-32"
_FITTED = 300


def settings_of(folder: Path, encoder: str) -> Settings:
    """Return the settings of the lab in `folder`. `encoder` is `builtin` or `ViT-B-32`."""
    name = encoder if encoder == "builtin" else f"open_clip:{encoder}/{weights(folder)}"
    # The service gives one key at most a quarter of its places for requests, and all clients of the benchmark use the
    # same key. So the service needs four places for each client.
    return Settings(
        _env_file=None,
        data_dir=folder,
        image_encoder=name,
        api_key=KEY,
        encoder_precision="float32",
        serving_requests=4 * MOST_CLIENTS,
    )


def weights(folder: Path) -> Path:
    return folder / f"{VIT}.pt"


def make_lab(folder: Path, encoder: str) -> Settings:
    """Write random weights if `encoder` needs weights. Publish and promote a library index and a model."""
    if encoder == VIT:
        _write_weights(folder)
    settings = settings_of(folder, encoder)
    images, titles = image_encoder(settings), title_encoder(settings.title_encoder)
    vectors = unit(np.random.default_rng(0).standard_normal((LIBRARY, images.dimension)))
    items = [
        Item(f"{n:011d}", f"Title {n}", f"Channel {n % 99}", "https://youtu.be/x", 99.0, 5.0) for n in range(LIBRARY)
    ]
    index = NicheIndex.build(vectors, items, images.fingerprint)
    store = ReleaseStore(settings.releases)
    info = {"encoder": index.encoder, "dimension": index.dimension, "count": len(index)}
    info["encoder_name"] = settings.image_encoder
    store.serving.promote(store.publish(INDEX, NICHE, index.save, info))
    title_vectors = np.repeat(titles.encode_texts([TITLE]), _FITTED, axis=0)
    _publish_model(store, settings, (images.fingerprint, titles.fingerprint), (vectors[:_FITTED], title_vectors))
    return settings


def thumbnails(count: int) -> list[bytes]:
    """Return synthetic thumbnails of 1280x720 pixels, with noise as in photographs."""
    with tempfile.TemporaryDirectory() as folder:
        return [file.read_bytes() for file in synthetic_files(Path(folder), count)]


def _write_weights(folder: Path) -> None:
    from thumblab_core.encoders import torchvision_operators  # noqa: F401, I001

    import open_clip
    import torch

    torch.manual_seed(0)
    torch.save(open_clip.create_model(VIT).state_dict(), weights(folder))


def _publish_model(
    store: ReleaseStore, settings: Settings, encoders: tuple[str, str], vectors: tuple[Vectors, Vectors]
) -> None:
    import torch

    from thumblab_core.ranking.adapters import Adapters
    from thumblab_core.ranking.architecture import RankerConfig
    from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
    from thumblab_pipelines.trainable_ranker import TrainableRanker

    torch.manual_seed(0)
    images, titles = vectors
    trainable = TrainableRanker(RankerConfig(*encoders, images.shape[1], titles.shape[1]))
    inputs = model_inputs(images, titles, [TITLE] * len(images))
    trainable.fit_scale(inputs)
    model = trainable.ranker()
    scores = model.predict(inputs).score
    calibration = Calibration(1.0, {NICHE: np.quantile(scores, np.linspace(0, 1, 101)).tolist()}, 2.0)
    familiar = Familiarity(images.astype(np.float16), -1.0)
    trained = TrainedRanker(model, calibration, {"seed": 0}, Adapters({}), familiar)

    def write(folder: Path) -> None:
        trained.save(folder)
        (folder / "evaluation.json").write_text(json.dumps([]))

    info = {"image_encoder_name": settings.image_encoder}
    store.serving.promote(store.publish(MODEL, ALL, write, info))
