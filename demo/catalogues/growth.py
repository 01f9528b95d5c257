"""How views come with age: quickly at first, hardly any after some weeks."""

from datetime import datetime

from demo.catalogues.source import CatalogueVideo

GROWTH_DAYS = 3.0
"""The age at which a video has half of the views it will ever have."""

_YOUNGEST_DAYS = 1 / 1440  # a video of no age would have all its growth before it


def growth(age_days: float) -> float:
    """The share of its final views that a video has at an age in days: age / (age + `GROWTH_DAYS`)."""
    return age_days / (age_days + GROWTH_DAYS)


def grown(video: CatalogueVideo, observed_at: datetime, now: datetime) -> int:
    """Views at `now` of a video that had `video.views` at `observed_at`, by the law of `growth`; never fewer than then."""
    if now <= observed_at:
        return video.views
    then, later = (
        max((moment - video.published_at).total_seconds() / 86_400, _YOUNGEST_DAYS) for moment in (observed_at, now)
    )
    return max(video.views, round(video.views * growth(later) / growth(then)))
