"""Make a lab with many synthetic videos in an embedded PostgreSQL server, as if the lab had crawled and encoded them.

A channel has 133 videos, published 18 hours apart, so the number of channels grows with the number of videos. Half of
the videos have one view count each, and the other half have six view counts each. The views of a video depend on its
channel, its age, its picture and the words of its title. The vectors of pictures have 768 dimensions. They come from
the same generator as the vectors of the benchmark's module `vectors`. The vectors of titles have 384 random numbers.
Nothing is downloaded or encoded.

The rows are written with COPY. No column of a row depends on the time at which the benchmark runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from thumblab_core.arrays import Float64s
    from thumblab_core.settings import Settings
    from thumblab_pipelines.lab import Lab

NOW = datetime(2026, 8, 1, tzinfo=UTC)
"""The time of the newest observation. YouTube changed the definition of a view later, in August 2026."""

_OF_CHANNEL = 133
_HOURS_APART = 18.0
_AGES = (20.0, 30.0, 65.0, 90.0, 160.0, 190.0)
"""The ages in hours at which half of the videos have a view count, in addition to the count at `NOW`."""
_TITLE_DIMENSION = 384
_VOCABULARY = 5_000
_BLOCK = 10_000
"""Number of videos that are written at a time."""


def settings_of(folder: Path) -> Settings:
    """Return the settings of the synthetic lab in `folder`."""
    from thumblab_core.settings import Settings

    return Settings(_env_file=None, data_dir=folder / "lab", image_encoder="builtin")


@contextmanager
def planted(size: int, folder: Path) -> Iterator[Lab]:
    """Yield the lab of `size` videos in `folder`. Its database server is stopped after the `with` block."""
    from thumblab_core.embedded_postgres import server
    from thumblab_pipelines.lab import Lab

    settings = settings_of(folder)
    lab = Lab.open(settings)
    try:
        yield lab
    finally:
        lab.engine.dispose()
        server.stop(settings, force=True)


def plant(size: int, folder: Path) -> None:
    """Make the lab in `folder` if it is missing.

    The file `planted` is written last. If the file is missing, an earlier run was stopped, and the lab is made again.
    """
    import shutil

    mark = folder / "planted"
    if mark.exists():
        return
    shutil.rmtree(folder / "lab", ignore_errors=True)
    # If root starts the embedded server, the server runs as another user. This user must be able to enter the folder.
    folder.chmod(0o755)
    with planted(size, folder) as lab:
        _write(lab, size)
    mark.touch()


def _write(lab: Lab, size: int) -> None:
    from benchmarks.autofaiss_search import Space
    from thumblab_core.encoders.load import image_encoder, title_encoder

    random, space = np.random.default_rng(3), Space()
    names = image_encoder(lab.settings).fingerprint, title_encoder(lab.settings.title_encoder).fingerprint
    taste = random.standard_normal(768) / 768**0.5
    word_effects = 0.2 * random.standard_normal(_VOCABULARY)
    channels = -(-size // _OF_CHANNEL)
    levels = random.normal(9.0, 1.0, channels)
    niches = lab.niches
    connection: Any = lab.engine.raw_connection()
    with connection.cursor() as cursor:
        rows = ((f"UC{number:022d}", f"Channel {number}", 100_000, NOW) for number in range(channels))
        _copy(cursor, "channels (channel_id, title, subscriber_count, refreshed_at)", rows)
        for start in range(0, size, _BLOCK):
            numbers = np.arange(start, min(start + _BLOCK, size))
            images = space.draw(len(numbers))
            words = (_VOCABULARY * random.random((len(numbers), 8)) ** 2).astype(np.intp)
            quality = (
                12 * (images @ taste) + word_effects[words].sum(axis=1) + 0.8 * random.standard_normal(len(numbers))
            )
            videos = _Videos(numbers, niches, words, np.exp(levels[numbers // _OF_CHANNEL] + quality))
            videos.copy(cursor, random)
            titles = random.standard_normal((len(numbers), _TITLE_DIMENSION), np.float32)
            titles /= np.linalg.norm(titles, axis=1, keepdims=True)
            _copy_vectors(cursor, names[0], videos.ids, videos.pictures, images)
            _copy_vectors(cursor, names[1], videos.ids, videos.title_digests, titles)
        connection.commit()
    connection.close()
    with lab.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as analysing:
        analysing.exec_driver_sql("VACUUM ANALYZE")


class _Videos:
    """A block of synthetic videos, and the rows that describe them."""

    def __init__(
        self, numbers: np.ndarray[Any, Any], niches: Sequence[str], words: np.ndarray[Any, Any], final_views: Float64s
    ) -> None:
        from thumblab_core.images import digest

        self.ids = [f"v{number:010d}" for number in numbers]
        self.numbers, self.final_views = numbers, final_views
        self.channels = [f"UC{number // _OF_CHANNEL:022d}" for number in numbers]
        self.niches = [niches[number // _OF_CHANNEL % len(niches)] for number in numbers]
        self.titles = [" ".join(f"word{word}" for word in of_title) for of_title in words]
        self.pictures = [digest(video_id.encode()) for video_id in self.ids]
        self.title_digests = [digest(title.encode()) for title in self.titles]
        # The newest video of a channel is two days old.
        self.age_hours = 48.0 + _HOURS_APART * (_OF_CHANNEL - 1 - numbers % _OF_CHANNEL)

    def copy(self, cursor: Any, random: np.random.Generator) -> None:
        published = [NOW - timedelta(hours=float(age)) for age in self.age_hours]
        seconds = random.integers(120, 1_800, len(self.ids)).tolist()
        _copy(
            cursor,
            "videos (video_id, niche, channel_id, title, published_at, duration_s, aspect_ratio, tags, source,"
            " collected_at, refreshed_at, may_train)",
            (
                (video_id, niche, channel, title, at, duration, 16 / 9, [], "youtube", NOW, NOW, True)
                for video_id, niche, channel, title, at, duration in zip(
                    self.ids, self.niches, self.channels, self.titles, published, seconds, strict=True
                )
            ),
        )
        hashes = random.integers(-(2**62), 2**62, len(self.ids)).tolist()
        shown = list(zip(self.ids, self.pictures, hashes, published, self.titles, strict=True))
        _copy(
            cursor,
            "thumbnails (video_id, sha256, phash, fetched_at, checked_at)",
            ((video_id, picture, phash, NOW, NOW) for video_id, picture, phash, _, _ in shown),
        )
        _copy(
            cursor,
            "thumbnail_versions (video_id, first_seen, last_seen, sha256, phash, title)",
            ((video_id, at, NOW, picture, phash, title) for video_id, picture, phash, at, title in shown),
        )
        scores = random.random((len(self.ids), 6)).tolist()
        _copy(
            cursor,
            "visual_features (video_id, sha256, version, clarity, prominence, contrast, emotion, hierarchy,"
            " title_match, evidence)",
            (
                (video_id, picture, "1", *of_picture, f'{{"texts": [{{"text": "{title.split()[0]}"}}]}}')
                for (video_id, picture, _, _, title), of_picture in zip(shown, scores, strict=True)
            ),
        )
        _copy(cursor, "video_stats (video_id, observed_at, view_count, era)", self._counts(published))

    def _counts(self, published: Sequence[datetime]) -> Iterator[tuple[Any, ...]]:
        for row, (video_id, at) in enumerate(zip(self.ids, published, strict=True)):
            newest = float(self.age_hours[row])
            ages = [age for age in _AGES if age < newest] if self.numbers[row] % 2 else []
            for age in (*ages, newest):
                views = int(self.final_views[row] * age / (age + 48.0)) + 1
                yield video_id, at + timedelta(hours=age), views, "qualified"


def observe_again(lab: Lab, every: int) -> None:
    """Add a view count to one in `every` videos, such as one in 100. The new count is observed an hour after `NOW`."""
    from sqlalchemy import text

    later = text("""
        INSERT INTO video_stats (video_id, observed_at, view_count, era)
        SELECT video_id, CAST(:at AS timestamptz), max(view_count) + 1, 'qualified' FROM video_stats
        WHERE CAST(substr(video_id, 2) AS bigint) % :every = 0 GROUP BY video_id
        ON CONFLICT DO NOTHING
    """)
    with lab.engine.begin() as connection:
        connection.execute(later, {"at": NOW + timedelta(hours=1), "every": every})


def _copy(cursor: Any, target: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with cursor.copy(f"COPY {target} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _copy_vectors(cursor: Any, encoder: str, ids: Sequence[str], sources: Sequence[str], vectors: Any) -> None:
    header = struct.pack(">hh", vectors.shape[1], 0)
    with cursor.copy("COPY embeddings (video_id, encoder, source_digest, vector) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(("text", "text", "text", "bytea"))
        for video_id, source, row in zip(ids, sources, vectors.astype(">f4"), strict=True):
            copy.write_row((video_id, encoder, source, header + row.tobytes()))
