"""Apply the rules of retention to the videos of retired niches, which have no partition and so no run of their own."""

from dataclasses import dataclass, field

from sqlalchemy import select

from thumblab_core.database.failures import explained_failure
from thumblab_core.database.tables import niches, videos
from thumblab_core.errors import LabError
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.releases.release import ALL, INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.retention.own_database import require_own_database
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

        If one of the errors is no `LabError`, this error is raised unchanged. If all errors are `LabError`s, one
        `LabError` with the texts of all failures is raised.
        """
        errors = self.failures.values()
        for error in errors:
            if not isinstance(error, LabError):
                raise error
        if errors:
            combined = LabError("; ".join(self.texts[niche] for niche in self.failures))
            combined.transient = any(error.transient for error in errors if isinstance(error, LabError))
            raise combined


def retired_niches(lab: Lab) -> list[str]:
    """Return, in alphabetical order, the retired niches that still have a video, an index or a map in the lab.

    Forgotten niches count as retired. A run that began before a niche was retired may save its videos, or publish its
    index or its map, at any later time.
    """
    scopes = [scope for kind in (INDEX, LIBRARY_MAP) for scope in lab.releases.scopes(kind)]
    kept = {niche for kind, niche in scopes if lab.releases.all(kind, niche)}
    with lab.engine.connect() as connection:
        kept |= set(connection.scalars(select(videos.c.niche).distinct()))
    return sorted(kept - set(lab.niches) - {ALL})


def retain_retired_niches(
    lab: Lab, progress: Progress = silent, run_id: str | None = None, confirmed: bool = False
) -> RetainedNiches:
    """Apply `retain_retired` to each of the `retired_niches`. If one niche fails, the other niches are still handled.

    Raises the `LabError` of `require_own_database`, unless a person has `confirmed` the run. In the database of another
    lab, the niches of this lab would seem to be forgotten.
    """
    if not confirmed:
        require_own_database(lab)
    found = RetainedNiches()
    for name in retired_niches(lab):
        try:
            found.texts[name] = retain_retired(lab, name, progress, run_id)
        except Exception as error:  # noqa: BLE001  go on with the other niches; `raise_failures` raises it later
            found.failures[name] = error
            known = error if isinstance(error, LabError) else explained_failure(error)
            found.texts[name] = f"{type(error).__name__}: {error}" if known is None else str(known)
    return found


def retain_retired(lab: Lab, niche: str, progress: Progress = silent, run_id: str | None = None) -> str:
    """Apply `retain` to a retired niche. Return a text about what was refreshed and deleted.

    If a person has forgotten the niche, the deletion of all its videos counts as confirmed. Raises the `LabError` of
    `retain`. Also raises `LabError` if a blocking check of the retention fails.
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
