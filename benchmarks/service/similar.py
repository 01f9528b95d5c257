"""Measure `GET /v1/similar` over HTTP for a known video in a large library, and print the recall of the release.

    python -m benchmarks.service.similar [--videos 100000] [--requests 300]

The vectors have 768 dimensions, and are spread like the vectors of CLIP. The release names the built-in encoder, but
nothing is encoded, because the query is the stored vector of a video. One client sends all requests over one
connection. The processor time is measured for the whole service.
"""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.autofaiss_search import Space
from benchmarks.service.lab import KEY, NICHE, make_lab
from benchmarks.service.measure import Server, running
from thumblab_core.encoders.load import image_encoder
from thumblab_core.index import Item, NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings

_WARM = 30
_KINDS = {
    "default": {},
    "nearest first": {"diversity": 0},
    "with a filter": {"min_outlier_multiple": 3},
    "100 thumbnails": {"k": 100},
}
"""The measured kinds of requests by name, each with its query parameters."""


def plant(settings: Settings, count: int) -> NicheIndex:
    """Publish and promote a library index of `count` planted vectors, and return the index."""
    vectors = Space().draw(count)
    items = [
        Item(
            video_id=f"{n:011d}",
            title=f"The title of the video {n}",
            channel=f"Channel {n % 999}",
            url=f"https://i.ytimg.com/vi/{n:011d}/maxresdefault.jpg",
            views_per_hour=float(n % 777),
            outlier_multiple=n % 50 / 10,
            published_on=date(2026, 1, 1) + timedelta(days=n % 300),
            views=n,
            channel_id=f"UC{n % 999}",
        )
        for n in range(count)
    ]
    index = NicheIndex.build(vectors, items, image_encoder(settings).fingerprint)
    store = ReleaseStore(settings.releases)
    info = index.describe() | {"encoder_name": settings.image_encoder}
    store.serving.promote(store.publish(INDEX, NICHE, index.save, info))
    return index


def timed(server: Server, ids: Sequence[str], **options: float) -> tuple[list[float], float]:
    """Return the milliseconds of each request, and the mean processor time of a request in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    times: list[float] = []
    used = 0.0
    for number, video_id in enumerate(ids):
        if number == _WARM:
            used = server.used()
        start = time.perf_counter()
        query = urlencode({"video_id": video_id, "niche": NICHE, **options})
        connection.request("GET", f"/v1/similar?{query}", headers={"X-API-Key": KEY})
        reply = connection.getresponse()
        body = reply.read()
        times.append((time.perf_counter() - start) * 1000)
        if reply.status != http.client.OK or not json.loads(body)["items"]:
            raise RuntimeError(f"status {reply.status}: {body[:200]!r}")
    connection.close()
    return times[_WARM:], (server.used() - used) * 1000 / len(times[_WARM:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=100_000, help="size of the library")
    parser.add_argument("--requests", type=int, default=300, help="measured requests of each kind")
    chosen = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        settings = make_lab(Path(folder), "builtin")
        index = plant(settings, chosen.videos)
        what = f"{chosen.videos:,} videos, {index.kind.factory}, recall {index.kind.recall:.3f}"
        title = f"GET /v1/similar of a known video, {what}"
        table = Table(
            "request", "p50, ms", "p99, ms", "processor, ms", title=title, title_justify="left", box=SIMPLE_HEAD
        )
        random = np.random.default_rng(1)
        with running("served", folder, "builtin") as server:
            for kind, options in _KINDS.items():
                rows = random.integers(0, chosen.videos, chosen.requests + _WARM)
                times, used = timed(server, [index.items[row].video_id for row in rows], **options)
                p50, p99 = statistics.median(times), float(np.quantile(times, 0.99))
                table.add_row(kind, f"{p50:.1f}", f"{p99:.1f}", f"{used:.1f}")
        console.print(table)


if __name__ == "__main__":
    main()
