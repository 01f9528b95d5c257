"""Make one-video pairs of changed thumbnails, from the views that a video gained before and after the change.

Picture a of a pair is the new picture, and picture b is the old picture. Let D be the views that the video gained in an
interval before or after the change. The growth law (`thumblab_pipelines.dataset.ageing`) says which share of the final
views a video is expected to have at each age. Let S be the share that the video is expected to gain in the same
interval. Then

    excess = ln(D after / D before) - ln(S after / S before)
    gap    = excess - drift

`excess` says how much faster than expected the video gained views after the change. `drift` is the median `excess` of
videos of a similar age that changed nothing. Subtracting the drift removes the errors of the growth law. The variance
of `gap` comes from the scatter of `excess` among these unchanged videos, and from the chance in the views that the
changed video gained. This method is known as "difference in differences".

A count is used only if the lab knows which thumbnail and title the video showed at that time. So a count after the last
check of the thumbnail is not used.

A channel's owner may change a thumbnail because the video gains views too slowly. So the changed videos are not a
random sample of all videos. The pairs are not corrected for this selection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sqlalchemy import text

from thumblab_core.arrays import Float64s
from thumblab_pipelines.dataset.ageing import Growth
from thumblab_pipelines.dataset.one_video import CHANGED_THUMBNAIL
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd

WINDOW_HOURS = 14 * 24.0
"""A count is used only if it was made at most this number of hours before or after the change of the thumbnail."""

LEAST_HOURS, LEAST_GAINED = 12.0, 20
"""`LEAST_HOURS` is the minimum number of hours between the first and the last count of an interval. `LEAST_GAINED` is
the minimum number of views that the video gained between these two counts."""

LEAST_UNCHANGED = 30
"""Minimum number of values of `excess` from unchanged videos of a similar age.

With fewer values, `drift` is 0 and the variance is `ASSUMED_VARIANCE`.
"""

SIMILAR_AGE = 1.5
"""Two ages are similar if the larger age is at most this many times the smaller age."""

ASSUMED_VARIANCE = 0.5**2
"""The variance of `gap` if there are too few unchanged videos of a similar age. No measurement supports this value. The
chance in the views of the changed video is added to this variance and to `LEAST_VARIANCE`, see `Excess`."""

LEAST_VARIANCE = 0.05**2
"""Minimum variance of `gap`.

YouTube sometimes corrects view counts. So `gap` has an error even if `excess` is the same for all unchanged videos.
"""

DECIDED_AT = 1.96
"""A pair is decided if its gap is at least this many standard deviations away from 0.

The 95 % interval of a decided gap excludes 0.
"""

TITLE_TOO = "changed thumbnail with a changed title"
FEW_COUNTS = "changed thumbnail with too few counts before or after"
"""`TITLE_TOO` and `FEW_COUNTS` are reasons why a change is left out."""

_MOST_UNCHANGED = 2_000
"""Maximum number of unchanged videos that are read.

The videos are ordered by a digest of their ids, and the first videos are read. So the choice is as good as random, but
the same in every run.
"""

_MOST_MOMENTS = 3
"""Maximum number of values of `excess` from one unchanged video. Each value belongs to a different moment."""

_MAY_TRAIN = "(v.may_train IS TRUE OR v.source = 'catalogue' OR NOT :only_opted_in)"
_OF_NICHES = "v.niche = ANY(:niches)"
_HOURS = "(EXTRACT(EPOCH FROM {} - v.published_at) / 3600)::float8"
_SERIES = f"""
SELECT v.video_id, array_agg({_HOURS.format("s.observed_at")} ORDER BY s.observed_at) AS ages,
       array_agg(s.view_count::float8 ORDER BY s.observed_at) AS views, array_agg(s.era ORDER BY s.observed_at) AS eras
FROM videos v JOIN video_stats s ON s.video_id = v.video_id
WHERE s.view_count IS NOT NULL AND s.observed_at > v.published_at AND v.video_id IN ({{}}) {{}}
GROUP BY v.video_id ORDER BY v.video_id
"""  # noqa: S608  (constant expressions)
_CHANGES = f"""
SELECT n.video_id, v.channel_id, o.title AS title_b, n.title AS title_a, o.sha256 AS sha256_b, n.sha256 AS sha256_a,
       n.first_seen AS happened_at,
       {_HOURS.format("o.first_seen")} AS old_from, {_HOURS.format("o.last_seen")} AS old_until,
       {_HOURS.format("n.first_seen")} AS new_from, {_HOURS.format("n.last_seen")} AS new_until
FROM (SELECT *, lag(first_seen) OVER (PARTITION BY video_id ORDER BY first_seen) AS before
      FROM thumbnail_versions) n
