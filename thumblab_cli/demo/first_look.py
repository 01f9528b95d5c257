"""Write a page with the winners of a niche. A person can look at the page while the demo works on the other niches."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

if TYPE_CHECKING:
    from thumblab_core.index.items import Item
    from thumblab_pipelines.lab import Lab

_MOST = 24

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<style>
body { font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color-scheme: light dark }
ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.5rem; padding: 0; list-style: none }
img { width: 100%; aspect-ratio: 16 / 9; object-fit: cover; border-radius: .5rem }
p { margin: .25rem 0 }
</style>
"""


def write_winners(lab: "Lab", niche: str, path: Path) -> int:
    """Write a page of a niche's winners to `path`, and return the number of winners on it.

    The winners are the thumbnails whose videos got far more views than usual for their channel. The page shows at most
    24 winners, the largest outlier multiple first. `path` must lie in the data folder, because the page refers to the
    pictures in the image store. If the niche has no winner, nothing is written.
    """
    from thumblab_core.database.tables import thumbnails
    from thumblab_core.image_store import ImageFolder
    from thumblab_core.index.items import WINNER_RULE
    from thumblab_core.index.niche_index import NicheIndex
    from thumblab_core.releases.release import INDEX

    release = lab.releases.serving.current(INDEX, niche)
    if release is None:
        return 0
    winners = [item for item in NicheIndex.load(release).items if item.winner]
    winners = sorted(winners, key=lambda item: (-(item.outlier_multiple or 0), item.video_id))[:_MOST]
    statement = select(thumbnails.c.video_id, thumbnails.c.sha256).where(
        thumbnails.c.video_id.in_([item.video_id for item in winners]), thumbnails.c.sha256.is_not(None)
    )
    folder = ImageFolder(lab.settings.images)  # The demo has its pictures on the disk.
    with lab.engine.connect() as connection:
        pictures = {row.video_id: folder.path(row.sha256) for row in connection.execute(statement)}
    shown = [(item, pictures[item.video_id]) for item in winners if item.video_id in pictures]
    if not shown:
        return 0
    title = f"Winners in {niche}"
    heading = f"<title>{escape(title)}</title>\n<h1>{escape(title)}</h1>\n<p>{escape(WINNER_RULE)}</p>\n"
    entries = "".join(_entry(item, picture.relative_to(path.parent).as_posix()) for item, picture in shown)
    path.write_text(f"{_HEAD}{heading}<ul>\n{entries}</ul>\n", encoding="utf-8")
    return len(shown)


def _entry(item: "Item", picture: str) -> str:
    multiple = item.outlier_multiple
    views = (
        f"{item.views_per_hour:,.0f} views an hour" if multiple is None else f"{multiple:.1f} times the channel's usual"
    )
    return (
        f'<li><img src="{escape(picture)}" alt="" loading="lazy"><p><b>{escape(item.title)}</b></p>'
        f"<p>{escape(item.channel)} · {escape(views)}</p></li>\n"
    )
