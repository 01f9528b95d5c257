"""Compare the last day or week of each niche with the weeks before: observations, downloads, vectors and sub-scores."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, text

from thumblab_core.database.library_rows import read_vectors
from thumblab_core.database.tables import embeddings, thumbnails, videos, visual_features
from thumblab_core.encoders.load import image_encoder
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.features.sub_scores import meter_version
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.lab_checks.drift import LEAST, LEAST_CHANNELS, kolmogorov_smirnov, separability

WEEKS = 4
"""The last day or week is compared with this number of earlier weeks."""

LEAST_SHARE = 0.5
"""Minimum number of observations on the last day, divided by the number on a median day of the weeks before."""

LEAST_DAYS = 7
"""The last day is compared with at least this number of earlier days. A niche with fewer days is not checked."""

MOST_FAILED = 0.2
"""Maximum share of last week's downloads that may fail. The download of a deleted video counts as failed."""

LEAST_DOWNLOADS = 20

MOST_SEPARABLE = 0.75
"""Maximum accepted AUC of a classifier that separates new vectors from old vectors.

The limit was chosen on 459 real thumbnails of 371 channels, with the built-in encoder. When 60 consecutive thumbnails
were compared with the 240 thumbnails before them, the AUC was 0.51 to 0.69. When the 60 thumbnails were darkened by 30
%, the AUC was 0.76 to 0.81. Blurring, swapped colours and strong compression stay below the limit, so the check does
not find these changes.
"""

MOST_APART = 0.4
"""Maximum Kolmogorov-Smirnov distance between the values of a sub-score last week and in the weeks before.

The limit was chosen on 250 real thumbnails. When 50 consecutive thumbnails were compared with the thumbnails before
them, the largest distance of any sub-score was 0.21 to 0.38. When the 50 thumbnails were darkened by 40 %, the largest
distance was 0.42. When the 50 thumbnails were enlarged from 120 pixels, the largest distance was 0.93.
"""

_OBSERVED = text("""
    SELECT v.niche, floor(extract(epoch FROM :now - s.observed_at) / 86400)::int AS days_ago, count(*) AS observations
    FROM video_stats s JOIN videos v USING (video_id)
    WHERE v.source = 'youtube' AND v.niche = ANY(:niches) AND s.observed_at > :since AND s.observed_at <= :now
    GROUP BY 1, 2
""")


