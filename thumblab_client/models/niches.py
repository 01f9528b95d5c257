"""The requests and the answers about the niches of the lab.

This file is generated: change `thumblab_serving/schemas/niches.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class NicheOut:
    """A niche of the lab, and where its videos come from."""

    name: str
    category_id: int | None
    region: str | None
    language: str | None
    searches: list[str]
    channels: list[str]
    exclude: list[str]
    added_at: datetime
    retired_at: datetime | None
    """When the niche was retired; null while it is collected and served."""


@dataclass(frozen=True, kw_only=True)
class NichesOut:
    """The niches of the lab, in the order in which they were added. Retired niches are included."""

    niches: list[NicheOut]
