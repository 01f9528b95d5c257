"""Apply the rules of retention to the videos of retired niches, which have no partition and so no run of their own."""

from dataclasses import dataclass, field

from sqlalchemy import select

from thumblab_core.database.failures import explained_failure
from thumblab_core.database.tables import niches, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.retention import check_retention, retain


@dataclass
class RetainedNiches:
    """What the retention did in the retired niches.

    `texts`: a text for each retired niche, by its name. `failures`: the errors, by the name of the niche.
    """

    texts: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)

    def raise_failures(self) -> None:
        """Raise an error if the retention of a niche failed.

        An error that is no `LabError` is raised as it is. Otherwise, a `LabError` has the texts of all failures.
        """
        errors = self.failures.values()
        for error in errors:
            if not isinstance(error, LabError):
                raise error
        if errors:
            combined = LabError("; ".join(self.texts[niche] for niche in self.failures))
            combined.transient = any(error.transient for error in errors if isinstance(error, LabError))
            raise combined


def retired_with_videos(lab: Lab, niche: str) -> list[str]:
    """Return the retired niches that have videos, if `niche` is the first niche of the lab. Otherwise return no niche.

    So the daily runs of all niches together handle each retired niche once. A forgotten niche counts as retired, because
    a run that began before may have saved videos after the niche was forgotten.
    """
    active = lab.niches
    if active[:1] != (niche,):
        return []
    statement = select(videos.c.niche).distinct().where(videos.c.niche.not_in(active)).order_by(videos.c.niche)
    with lab.engine.connect() as connection:
        return list(connection.scalars(statement))


def retain_retired_niches(
    lab: Lab, niche: str, progress: Progress = silent, run_id: str | None = None
) -> RetainedNiches:
    """Refresh and delete what is due in each niche of `retired_with_videos`. A failure in one niche does not stop the
    others.

    A person who confirmed the deletions of the run's own niche has confirmed none of a retired niche.
    """
    found = RetainedNiches()
    for name in retired_with_videos(lab, niche):
        try:
            found.texts[name] = retain_retired(lab, name, progress, run_id)
        except Exception as error:  # noqa: BLE001  the other niches are still due; `raise_failures` raises it later
            found.failures[name] = error
            known = error if isinstance(error, LabError) else explained_failure(error)
            found.texts[name] = f"{type(error).__name__}: {error}" if known is None else str(known)
    return found


def retain_retired(lab: Lab, niche: str, progress: Progress = silent, run_id: str | None = None) -> str:
    """Refresh and delete what is due in a retired niche, see `retain`. Return a text about what was done.

    A person who forgot a niche has confirmed its deletions. Raises `LabError` in the cases in which `retain` raises it,
    and if a blocking check of the retention fails.
    """
    with lab.engine.connect() as connection:
        forgotten = connection.scalar(select(niches.c.name).where(niches.c.name == niche)) is None
    try:
        retained = retain(lab, niche, progress, run_id, forgotten)
        failed = [check for check in check_retention(lab, niche, retained) if not check.passed and not check.advisory]
        if failed:
            raise LabError("; ".join(f"{check.name}: {check.explanation}" for check in failed))
    except LabError as error:
        commands = (
            f"`thumblab niche retire {niche} --forget` deletes all its data, and `thumblab niche restore {niche}` gives it "
            "a partition again"
        )
        named = LabError(
            f"the retention of the retired niche {niche} is not complete: {error}"
            + ("" if forgotten else f"; {commands}")
        )
        named.transient = error.transient
        raise named from error
    figures = f"{retained.videos} videos, {retained.refreshed} refreshed, {sum(retained.deleted.values())} deleted"
    return "; ".join([figures, *retained.remarks, *([retained.stopped] if retained.stopped else [])])