def check_observations(lab: Lab, now: datetime | None = None) -> CheckResult:
    """Check that each niche got about as many observations in the last 24 hours as on a usual day of the weeks
    before.

    Retired niches are left out, because the lab observes them only before their facts are too old.
    """
    now = now or datetime.now(UTC)
    days: dict[str, dict[int, int]] = {}
    with lab.engine.connect() as connection:
        since = now - timedelta(days=1 + 7 * WEEKS)
        for row in connection.execute(_OBSERVED, {"now": now, "since": since, "niches": list(lab.niches)}):
            days.setdefault(row.niche, {})[row.days_ago] = row.observations
    figures: dict[str, float] = {}
    low = []
    for niche, counts in days.items():
        earlier = [counts.get(day, 0) for day in range(1, max(counts) + 1)]
        if len(earlier) < LEAST_DAYS:
            continue
        last, usual = counts.get(0, 0), median(earlier)
        figures |= {f"{niche}_last_day": last, f"{niche}_median_day": usual}
        if last < LEAST_SHARE * usual:
            low.append(f"{niche}: {last} observations in the last 24 hours, {usual:g} on a median day")
    return _verdict("as_many_as_usual", low, figures, "niches with a week of observations or more", len(figures) // 2)


def check_downloads(lab: Lab, now: datetime | None = None) -> CheckResult:
    """Check that few of last week's downloads of thumbnails failed. A niche with too few downloads is not checked."""
    since = (now or datetime.now(UTC)) - timedelta(days=7)
    statement = (
        select(videos.c.niche, func.count().label("downloads"), func.count(thumbnails.c.problem).label("failed"))
        .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
        .where(thumbnails.c.checked_at > since, videos.c.niche.in_(lab.niches))
        .group_by(videos.c.niche)
    )
    figures: dict[str, float] = {}
    bad = []
    with lab.engine.connect() as connection:
        for row in connection.execute(statement):
            if row.downloads < LEAST_DOWNLOADS:
                continue
            share = row.failed / row.downloads
            figures[f"{row.niche}_failed_share"] = share
            if share > MOST_FAILED:
                bad.append(f"{row.niche}: {row.failed} of {row.downloads} downloads failed")
    return _verdict("downloads_succeed", bad, figures, f"niches with {LEAST_DOWNLOADS} downloads or more", len(figures))


def check_vectors(lab: Lab, now: datetime | None = None) -> CheckResult:
    """Check that no classifier can separate the vectors of last week's videos from the vectors of the weeks before."""
    encoder = image_encoder(lab.settings).fingerprint
    current = and_(
        embeddings.c.video_id == thumbnails.c.video_id,
        embeddings.c.source_digest == thumbnails.c.sha256,
        embeddings.c.encoder == encoder,
    )
    vector = func.vector_send(embeddings.c.vector).label("vector")

    def apart(old: Sequence[Any], new: Sequence[Any]) -> Mapping[str, float]:
        sides = [(read_vectors([row.vector for row in side]), [row.channel_id for row in side]) for side in (old, new)]
        (old_vectors, old_channels), (new_vectors, new_channels) = sides
        return {"auc": separability(old_vectors, new_vectors, old_channels, new_channels)}

    return _drift(lab, now, (embeddings, current, [vector]), apart, ("vectors_as_before", MOST_SEPARABLE))


def check_sub_scores(lab: Lab, now: datetime | None = None) -> CheckResult:
    """Check that each sub-score has about the same distribution in last week's videos as in the weeks before."""
    current = and_(
        visual_features.c.video_id == thumbnails.c.video_id,
        visual_features.c.sha256 == thumbnails.c.sha256,
        visual_features.c.version == meter_version(lab),
    )

    def apart(old: Sequence[Any], new: Sequence[Any]) -> Mapping[str, float]:
        found = {}
        for name in NAMES:
            values = [[value for row in side if (value := getattr(row, name)) is not None] for side in (old, new)]
            if min(map(len, values)) >= LEAST:
                found[name] = kolmogorov_smirnov(*values)
        return found

    columns = [visual_features.c[name] for name in NAMES]
    return _drift(lab, now, (visual_features, current, columns), apart, ("sub_scores_as_before", MOST_APART))


def _drift(
    lab: Lab,
    now: datetime | None,
    source: tuple[Any, ColumnElement[bool], Sequence[Any]],
    apart: Callable[[Sequence[Any], Sequence[Any]], Mapping[str, float]],
    check: tuple[str, float],
) -> CheckResult:
    """Compare last week's videos with videos of the weeks before, in each niche with enough new and old videos.

    `source`: a table, the condition that joins it with `thumbnails`, and its columns. `apart`: a function that returns
    the distances between old and new rows, by name. `check`: the name of the check, and the largest distance that it
    accepts.
    """
    now = now or datetime.now(UTC)
    week = timedelta(days=7)
    table, join, columns = source
    figures: dict[str, float] = {}
    far, compared = [], 0
    for niche in lab.niches:
        statement = (
            select(videos.c.channel_id, videos.c.collected_at, *columns)
            .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
            .join(table, join)
            .where(videos.c.niche == niche, videos.c.collected_at > now - (WEEKS + 1) * week)
            .order_by(videos.c.video_id)
        )
        with lab.engine.connect() as connection:
            rows = connection.execute(statement).all()
        new = [row for row in rows if row.collected_at > now - week]
        old = [row for row in rows if row.collected_at <= now - week]
        channels = [len({row.channel_id for row in side}) for side in (old, new)]
        if min(len(old), len(new)) < LEAST or min(channels) < LEAST_CHANNELS:
            continue
        compared += 1
        for name, distance in apart(old, new).items():
            figures[f"{niche}_{name}"] = round(distance, 4)
            if distance > check[1]:
                far.append(f"{niche}: {name} is {distance:.2f}, above {check[1]:g}")
    counted = f"niches with {LEAST} videos of {LEAST_CHANNELS} channels in the last week and before"
    if figures:
        figures["worst"] = max(figures.values())
    return _verdict(check[0], far, figures, counted, compared)


def _verdict(name: str, bad: Sequence[str], figures: Mapping[str, float], counted: str, number: int) -> CheckResult:
    """Return an advisory check. It passes if `bad` is empty. Otherwise it fails, and its explanation consists of the
    sentences `bad`.

    The explanation of a passed check gives the `number` of things that were compared. `counted`: what these things are.
    """
    good = f"{number} {counted}, and none stands out" if number else f"nothing to compare: no {counted}"
    return CheckResult(name, not bad, "; ".join(bad) or good, advisory=True, figures=figures)
