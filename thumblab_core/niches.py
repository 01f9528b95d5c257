"""The niches of the lab, and the YouTube category of each."""

from enum import StrEnum


class Niche(StrEnum):
    """A niche. Its value is its partition key in Dagster, its value in the database and its name in every URL."""

    TECH = "tech"
    GAMING = "gaming"
    EDUCATION = "education"
    ENTERTAINMENT = "entertainment"
    PEOPLE = "people"
    BEAUTY = "beauty"
    NEWS = "news"

    @property
    def category_id(self) -> int:
        """The `videoCategoryId` of the niche in the YouTube Data API v3."""
        return _CATEGORY_IDS[self]


_CATEGORY_IDS = {
    Niche.TECH: 28,
    Niche.GAMING: 20,
    Niche.EDUCATION: 27,
    Niche.ENTERTAINMENT: 24,
    Niche.PEOPLE: 22,
    Niche.BEAUTY: 26,
    Niche.NEWS: 25,
}

NICHES: tuple[str, ...] = tuple(niche.value for niche in Niche)