JOIN thumbnail_versions o ON o.video_id = n.video_id AND o.first_seen = n.before
JOIN videos v ON v.video_id = n.video_id
WHERE o.sha256 <> n.sha256 AND v.format = 'video' AND {_MAY_TRAIN} AND {_OF_NICHES}
ORDER BY n.video_id, n.first_seen
"""  # noqa: S608  (constant expressions)
_CHANGED_VIDEOS = f"""
SELECT video_id FROM thumbnail_versions JOIN videos v USING (video_id) WHERE {_OF_NICHES}
GROUP BY video_id HAVING count(*) > 1
"""  # noqa: S608  (constant expressions)
_WHILE_SEEN = """
AND EXISTS (SELECT FROM thumbnail_versions n
            WHERE n.video_id = s.video_id AND s.observed_at BETWEEN n.first_seen AND n.last_seen)
"""
_UNCHANGED_VIDEOS = f"""
SELECT v.video_id FROM videos v
JOIN (SELECT video_id FROM thumbnail_versions GROUP BY video_id HAVING count(*) = 1) same ON same.video_id = v.video_id
JOIN (SELECT s.video_id FROM video_stats s WHERE s.view_count IS NOT NULL {_WHILE_SEEN}
      GROUP BY s.video_id HAVING count(*) > 3) counted ON counted.video_id = v.video_id
