"""Say where and in which language YouTube is searched for a niche, and how many pages are read."""

from thumblab_core.niches import Niche
from thumblab_core.settings import Settings

PAGE_SIZE = 50
"""Number of ids or items per call of the YouTube Data API. The API allows no larger number."""


def region_of(niche: Niche, settings: Settings) -> str:
    """Return the country for which the niche is collected (ISO 3166-1)."""
    return niche.region or settings.region


def language_of(niche: Niche, settings: Settings) -> str:
    """Return the language of the niche (BCP 47). An empty text stands for every language."""
    return settings.language if niche.language is None else niche.language


def most_pages(settings: Settings) -> int:
    """Return how many pages of a search in a category are read at most.

    If most results are Shorts, finding the wanted number of ordinary videos could take many pages. Each page costs one
    unit of the daily quota for searches. So the lab stops after the returned number of pages, even if it wants more
    videos.
    """
    return max(2, -(-settings.videos_per_niche // PAGE_SIZE))
