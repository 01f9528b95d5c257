"""Apply the rules of retention to the videos of retired niches, which have no partition and so no run of their own."""

from sqlalchemy import select

from thumblab_core.database.tables import niches, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.retention import check_retention, retain


def retired_with_videos(lab: Lab, niche: str) -> list[str]:
    """Return the retired niches that have videos, if `niche` is the first niche of the lab. Otherwise return no niche.

    So the daily runs of all niches together look after each retired niche once.
    """
    if lab.niches[:1] != (niche,):
        return []
    statement = (
        select(niches.c.name)
        .where(niches.c.retired_at.is_not(None), niches.c.name.in_(select(videos.c.niche).distinct()))
        .order_by(niches.c.number)
    )
    with lab.engine.connect() as connection:
        return list(connection.scalars(statement))


def retain_retired(
    lab: Lab, niche: str, progress: Progress = silent, run_id: str | None = None, confirmed: bool = False
) -> None:
    """Refresh and delete what is due in a retired niche, see `retain`.

    Raises `LabError` in the cases in which `retain` raises it, and if a blocking check of the retention fails.
    """
    retained = retain(lab, niche, progress, run_id, confirmed)
    failed = [check for check in check_retention(lab, niche, retained) if not check.passed and not check.advisory]
    if failed:
        reasons = "; ".join(f"{check.name}: {check.explanation}" for check in failed)
        raise LabError(f"the retention of the retired niche {niche} is not complete: {reasons}")