WHERE v.format = 'video' AND {_MAY_TRAIN} AND {_OF_NICHES} ORDER BY md5(v.video_id) LIMIT {_MOST_UNCHANGED}
"""  # noqa: S608  (constant expressions)


class Excess(NamedTuple):
    """The `excess` of a video, see the docstring of this module.

    `chance` is the variance that chance alone causes. A number of gained views has about the variance of a Poisson
    distribution, so its logarithm has the variance 1 / gained views.
    """

    value: float
    chance: float


@dataclass(frozen=True)
class Counts:
    """The counts of one video: its age in hours [c], its views [c] and the definition of a view [c] at each count."""

    ages: Float64s
    views: Float64s
    eras: tuple[str, ...]

    def excess(self, growth: Growth, before: tuple[float, float], after: tuple[float, float]) -> Excess | None:
        """Return the `excess` of the video.

        `before` and `after` are the intervals before and after the change. An interval is a first and a last age in
        hours.

        Return None in these cases: the first and the last count of an interval are less than `LEAST_HOURS` apart; the
        video gained fewer than `LEAST_GAINED` views between these counts; the counts follow different definitions of a
        view.
        """
        gained, shares = [], []
        used: set[str] = set()
        for start, end in (before, after):
            rows = np.flatnonzero((self.ages >= start) & (self.ages <= end))
            if len(rows) < 2 or self.ages[rows[-1]] - self.ages[rows[0]] < LEAST_HOURS:
                return None
            ends = rows[[0, -1]]
            used.update(self.eras[row] for row in ends)
            gained.append(float(np.diff(self.views[ends])[0]))
            shares.append(float(np.diff(np.exp(growth.log_share(self.ages[ends])))[0]))
        if min(gained) < LEAST_GAINED or len(used) > 1:
            return None
        value = float(np.log(gained[1] / gained[0]) - np.log(shares[1] / shares[0]))
        return Excess(value, 1 / gained[0] + 1 / gained[1])

    def moments(self) -> list[tuple[float, float]]:
        """Return the moments at which this unchanged video is treated as if it had changed its thumbnail.

        Each moment is a pair of ages in hours: at the last count before the moment, and at the first count after it.
        """
        rows = np.arange(1, len(self.ages) - 2)
        chosen = rows if len(rows) <= _MOST_MOMENTS else rows[np.linspace(0, len(rows) - 1, _MOST_MOMENTS).astype(int)]
        return [(float(self.ages[row]), float(self.ages[row + 1])) for row in chosen]


@dataclass(frozen=True)
class Unchanged:
    """The values of `excess` [p] of videos whose thumbnail did not change, and the videos' ages [p] in hours.

    `chance` [p]: see `Excess`.
    """

    ages: Float64s
    excess: Float64s
    chance: Float64s

    @classmethod
    def of(cls, videos: Sequence[Counts], growth: Growth) -> Unchanged:
        found = []
        for video in videos:
            for last_before, first_after in video.moments():
                before, after = (last_before - WINDOW_HOURS, last_before), (first_after, first_after + WINDOW_HOURS)
                excess = video.excess(growth, before, after)
                if excess is not None:
                    found.append((first_after, *excess))
        return cls(*np.array(found, np.float64).reshape(-1, 3).T)

    def near(self, age: float) -> tuple[float, float]:
        """Return `drift` for a video that changed its thumbnail at `age` hours, and the variance of `gap` without the
        chance in the views of this video.

        `drift` is the median `excess` of unchanged videos of a similar age. The variance is estimated from the median
        absolute deviation of these values, as for a normal distribution. The chance in the views of the unchanged
        videos is subtracted. The variance is at least `LEAST_VARIANCE`. With fewer than `LEAST_UNCHANGED` values,
        return 0 and `ASSUMED_VARIANCE`.
        """
        near = np.abs(np.log(self.ages / age)) <= np.log(SIMILAR_AGE)
        if near.sum() < LEAST_UNCHANGED:
            return 0.0, ASSUMED_VARIANCE
        drift = float(np.median(self.excess[near]))
        scatter = float(1.4826 * np.median(np.abs(self.excess[near] - drift))) ** 2
        return drift, max(scatter - float(np.median(self.chance[near])), LEAST_VARIANCE)


@dataclass(frozen=True)
class Changes:
    """The changed thumbnails of the lab, the view counts of their videos, and the view counts of unchanged videos.

    `rows` has a row for each change. `counts` has the counts of each changed video, by the id of the video.
    """

    rows: pd.DataFrame
    counts: dict[str, Counts]
    unchanged: tuple[Counts, ...]

    @property
    def inputs(self) -> list[Any]:
        """All values from which the pairs are made. A release records a digest of these values."""
        counts = [*self.counts.values(), *self.unchanged]
        return [self.rows.to_csv(index=False), [[c.ages.tolist(), c.views.tolist(), c.eras] for c in counts]]

    def pairs(self, growth: Growth) -> tuple[pd.DataFrame, dict[str, int]]:
        """Return the one-video pairs, and how many changes were left out for each reason.

        The pairs still lack the columns `words_a`, `words_b`, `part` and `fold`.
        """
        import pandas as pd

        unchanged = Unchanged.of(self.unchanged, growth)
        left_out = {TITLE_TOO: 0, FEW_COUNTS: 0}
        pairs = []
        rows: Any = self.rows.itertuples()
        for row in rows:
            before = max(row.old_from, row.old_until - WINDOW_HOURS), row.old_until
            after = row.new_from, min(row.new_until, row.new_from + WINDOW_HOURS)
            counts = self.counts.get(str(row.video_id))
            excess = None if counts is None else counts.excess(growth, before, after)
            if row.title_a != row.title_b:
                left_out[TITLE_TOO] += 1
            elif excess is None:
                left_out[FEW_COUNTS] += 1
            else:
                drift, variance = unchanged.near(row.new_from)
                pairs.append(_row(row, excess.value - drift, variance + excess.chance))
        return pd.DataFrame(pairs), {reason: count for reason, count in left_out.items() if count}


def read_changes(lab: Lab) -> Changes:
    """Read the changed thumbnails of the videos that a model may be trained on, and the counts that the pairs need.
    Videos of retired niches are left out.
    """
    import pandas as pd

    niches = list(lab.niches)
    given = {"only_opted_in": lab.settings.train_only_on_opted_in, "niches": niches}
    with lab.engine.connect() as connection:
        result = connection.execute(text(_CHANGES), given)
        rows = pd.DataFrame(result.all(), columns=list(result.keys()))
        if rows.empty:
            return Changes(rows, {}, ())
        changed = connection.execute(text(_SERIES.format(_CHANGED_VIDEOS, "")), {"niches": niches}).all()
        unchanged = connection.execute(text(_SERIES.format(_UNCHANGED_VIDEOS, _WHILE_SEEN)), given).all()
    return Changes(rows, {row.video_id: _counts(row) for row in changed}, tuple(_counts(row) for row in unchanged))


def _counts(row: Any) -> Counts:
    return Counts(np.array(row.ages, np.float64), np.array(row.views, np.float64), tuple(row.eras))


def _row(change: Any, gap: float, variance: float) -> dict[str, Any]:
    # The database gives moments in the time zone of its server. The id of a pair must not depend on this time zone.
    happened_at = change.happened_at.astimezone(UTC)
    return {
        "pair_id": f"change {change.video_id}: {happened_at.isoformat()}",
        "channel_id": change.channel_id,
        "video_id": change.video_id,
        "source": CHANGED_THUMBNAIL,
        "happened_on": happened_at.date(),
        "title_a": change.title_a,
        "title_b": change.title_b,
        "gap": gap,
        "variance": variance,
        "decided": abs(gap) >= DECIDED_AT * np.sqrt(variance),
        "sha256_a": change.sha256_a,
        "sha256_b": change.sha256_b,
    }
