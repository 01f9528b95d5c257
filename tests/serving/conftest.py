"""Fixtures that make a small lab with real releases, and run the real service on a real socket."""

import functools
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import pytest
from local_server import Handler, local_server
from PIL import Image, ImageDraw
from same_answers import same_answers

from thumblab_core.encoders.load import named_image_encoder, title_encoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import decode
from thumblab_core.index import Item, NicheIndex
from thumblab_core.model_files import face_model
from thumblab_core.ranking.adapters import Adapter, Adapters, fit_adapter
from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters
from thumblab_core.ranking.familiarity import Familiarity
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import ALL, INDEX, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_core.sub_scores import NAMES, Meter
from thumblab_core.sub_scores.distribution import ScoreDistribution
from thumblab_pipelines.evaluation.figures import Evaluation

KEY = "key-of-the-tests-0123456789"
TITLE = "I tested every phone under $200"


EVALUATED: dict[str, Any] = {
    "skills": dict.fromkeys(("future", "new_channels", "adapted"), (0.7, 0.65, 0.75)),
    "engagement": {"correlation": 0.4, "low": 0.3, "videos": 100, "spread": 0.5},
}
"""The evaluation that `Lab.model` stores with a model.

`skills` maps each split to an AUC and the two ends of its interval. `engagement` has figures about the model's
predictions of the engagement of a video. A test may add the key `questions`. The value of this key lists the evaluated
questions. Each question comes with its slice, which is the part of the pairs from which the AUC is computed. Without
this key, the questions `package` and `one_title` are evaluated, and `one_video` is not. The key `package_skills`
replaces `skills` for `package`.
"""


