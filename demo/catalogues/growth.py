"""Compute the views of a video at an age. Views grow fast at first, and hardly at all after some weeks."""

from datetime import datetime

from demo.catalogues.source import CatalogueVideo

GROWTH_DAYS = 3.0
"""The age at which a video has half of its final views."""

_YOUNGEST_DAYS = 1 / 1440
"""The smallest age that is used, one minute. At age 0 a video would have no views, and `views_at` would divide by 0."""


def growth(age_days: float) -> float:
    """Return the fraction of a video's final views that the video has at an age: age / (age + `GROWTH_DAYS`)."""
    return age_days / (age_days + GROWTH_DAYS)


def views_at(video: CatalogueVideo, observed_at: datetime, now: datetime) -> int:
    """Return the views of a video at `now`. At `observed_at`, the video had `video.views`. Views never shrink."""
    if now <= observed_at:
        return video.views
    age_observed, age_now = (
        max((moment - video.published_at).total_seconds() / 86_400, _YOUNGEST_DAYS) for moment in (observed_at, now)
    )
    return max(video.views, round(video.views * growth(age_now) / growth(age_observed)))
