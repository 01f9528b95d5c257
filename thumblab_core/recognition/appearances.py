"""Measure for each named person and channel how often the person is on thumbnails. Compare the views of videos whose
thumbnail shows the person with the views of other videos.

The figures do not prove that a person causes views. A person may be on the thumbnails of videos whose topic draws more
viewers.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, text

from thumblab_core.arrays import Flags, Float64s
from thumblab_core.database.tables import LATEST_STATS

LEAST_VIDEOS = 5
"""Minimum number of videos with the person, and of videos without the person. With fewer videos, their views are not
compared.
"""

_NEIGHBOURS = 10
"""A video is compared with this number of videos before it on its channel, and with the same number after it."""

_DRAWS = 2_000
_AT_ONCE = 2**19
"""Maximum number of video indices in memory at the same time. A bootstrap draw has one index for each video, so this
limit matters only for channels with many videos.
"""

NOTE = (
    "This does not show that the person is the cause: topics, titles and time differ too. Only a test of two thumbnails "
    "on one video shows a cause."
)

_THUMBNAILS = f"""
SELECT v.video_id, v.channel_id, c.title AS channel, v.published_at, s.view_count, t.sha256
FROM videos v JOIN thumbnails t USING (video_id) JOIN face_pictures p ON p.sha256 = t.sha256
JOIN channels c USING (channel_id) LEFT JOIN ({LATEST_STATS}) s USING (video_id)
WHERE p.face_count IS NOT NULL AND (CAST(:channel_id AS text) IS NULL OR v.channel_id = :channel_id)
ORDER BY v.channel_id, v.published_at, v.video_id
"""  # noqa: S608  (statements of this project)

_SEEN = """
SELECT DISTINCT a.sha256, k.cluster_key, k.name FROM face_assignments a JOIN face_clusters k USING (cluster_key)
WHERE k.name IS NOT NULL AND (CAST(:people AS text[]) IS NULL OR k.cluster_key = ANY(:people))
"""


@dataclass(frozen=True)
class Appearance:
    """How often a person is on the searched thumbnails of a channel.

    Attributes:
        key, name: the cluster key and the name of the person.
        channel_id, channel: id and title of the channel.
        thumbnails: number of thumbnails that show the person.
        searched: number of the channel's thumbnails that were searched.
        views_factor: geometric mean of the views of videos with the person, divided by the same mean of videos without
            the person. The views of each video are first divided by the median of the videos near it in time. None if
            fewer than `LEAST_VIDEOS` videos show the person, or fewer than `LEAST_VIDEOS` do not show the person.
        low, high: the ends of the 95 % interval of `views_factor`, from a bootstrap over videos.
    """

    key: str
    name: str
    channel_id: str
    channel: str
    thumbnails: int
    searched: int
    views_factor: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def share(self) -> float:
        """The share of the searched thumbnails that show the person, 0 to 1."""
        return self.thumbnails / self.searched


@dataclass(frozen=True)
class SearchedThumbnails:
    """The data in the database about the searched thumbnails of one channel or of all channels.

    Reading and computing are separate, so that no connection is in use while figures are computed.

    Attributes:
        rows: a row for each thumbnail, ordered by channel and then by publication.
        seen: the key and the name of each person on a picture, by the digest of the picture.
    """

    rows: Sequence[Row[Any]]
    seen: Mapping[str, Set[tuple[str, str]]]

    def appearances(self) -> list[Appearance]:
        """Return the appearances of each person on each channel, the most frequent first."""
        found: list[Appearance] = []
        for channel, rows in groupby(self.rows, key=lambda row: row.channel_id):
            videos = list(rows)
            views = np.array([np.nan if video.view_count is None else video.view_count for video in videos], np.float64)
            outcome = over_neighbours(np.log1p(views))
            on_each = [self.seen.get(video.sha256, frozenset()) for video in videos]
            for person in sorted(frozenset().union(*on_each)):
                shows = np.array([person in people for people in on_each], np.bool_)
                counts = int(shows.sum()), len(videos)
                of_channel = str(channel), str(videos[0].channel)
                found.append(Appearance(*person, *of_channel, *counts, *compared(outcome, shows)))
        return sorted(found, key=lambda each: (-each.thumbnails, each.name, each.channel_id))


def searched_thumbnails(
    connection: Connection, channel_id: str | None = None, people: Sequence[str] | None = None
) -> SearchedThumbnails:
    """Read the searched thumbnails and the people on them from the database.

    `channel_id`: only the thumbnails of this channel. `people`: only the people with these cluster keys.
    """
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in connection.execute(text(_SEEN), {"people": None if people is None else list(people)}):
        seen[row.sha256].add((row.cluster_key, row.name))
    return SearchedThumbnails(connection.execute(text(_THUMBNAILS), {"channel_id": channel_id}).all(), seen)


def appearances(
    connection: Connection, channel_id: str | None = None, people: Sequence[str] | None = None
) -> list[Appearance]:
    """Read and return the appearances of each person on each channel, see `searched_thumbnails`."""
    return searched_thumbnails(connection, channel_id, people).appearances()


def over_neighbours(log_views: Float64s) -> Float64s:
    """Return the log views [n] of each video minus the median log views of the videos around it. The result is NaN
    where views are unknown.

    `log_views` [n] belongs to the videos of one channel, in the order of publication. The videos around a video have a
    similar age, so old videos with many views do not count as better.
    """
    count = len(log_views)
    result = np.full(count, np.nan)
    # The videos around a video include the video itself. Its views are known here, so the median always exists.
    for place in np.flatnonzero(np.isfinite(log_views)).tolist():
        around = log_views[max(place - _NEIGHBOURS, 0) : place + _NEIGHBOURS + 1]
        result[place] = log_views[place] - np.median(around[np.isfinite(around)])
    return result


def compared(outcome: Float64s, shows: Flags) -> tuple[float | None, float | None, float | None]:
    """Return a ratio and the ends of its 95 % interval. The ratio is the views of videos that show a person, divided by
    the views of other videos.

    `outcome` [n]: log views as `over_neighbours` returns them. `shows` [n]: whether the video shows the person. All
    three results are None if there are fewer than `LEAST_VIDEOS` videos with the person, or fewer than `LEAST_VIDEOS`
    videos without the person.
    """
    known = np.isfinite(outcome)
    with_person, without = outcome[known & shows], outcome[known & ~shows]
    if min(len(with_person), len(without)) < LEAST_VIDEOS:
        return None, None, None
    rng = np.random.default_rng(7)
    means = [_drawn_means(values, rng) for values in (with_person, without)]
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    factor = with_person.mean() - without.mean()
    return float(np.exp(factor)), float(np.exp(low)), float(np.exp(high))


def _drawn_means(values: Float64s, rng: np.random.Generator) -> Float64s:
    """Draw n of the n `values` with replacement, `_DRAWS` times. Return the mean of each draw, [`_DRAWS`]."""
    count = len(values)
    rows = max(1, _AT_ONCE // count)
    sizes = [min(rows, _DRAWS - start) for start in range(0, _DRAWS, rows)]
    return np.concatenate([values[rng.integers(count, size=(size, count))].mean(axis=1) for size in sizes])
