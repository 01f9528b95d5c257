"""Atlases: pages with many small pictures. A browser loads a page in one request and gives it to the graphics card.

This file is generated: change `thumblab_core/library_map/atlases.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AtlasLevel:
    """The pages of a level. Tile n is on page n // (columns * rows)."""

    level: int
    """0 has the smallest tiles."""

    tile_width: int
    """In pixels."""

    tile_height: int
    """In pixels."""

    columns: int
    rows: int
    pages: list[str]
    """The SHA-256 of each page, which is also its name."""
