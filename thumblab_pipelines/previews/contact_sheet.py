"""Draw the newest thumbnails of a niche as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from thumblab_core.database.tables import thumbnails, videos
from thumblab_core.images import WIDE, ImageError
from thumblab_core.images.small_copy import small_picture
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.previews.markdown import picture

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS, ROWS = 6, 4
WIDTH = 160
HEIGHT = round(WIDTH / WIDE)
GAP = 4


def contact_sheet(lab: Lab, niche: str) -> str | None:
    """Return the newest 24 thumbnails of the niche as a Markdown image, or None if the niche has no readable thumbnail.

    A picture that cannot be read is left out.
    """
    newest = (
        select(thumbnails.c.sha256)
        .join(videos, videos.c.video_id == thumbnails.c.video_id)
        .where(videos.c.niche == niche, thumbnails.c.sha256.is_not(None))
        .order_by(thumbnails.c.fetched_at.desc(), thumbnails.c.video_id)
        .limit(COLUMNS * ROWS)
    )
    with lab.engine.connect() as connection:
        stored = connection.scalars(newest).all()
    shown = [image for image in (small_or_none(lab, sha256) for sha256 in stored) if image is not None]
    if not shown:
        return None
    sheet = blank(min(COLUMNS, len(shown)), -(-len(shown) // COLUMNS))
    for number, image in enumerate(shown):
        sheet.paste(image, place(number % COLUMNS, number // COLUMNS))
    return picture("new thumbnails", sheet)


def small_or_none(lab: Lab, sha256: str) -> Image | None:
    """Return a stored picture that is `WIDTH` pixels wide, or None if it cannot be read."""
    try:
        return small_picture(lab.images.get(sha256), WIDTH)
    except (ImageError, OSError):
        return None


def blank(columns: int, rows: int) -> Image:
    """Return a grey sheet with room for this number of columns and rows of pictures."""
    from PIL import Image

    return Image.new("RGB", (columns * (WIDTH + GAP) + GAP, rows * (HEIGHT + GAP) + GAP), (128, 128, 128))


def place(column: int, row: int) -> tuple[int, int]:
    """Return the upper left corner of a picture on the sheet."""
    return GAP + column * (WIDTH + GAP), GAP + row * (HEIGHT + GAP)
