"""Helpers that read and change the library of a lab, for the tests of the library."""

from sqlalchemy import select, text

from thumblab_core.database.tables import videos
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX, Release
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build

NICHE, OTHER = "tech", "news"


def ids(lab: Lab, niche: str = NICHE) -> list[str]:
    with lab.engine.connect() as connection:
        return list(
            connection.scalars(select(videos.c.video_id).where(videos.c.niche == niche).order_by(videos.c.video_id))
        )


def served(lab: Lab, niche: str = NICHE) -> Release:
    release = lab.releases.serving.current(INDEX, niche)
    assert release is not None
    return release


def served_ids(lab: Lab, niche: str = NICHE) -> set[str]:
    return {item.video_id for item in NicheIndex.load(served(lab, niche)).items}


def execute(lab: Lab, statement: str, **values: object) -> None:
    with lab.engine.begin() as connection:
        connection.execute(text(statement), values)


def serve_index(lab: Lab, niche: str) -> None:
    """Encode the videos of a niche, and build and serve its index."""
    embed(lab, niche)
    compute_baselines(lab, niche)
    build.build_index(lab, niche)
    build.promote_index(lab, niche)


def rebuild(lab: Lab) -> Release:
    build.build_index(lab, NICHE)
    return build.promote_index(lab, NICHE).release


def add_views(lab: Lab) -> None:
    """Change every view count, so that the next build differs from the last one."""
    execute(lab, "UPDATE video_stats SET view_count = view_count + 1000")