def picture(seed: int, size: tuple[int, int] = (320, 180), kind: str = "JPEG") -> bytes:
    """Return a thumbnail of random ellipses."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 12))):
        x, y = int(rng.integers(0, size[0])), int(rng.integers(0, size[1]))
        r = int(rng.integers(8, 90))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.integers(0, 256, 3).tolist()))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@functools.cache
def drawn_vectors(first: int, count: int, name: str = "builtin", releases: Path = Path()) -> Vectors:
    """Draw `count` pictures, and return their vectors from an image encoder. The first picture has the seed `first`."""
    images = named_image_encoder(name, releases)
    return images.encode_images([decode(picture(first + n)).pixels for n in range(count)])


def adapter_of(model: Any, channel: str, videos: int = 24) -> Adapter:
    """Return an adapter for a channel whose viewers have a random taste. The channel's name is the seed of this taste.

    The adapter is fitted to `videos` videos.
    """
    from thumblab_core.ranking.inputs import model_inputs

    vectors, titles = drawn_vectors(0, videos), title_encoder("minilm")
    inputs = model_inputs(vectors, np.repeat(titles.encode_texts([TITLE]), videos, axis=0), [TITLE] * videos)
    scores = model.predict(inputs).score
    taste = scores.std() * np.random.default_rng(sum(channel.encode())).standard_normal(videos)
    fitted = fit_adapter(model.standardise(inputs), scores, taste, 0.5)
    assert fitted is not None
    return fitted


class Lab:
    """A lab in its own folder. The methods of a lab publish and promote releases."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.settings = Settings(_env_file=None, data_dir=root, image_encoder="builtin", api_key=KEY, **settings)
        self.place = release_place(self.settings)
        self.store = ReleaseStore(self.place)

    @property
    def meter(self) -> str:
        """The version of the meter that measures this lab's sub-scores."""
        return Meter(face_model(self.settings), title_encoder("minilm")).version

    def index(
        self,
        niche: str = "tech",
        seed: int = 0,
        count: int = 30,
        encoder: str | None = None,
        name: str | None = None,
        scores: ScoreDistribution | Literal["even"] | None = "even",
    ) -> Release:
        """Publish an index of drawn pictures.

        If `scores` is "even", the sub-scores are distributed evenly, so a percentile is 100 times the value. `name` is
        the name of the image encoder that makes the vectors, and is written to the manifest. Without `name`, the
        built-in encoder makes the vectors, and the manifest names no encoder, as in older releases. `encoder` replaces
        the encoder's fingerprint in the index.
        """
        images = named_image_encoder(name or "builtin", self.place)
        vectors = drawn_vectors(1000 * (seed + 1), count, *((name, self.place) if name else ()))
        items = [
            Item(f"v{n}", f"Title <b>{n}</b>", f"Channel {n % 7}", f"https://youtu.be/v{n}", 10.0 * n, n / 10)
            for n in range(count)
        ]
        if scores == "even":
            scores = ScoreDistribution.of(self.meter, count, dict.fromkeys(NAMES, np.linspace(0, 1, 101).tolist()))
        built = NicheIndex.build(vectors, items, encoder or images.fingerprint, scores)
        info = {"encoder": built.encoder, "dimension": built.dimension, "count": len(built)}
        info |= {"encoder_name": name} if name else {}
        return self.store.publish(INDEX, niche, built.save, info)

    def model(
        self,
        seed: int = 0,
        niches: tuple[str, ...] = ("tech",),
        name: str | None = None,
        channels: tuple[str, ...] = (),
        evaluated: Mapping[str, Any] | None = None,
        familiar: Familiarity | Literal["anything"] | None = "anything",
        fingerprints: Mapping[str, str] | None = None,
    ) -> Release:
        """Publish a model with random weights. The model includes channel adapters for `channels`.

        A model ranks only pictures that are familiar to it, which means similar to its training pictures. If `familiar`
        is "anything", every picture is familiar. `evaluated` replaces parts of `EVALUATED`. `fingerprints` replaces the
        fingerprints of the "image" and the "title" encoder.
        """
        import torch

        from thumblab_core.ranking.architecture import RankerConfig
        from thumblab_core.ranking.inputs import model_inputs
        from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
        from thumblab_pipelines.trainable_ranker import TrainableRanker

        images, titles = named_image_encoder(name or "builtin", self.place), title_encoder("minilm")
        evaluated = EVALUATED | dict(evaluated or {})
        spaces = {"image": images.fingerprint, "title": titles.fingerprint} | dict(fingerprints or {})
        config = RankerConfig(spaces["image"], spaces["title"], images.dimension, 384, hidden=32)
        torch.manual_seed(seed)
        trainable = TrainableRanker(config)
        vectors = drawn_vectors(0, 24, *((name, self.place) if name else ()))
        title_vectors = np.repeat(titles.encode_texts([TITLE]), len(vectors), axis=0)
        inputs = model_inputs(vectors, title_vectors, [TITLE] * len(vectors))
        trainable.fit_scale(inputs)
        # Some inputs hardly vary among these 24 pictures, so `fit_scale` sets factors of up to 8 for these inputs. The
        # next line limits all factors to 2.
        trainable.scale.clamp_max_(2.0)
        model = trainable.ranker()
        scores = model.predict(inputs).score
        quantiles = np.quantile(scores, np.linspace(0, 1, 101)).tolist()
        slope = 1.0 / float(scores.std())
        if familiar == "anything":
            familiar = Familiarity(vectors.astype(np.float16), -1.0)
        trained = TrainedRanker(
            model,
            Calibration(slope, dict.fromkeys(niches, quantiles), 2 * slope),
            {"seed": seed, "informed": evaluated["engagement"]},
            Adapters({channel: adapter_of(model, channel) for channel in channels}),
            familiar,
        )

        def write(folder: Path) -> None:
            trained.save(folder)
            rows = [
                Evaluation(split, slice_, "model", "auc", *figures, pairs=1_000, channels=40, question=question)
                for question, slice_ in evaluated.get("questions", (("package", "all"), ("one_title", "residual")))
                for split, figures in evaluated.get(f"{question}_skills", evaluated["skills"]).items()
            ]
            (folder / "evaluation.json").write_text(json.dumps([asdict(row) for row in rows]))

        return self.store.publish(MODEL, ALL, write, {"seed": seed, "image_encoder_name": name})

    def add_adapter(self, channel: str, model: Release, videos: int = 24, check: Any = None) -> Release:
        """Publish and promote a channel adapter for a model.

        The adapter is fitted to `videos` videos. If `videos` is less than five, the adapter is empty. `check` is the
        evaluation of the adapter on videos of the channel. The manifest stores it.
        """
        from thumblab_core.ranking.trained_ranker import TrainedRanker

        trained = TrainedRanker.load(model)
        about = ChannelAdapterInfo(channel, f"The {channel}", model.release_id, videos, "2026-11-01T00:00:00+00:00")
        adapter = adapter_of(trained.model, channel, videos) if videos >= 5 else None
        return ChannelAdapters(self.store).publish(
            about, adapter, trained.model.config.inputs, ["v"] * videos, {"check": check}
        )

    def promote(self, release: Release) -> Release:
        self.store.serving.promote(release)
        return release

    def point(self, release: Release) -> None:
        """Write the release's id into the pointer, as a person could do by hand. The release is not checked."""
        (release.path.parent / "CURRENT").write_text(release.release_id)


