"""Make library maps of any size for tests and measurements: `python -m demo.planted_map FOLDER POINTS`.

The points form clusters at random places of the map. The small pictures of the points, called tiles, have random
colours. The colours depend only on the number of the tile.
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demo.catalogues.titles import VOCABULARY
from thumblab_core.library_map.atlases import HEIGHT, WIDTH
from thumblab_core.library_map.clusters import COARSE, FINE
from thumblab_core.library_map.files import LIBRARY_MAP, MapContent, write_map
from thumblab_core.library_map.map_figures import Cluster, Growth, Multiple
from thumblab_core.library_map.points import Points
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.releases.release import ALL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.sub_scores.evidence import NAMES

CLUSTERED, FINE_IN_EACH = 24, 3
"""The number of coarse clusters, and the number of fine clusters in each coarse cluster."""
MOST_TILES = 4_096
"""The largest number of tiles. Larger maps show the same tile for many points, so that they take little space."""
FIRST_DAY, DAYS = 20_000, 700
"""The videos are published within `DAYS` days. The first of these days is `FIRST_DAY` days after 1970-01-01."""


def planted_map(count: int, scope: str = ALL, seed: int = 0) -> MapContent:
    """Return a map of `count` random points.

    About 10 % of the points are in no cluster. For another 10 %, the views and the sub-scores are unknown.
    """
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.1, 0.9, (CLUSTERED, 2))
    parts = np.clip(centres[:, None] + rng.normal(0, 0.03, (CLUSTERED, FINE_IN_EACH, 2)), 0.02, 0.98)
    cluster = rng.integers(0, CLUSTERED, count)
    fine = cluster * FINE_IN_EACH + rng.integers(0, FINE_IN_EACH, count)
    loose = rng.random(count) < 0.1
    places = parts.reshape(-1, 2)[fine] + rng.normal(0, 0.008, (count, 2))
    places = np.clip(np.where(loose[:, None], rng.random((count, 2)), places), 0, 1)
    niches = DEFAULT_NAMES if scope == ALL else (scope,)
    unknown = rng.random(count) < 0.1
    words = _words()
    picked = rng.integers(0, len(words), (count, 3))
    points = Points(
        x=places[:, 0].astype(np.float32),
        y=places[:, 1].astype(np.float32),
        video_id=[f"planted{number:07d}" for number in range(count)],
        title=[" ".join(words[number] for number in row) for row in picked],
        channel=[f"Channel {number}" for number in rng.integers(0, max(1, count // 40), count)],
        niche=[niches[number % len(niches)] for number in cluster],
        published_day=(FIRST_DAY + rng.integers(0, DAYS, count)).astype(np.int32),
        outlier_multiple=_known(np.exp(rng.normal(0.05 * (cluster - CLUSTERED / 2), 0.8)), unknown),
        views_per_hour=_known(np.exp(rng.normal(3.0, 2.0, count)), unknown),
        cluster=np.where(loose, -1, cluster).astype(np.int32),
        fine_cluster=np.where(loose, -1, fine).astype(np.int32),
        sub_scores={name: _known(rng.beta(2.0, 2.0, count), unknown) for name in NAMES},
        tile=(np.arange(count) % MOST_TILES).astype(np.int32),
    )
    pictures = [f"{number:064x}" for number in range(min(count, MOST_TILES))]
    return MapContent(points, _clusters(points, rng), pictures)


def publish_planted_map(store: ReleaseStore, count: int, scope: str = ALL, seed: int = 0) -> Release:
    """Publish and promote a map of random points, and return its release."""
    content = planted_map(count, scope, seed)
    info = {"inputs": f"planted/{count}/{seed}", "videos": count, "clusters": len(content.clusters)}
    release = store.publish(LIBRARY_MAP, scope, lambda folder: write_map(folder, content, planted_tile), info)
    store.serving.promote(release)
    return release


def planted_tile(picture: str) -> npt.NDArray[np.uint8]:
    """Return the tile for a picture: a rectangle with a frame.

    `picture` is the picture's number in hexadecimal digits. The number determines the two colours of the tile.
    """
    colours = np.random.default_rng(int(picture, 16)).integers(0, 256, (2, 3), dtype=np.uint8)
    tile = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    tile[:] = colours[0]
    tile[18:-18, 32:-32] = colours[1]
    return tile


def _known(values: npt.NDArray[np.float64], unknown: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    return np.where(unknown, np.nan, values).astype(np.float32)


def _words() -> list[str]:
    """Return the topics of the demo's titles, each once."""
    return sorted({topic for vocabulary in VOCABULARY.values() for topic in vocabulary.topics})


def _clusters(points: Points, rng: np.random.Generator) -> list[Cluster]:
    """Return the clusters that have points."""
    words = _words()
    made = []
    for level, ids in ((COARSE, points.cluster), (FINE, points.fine_cluster)):
        for number in np.unique(ids[ids >= 0]).tolist():
            rows = np.flatnonzero(ids == number)
            weeks = tuple(int(week) for week in rng.integers(0, 40, 12))
            rising = number % 8 == 0
            made.append(
                Cluster(
                    level=level,
                    id=number,
                    parent=None if level == COARSE else number // FINE_IN_EACH,
                    label=tuple(words[(number * 5 + offset) % len(words)] for offset in range(3)),
                    traits=("Less text than elsewhere",) if number % 2 else ("Stronger contrast than elsewhere",),
                    medoid=points.video_id[rows[0]],
                    x=float(points.x[rows].mean()),
                    y=float(points.y[rows].mean()),
                    videos=len(rows),
                    channels=len({points.channel[row] for row in rows.tolist()}),
                    outlier_multiple=Multiple(median=1.1, low=0.8, high=1.5, videos=len(rows)),
                    growth=Growth(
                        weeks=weeks,
                        recent=sum(weeks[-4:]),
                        before=sum(weeks[:-4]),
                        ratio=1.6 if rising else 1.0,
                        low=1.2 if rising else 0.7,
                        high=2.1 if rising else 1.4,
                        rising=rising,
                    ),
                )
            )
    return made


if __name__ == "__main__":
    published = publish_planted_map(ReleaseStore(Path(sys.argv[1])), int(sys.argv[2]))
    print(published.path)
