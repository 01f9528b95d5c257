"""Fixtures with a small lab, whose videos are collected once from the emulator of YouTube.

Tests may add vectors and other results to this lab. Tests must leave its videos and pictures as they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_pipelines.lab import Lab

KEY = "AIzaSecretOfTheTests"


@dataclass(frozen=True)
class Small:
    """The small lab, and the catalogue and the emulator from which its videos were collected.

    `collected` has the result of collecting the videos of each niche. `downloaded` has the result of downloading the
    pictures of each niche. `spent` has the number of calls that collecting the videos used, for each bucket of the
    quota. The emulator may count more calls later, because tests also collect videos in copies of the lab.
    """

    lab: Lab
    catalogue: SyntheticCatalogue
    emulator: Emulator
    collected: dict[str, Any]
    downloaded: dict[str, Any]
    spent: dict[str, int]


@pytest.fixture(scope="module")
def module_lab(open_lab: Callable[..., Lab]) -> Lab:
    """A lab with an empty database. The tests of one module share this lab."""
    return open_lab()


@pytest.fixture
def emptied_lab(module_lab: Lab) -> Callable[..., Lab]:
    """A function that empties tables of the module's lab, and returns this lab.

    The function deletes all rows of the tables that it is given, in the given order.
    """

    def empty(*tables: Any) -> Lab:
        with module_lab.engine.begin() as connection:
            for table in tables:
                connection.execute(table.delete())
        return module_lab

    return empty


@pytest.fixture
def use_time_zone() -> Iterator[Callable[[Lab, str], None]]:
    """A function that sets the time zone in which a lab's database returns moments. The test's end resets it."""
    changed: list[Lab] = []

    def alter(lab: Lab, change: str) -> None:
        with lab.engine.begin() as connection:
            connection.execute(text(f'ALTER DATABASE "{lab.engine.url.database}" {change}'))
        lab.engine.dispose()  # Only new connections use the changed time zone.

    def use(lab: Lab, zone: str) -> None:
        changed.append(lab)
        alter(lab, f"SET timezone TO '{zone}'")

    yield use
    for lab in changed:
        alter(lab, "RESET timezone")


@pytest.fixture(scope="session")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(videos=150)


@pytest.fixture(scope="session")
def small(catalogue: SyntheticCatalogue, open_lab: Callable[..., Lab]) -> Iterator[Small]:
    """A lab with 150 videos of 7 channels and their pictures. At first, the lab has no vectors."""
    from thumblab_pipelines.collection.download import download_thumbnails
    from thumblab_pipelines.collection.refresh import collect

    with Emulator(catalogue, key=KEY) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key=KEY)
        collected = {niche: collect(lab, niche) for niche in DEFAULT_NAMES}
        downloaded = {niche: download_thumbnails(lab, niche) for niche in DEFAULT_NAMES}
        yield Small(lab, catalogue, emulator, collected, downloaded, emulator.counts.spent)


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """A function that makes a dataset in which the pictures determine the views.

    The logarithm of the age-corrected views is a linear function of the picture's vector, plus noise. The views of
    every video were counted once, and always by the same definition of a view. No two pictures look alike. `columns`
    replaces or adds columns of the table of videos.
    """
    import numpy as np
    import pandas as pd

    from thumblab_core.encoders.protocol import unit
    from thumblab_core.releases.release_store import ReleaseStore
    from thumblab_pipelines.dataset import pairs
    from thumblab_pipelines.dataset.ageing import Growth
    from thumblab_pipelines.dataset.load import Dataset
    from thumblab_pipelines.dataset.snapshot import Snapshot

    def make(
        channels: int = 6, videos: int = 60, signal: float = 1.0, noise: float = 0.5, seed: int = 0, **columns: Any
    ) -> Dataset:
        random = np.random.default_rng(seed)
        n = channels * videos
        images = unit(random.standard_normal((n, 16)))
        titles = unit(random.standard_normal((n, 8)))
        quality = images @ np.eye(16)[0] * np.sqrt(16)
        corpus = pd.DataFrame(
            {
                "video_id": [f"v{i}" for i in range(n)],
                "niche": np.where(np.arange(n) % 2, "tech", "news"),
                "channel_id": np.repeat([f"c{i}" for i in range(channels)], videos),
                "published_at": pd.Timestamp("2026-01-01", tz="UTC")
                + pd.to_timedelta(np.tile(np.arange(videos), channels) * 12.0, unit="h"),
                "duration_s": random.integers(200, 2_000, n),
                "age_hours": random.uniform(100, 2_000, n),
                "era": "playback_start",
                "title": [f"Video {i}" for i in range(n)],
                "learnt": True,
                "sha256": [f"{i:064d}" for i in range(n)],
                "phash": np.random.default_rng(seed).integers(-(2**63), 2**63, n),
                "target": signal * quality + noise * random.standard_normal(n),
                **columns,
            }
        )
        corpus["observed_at"] = corpus.published_at + pd.to_timedelta(corpus.age_hours, unit="h")
        corpus["views"] = np.exp(corpus.target + Growth().log_share(corpus.age_hours))
        corpus["part"] = pairs.split_by_time(corpus)
        corpus["fold"] = pairs.split_by_channel(corpus)
        pair_table = pairs.pair_up(corpus, 30.0)
        as_of = corpus.observed_at.max().isoformat()
        info = {"image_encoder": "i", "title_encoder": "t", "age_exponent": 0.0, "inputs": str(seed), "as_of": as_of}
        store = ReleaseStore(tmp_path_factory.mktemp("pairs"))
        snapshot = Snapshot(images, titles, random.random((n, 6)).astype(np.float32))
        release = store.publish("pairs", "all", pairs._writer(corpus, pair_table, snapshot), info)
        return Dataset(release, corpus, pair_table, images, titles, snapshot.sub_scores)

    return make
