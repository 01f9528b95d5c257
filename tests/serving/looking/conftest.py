"""A running service with a database, a model and an index. Some videos of the database are not in the index."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from browser import Browser
from browser_fixtures import browser, opened_browser
from library_page import open_library, publish_map, requested
from sqlalchemy import Engine, create_engine, insert

from thumblab_core.database.tables import (
    channel_baselines,
    channels,
    thumbnail_versions,
    thumbnails,
    video_stats,
    videos,
)
from thumblab_core.database.vectors import save_vectors
from thumblab_core.encoders.load import named_image_encoder, title_encoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.image_store import ImageFolder
from thumblab_core.images import decode, digest
from thumblab_core.index import Item, NicheIndex
from thumblab_core.releases.release import INDEX, Release

__all__ = ["browser", "opened_browser"]

COUNT = 40
FIRST_DAY = date(2026, 9, 1)
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TITLES = ("A red car on a race track", "How to bake bread", "Unboxing the new phone", "Walking through Tokyo at night")


def item_of(n: int, prefix: str = "v", release: int = 0) -> Item:
    """Return the item of an index for the video number n.

    The item contains the number `release`, so that a test can distinguish releases.
    """
    return Item(
        video_id=f"{prefix}{n}",
        title=f"{TITLES[n % len(TITLES)]} {n}",
        channel=f"Channel {n % 4}",
        url=f"https://i.ytimg.com/vi/{prefix}{n}/{release}.jpg",
        views_per_hour=10.0 * n,
        outlier_multiple=None if n % 10 == 9 else n / 10,
        published_on=FIRST_DAY + timedelta(days=n),
        views=1_000 * n + release,
        channel_id=f"UC{n % 4}",
    )


class Looked:
    """The lab of these tests. `vectors` [n, d] are the vectors of the drawn pictures `pictures`."""

    def __init__(self, lab: Any, draw: Callable[..., bytes], engine: Engine) -> None:
        self.lab = lab
        self.engine = engine
        self.encoder = named_image_encoder("builtin", lab.settings.releases)
        self.pictures = [draw(5_000 + n) for n in range(COUNT)]
        pixels = [decode(data, self.encoder.decode_size).pixels for data in self.pictures]
        self.vectors: Vectors = self.encoder.encode_images(pixels)
        self.items = [item_of(n) for n in range(COUNT)]

    def publish(self, numbers: list[int], niche: str = "tech", release: int = 0, prefix: str = "v") -> Release:
        items = [item_of(n, prefix, release) for n in numbers]
        index = NicheIndex.build(self.vectors[numbers], items, self.encoder.fingerprint)
        info = index.describe() | {"encoder_name": "builtin"}
        return self.lab.store.publish(INDEX, niche, index.save, info)

    def fill(self) -> None:
        """Store the videos, their views, their picture vectors and the vectors of their titles."""
        titles = title_encoder("minilm")
        with self.engine.begin() as connection:
            connection.execute(
                insert(channels),
                [{"channel_id": f"UC{n}", "title": f"Channel {n}", "handle": f"@c{n}"} for n in range(4)],
            )
            connection.execute(
                insert(channel_baselines),
                [
                    {"niche": "tech", "channel_id": "UC0", "age_band": "all", "video_count": 9}
                    | {"median_views": 500.0, "median_views_per_hour": 5.0}
                ],
            )
            connection.execute(
                insert(videos),
                [
                    {
                        "video_id": item.video_id,
                        "niche": "tech",
                        "channel_id": item.channel_id,
                        "title": item.title,
                        "published_at": datetime.combine(item.published_on or FIRST_DAY, datetime.min.time(), UTC),
                        "tags": ["tag"],
                        "thumbnail_urls": [item.url],
                        "source": "catalogue",
                        "refreshed_at": NOW,
                        "collected_at": NOW,
                    }
                    for item in self.items
                ],
            )
            connection.execute(
                insert(video_stats),
                [
                    {"video_id": item.video_id, "observed_at": at, "view_count": views, "era": "2025"}
                    for item in self.items
                    for at, views in ((NOW - timedelta(days=1), 100), (NOW, item.views))
                ],
            )
            shas = [digest(data) for data in self.pictures]
            connection.execute(
                insert(thumbnails),
                [
                    {"video_id": item.video_id, "sha256": sha, "width": 320, "height": 180}
                    | {"fetched_at": NOW, "checked_at": NOW}
                    for item, sha in zip(self.items, shas, strict=True)
                ],
            )
            sources = [(item.video_id, sha) for item, sha in zip(self.items, shas, strict=True)]
            save_vectors(connection, self.encoder.fingerprint, sources, self.vectors)
            written = [(item.video_id, digest(item.title.encode())) for item in self.items]
            save_vectors(connection, titles.fingerprint, written, titles.encode_texts([i.title for i in self.items]))


@contextmanager
def looked_lab(
    folder: Path, url: str, draw: Callable[..., bytes], lab_at: Any, run: Any, **settings: Any
) -> Iterator[Any]:
    """Run a service of a lab in `folder`. The lab's index lacks the last five videos of the database at `url`."""
    lab = lab_at(folder, database_url=url, **settings)
    engine = create_engine(url)
    data = Looked(lab, draw, engine)
    data.fill()
    release = lab.promote(data.publish(list(range(COUNT - 5))))
    lab.promote(lab.model())
    with run(lab.settings) as service:
        yield SimpleNamespace(service=service, data=data, lab=lab, engine=engine, release=release)
    engine.dispose()


@pytest.fixture(scope="module")
def looked(
    lab_at: Any,
    run: Any,
    draw: Callable[..., bytes],
    migrated_database: Callable[[], str],
    images: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("looked")
    with looked_lab(folder, migrated_database(), draw, lab_at, run, extra_image_hosts=images["host"]) as made:
        made.images = images
        yield made


@pytest.fixture(scope="session")
def library(
    lab_at: Any,
    run: Any,
    draw: Callable[..., bytes],
    migrated_database: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """A service like `looked`, with two published maps.

    The map of all niches contains only half of the videos that the map of the niche tech contains.

    All tests of the page `/library` share the service. A test may publish a map for another niche.
    """
    with looked_lab(tmp_path_factory.mktemp("library"), migrated_database(), draw, lab_at, run) as made:
        images = ImageFolder(made.lab.settings.images)
        for data in made.data.pictures:
            images.put(data)
        with made.engine.begin() as connection:
            rows = [
                ("1" * 64, "An earlier title", 9, 6),
                (digest(made.data.pictures[8]), made.data.items[8].title, 5, 0),
            ]
            connection.execute(
                insert(thumbnail_versions),
                [
                    {"video_id": "v8", "sha256": sha, "title": title}
                    | {"first_seen": NOW - timedelta(days=first), "last_seen": NOW - timedelta(days=last)}
                    for sha, title, first, last in rows
                ],
            )
        publish_map(made)
        publish_map(made, "all", range(COUNT // 2))
        yield made


@pytest.fixture
def page(browser: Browser, library: Any) -> Iterator[Browser]:
    """A browser that shows the map of tech, without stored data of earlier tests.

    The page may send requests only to the service.
    """
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    browser.size(1280)
    browser.open(f"{library.service.url}/library", ready="look")
    browser.evaluate("localStorage.clear(); sessionStorage.clear()")
    browser.leave()
    open_library(browser, library.service)
    yield browser
    assert [each for each in browser.complaints() if "/v1/" not in str(each)] == []
    assert [url for url in requested(browser) if not url.startswith((library.service.url, "blob:", "data:"))] == []
    browser.call("Emulation.setEmulatedMedia", features=[])
    browser.size(1280)
