"""Change the served index on request of the service, and return the result as values that JSON can represent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import select

from thumblab_core.database.tables import videos
from thumblab_core.index import RebuildRequiredError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.changes import put_in, take_out

Action = Literal["put_in", "take_out"]


@dataclass(frozen=True)
class ChangedItems:
    """The result of a requested change.

    `niche`: None if the lab knows none of the videos. `release`: id of the served release. `put_in`, `taken_out` and
    `skipped`: what happened to each video, see `thumblab_pipelines.library.changes.Changed`. `rebuild_required`: why
    the served index could not be changed. If there is such a reason, a rebuild was requested, and Dagster starts the
    rebuild.
    """

    niche: str | None
    release: str | None = None
    put_in: list[str] = field(default_factory=list)
    taken_out: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    rebuild_required: str | None = None


def change_items(lab: Lab, action: Action, video_ids: Sequence[str], niche: str | None = None) -> ChangedItems:
    """Add videos to the served index of a niche, or remove them.

    Without `niche`, the niche of the first video that the lab knows is used. Videos of another niche are skipped.
    Raises `LabError` if a person holds the served release, or if another process keeps the index locked.
    """
    niche = niche or _niche_of(lab, video_ids)
    if niche is None:
        reason = "the lab does not know it; `thumblab import` it, or let raw_videos or the crawl collect it"
        return ChangedItems(None, skipped=dict.fromkeys(video_ids, reason))
    try:
        changed = (put_in if action == "put_in" else take_out)(lab, niche, video_ids)
    except RebuildRequiredError as error:
        return ChangedItems(niche, rebuild_required=str(error))
    release = None if changed.release is None else changed.release.release_id
    return ChangedItems(niche, release, changed.put_in, changed.taken_out, changed.skipped)


def _niche_of(lab: Lab, video_ids: Sequence[str]) -> str | None:
    """Return the niche of the first video that the lab knows, or None if the lab knows none of the videos."""
    with lab.engine.connect() as connection:
        rows = connection.execute(
            select(videos.c.video_id, videos.c.niche).where(videos.c.video_id.in_(list(video_ids)))
        )
        niches: dict[str, str] = {row.video_id: row.niche for row in rows}
    return next((niches[video_id] for video_id in video_ids if video_id in niches), None)