class Service:
    """A client of a running service."""

    def __init__(self, url: str, app: Any) -> None:
        self.url = url
        self.app = app
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False, headers={"X-API-Key": KEY})

    def score(self, *pictures: bytes, **fields: str) -> dict[str, Any]:
        reply = self.upload(*pictures, **fields)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def upload(self, *pictures: bytes, **fields: str) -> httpx.Response:
        files = [("thumbnails", (f"p{n}.jpg", data, "image/jpeg")) for n, data in enumerate(pictures)]
        return self.client.post("/v1/score", data={"title": TITLE, **fields}, files=files)

    def ask(self, thumbnails: list[dict[str, str]], **fields: str) -> httpx.Response:
        return self.client.post("/v1/score", json={"title": TITLE, "thumbnails": thumbnails, **fields})

    def health(self) -> dict[str, Any]:
        return dict(self.client.get("/health").json())


@contextmanager
def serving(settings: Settings, wait: bool = True) -> Iterator[Service]:
    import uvicorn

    from thumblab_serving.__main__ import config
    from thumblab_serving.app import create_app

    app = create_app(settings)
    server = uvicorn.Server(config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    service = Service(f"http://127.0.0.1:{port}", app)
    try:
        deadline = time.monotonic() + 60
        while wait and service.client.get("/ready").status_code != 200:
            assert time.monotonic() < deadline, service.client.get("/ready").text
            time.sleep(0.02)
        yield service
    finally:
        service.client.close()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def alike() -> Callable[[Any, Any], bool]:
    return same_answers


@pytest.fixture(scope="session")
def draw() -> Callable[..., bytes]:
    return picture


@pytest.fixture(scope="session")
def run() -> Iterator[Callable[..., Any]]:
    with pytest.MonkeyPatch.context() as patch:  # A busy machine may need longer than the usual limits.
        patch.setattr("thumblab_serving.loading.served_release.PATIENCE_S", 60.0)
        patch.setattr("thumblab_serving.scoring.scorer._SHORT_WAIT_S", 60.0)
        yield serving


@pytest.fixture(scope="session")
def lab_at() -> type[Lab]:
    return Lab


@pytest.fixture(scope="module")
def unproven_lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a served index and a model without proven skill on any split. All tests of a module share this lab."""
    lab = Lab(tmp_path_factory.mktemp("unproven"))
    lab.promote(lab.index("tech"))
    lab.promote(lab.model(evaluated={"skills": dict.fromkeys(EVALUATED["skills"], (0.55, 0.48, 0.62))}))
    return lab


@pytest.fixture
def new_lab(tmp_path: Path) -> Callable[..., Lab]:
    return lambda **settings: Lab(tmp_path / "lab", **settings)


@pytest.fixture
def files(tmp_path: Path, draw: Callable[..., bytes]) -> list[Path]:
    """Three pictures that look different: p0.jpg, p1.jpg and p2.jpg."""
    paths = [tmp_path / f"p{n}.jpg" for n in range(3)]
    for n, path in enumerate(paths):
        path.write_bytes(draw(n))
    return paths


@pytest.fixture(scope="session")
def images() -> Iterator[dict[str, Any]]:
    """A running image host, as a dictionary with three keys.

    `host` is its address. `bodies` maps each path to the bytes that the host serves. `asked` lists the requested paths.
    """
    bodies: dict[str, bytes] = {}
    asked: list[str] = []

    class Pictures(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = bodies.get(self.path)
            self.reply(200 if body is not None else 404, body or b"")

    with local_server(Pictures) as server:
        yield {"host": f"127.0.0.1:{server.server_port}", "bodies": bodies, "asked": asked}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, images: dict[str, Any]) -> Lab:
    """A lab with a model and an index of the niche tech. All tests share this lab, so no test may change it."""
    lab = Lab(tmp_path_factory.mktemp("lab"), extra_image_hosts=images["host"])
    lab.promote(lab.index("tech"))
    lab.promote(lab.model(channels=("UCown",)))
    return lab


@pytest.fixture(scope="session")
def service(lab: Lab) -> Iterator[Service]:
    with serving(lab.settings) as running:
        yield running
