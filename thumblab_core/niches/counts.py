"""Count the stored videos of each niche."""

from sqlalchemy import Connection, func, select

from thumblab_core.database.tables import videos


def videos_by_niche(connection: Connection) -> dict[str, int]:
    """Return the number of stored videos by niche. Niches without videos are left out."""
    rows = connection.execute(select(videos.c.niche, func.count()).group_by(videos.c.niche))
    return {str(niche): int(count) for niche, count in rows}
