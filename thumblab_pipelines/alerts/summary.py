"""Collect the daily summary: runs by niche, quota, models, releases, checks, disk space and alerts."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from thumblab_core.data_folder import is_demo
from thumblab_core.database.failures import explained_failure
from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.library_map.holds import END_OF_MAP_HOLD, held_releases
from thumblab_core.monitoring.watch_state import CheckState, WatchState
from thumblab_core.niches import NicheFile
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.quota import Balance, balances_of

DAY = timedelta(hours=24)
_REFRESH, _TRAIN = "refresh_library", "train_ranker"


@dataclass(frozen=True)
class NicheDay:
    """The figures of one niche on the day of the summary.

    `new_videos` is None if the database did not answer, or if the lab is the lab of a demo.
    """

    niche: str
    refreshed: int
    failed: int
    new_videos: int | None
    release: str | None
    age_hours: float | None


@dataclass(frozen=True)
class Summary:
    """The state of a lab at the moment `at`, and the counts of Dagster's runs since the moment `since`.

    `demo`: whether the lab is the lab of a demo. The clock of the demo's emulator stands still, and the lab stores the
    time of this clock with each video. So the videos that were collected on the last day cannot be counted.
    """

    at: datetime
    since: datetime
    watched: bool
    niches: list[NicheDay]
    runs: dict[str, int]
    failures: list[str]
    trainings: dict[str, int]
    promotion: CheckState | None
    model: str | None
    model_age_hours: float | None
    quota: list[Balance] = field(default_factory=list)
    checks: list[CheckState] = field(default_factory=list)
    free_bytes: int = 0
    database_bytes: int | None = None
    held: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    undelivered: dict[str, str] = field(default_factory=dict)
    database_problem: str | None = None
    demo: bool = False


def summarise(chosen: Settings, state: WatchState | None, now: datetime | None = None) -> Summary:
    """Return the summary of the last 24 hours. If the database does not answer, the summary reports this and lacks the
    figures from the database.
    """
    now = now or datetime.now(UTC)
    since = now - DAY
    known = state or WatchState()
    new, balances, problem = _of_database(chosen, since, now)
    demo = is_demo(chosen.data_dir)
    ended = [run for run in known.ended if run.ended_at > since]
    store = ReleaseStore(release_place(chosen))
    niches = []
    for niche in NicheFile(chosen.data_dir).names:
        outcomes = [run.error is None for run in ended if run.job == _REFRESH and run.niche == niche]
        release, age = _served(store, INDEX, niche, now)
        found = None if new is None or demo else new.get(niche, 0)
        niches.append(NicheDay(niche, outcomes.count(True), outcomes.count(False), found, release, age))
    model, model_age = _served(store, MODEL, ALL, now)
    trained = [run.error is None for run in ended if run.job == _TRAIN]
    promotions = [
        check for check in known.checks.values() if (check.asset, check.check) == ("served_model", "promoted")
    ]
    waiting = {delivery.channel: delivery.problem or "not tried yet" for delivery in reversed(known.deliveries)}
    return Summary(
        at=now,
        since=since,
        watched=known.checked_at is not None and now - known.checked_at < timedelta(minutes=10),
        niches=niches,
        runs={"ok": sum(run.error is None for run in ended), "failed": sum(run.error is not None for run in ended)},
        failures=[f"{run.job}{f' of {run.niche}' if run.niche else ''}: {run.error}" for run in ended if run.error],
        trainings={"ok": trained.count(True), "failed": trained.count(False)},
        promotion=next((check for check in promotions if check.at > since), None),
        model=model,
        model_age_hours=model_age,
        quota=balances,
        checks=sorted(
            (check for check in known.checks.values() if check.level != "passed"), key=lambda check: check.at
        ),
        free_bytes=shutil.disk_usage(chosen.data_dir).free,
        database_bytes=known.database_bytes,
        held=_held(store, NicheFile(chosen.data_dir).names),
        alerts=[f"{alert.what}: {alert.error}" for alert in known.alerts.values()],
        undelivered=waiting,
        database_problem=problem,
        demo=demo,
    )


def _of_database(
    chosen: Settings, since: datetime, now: datetime
) -> tuple[dict[str, int] | None, list[Balance], str | None]:
    """Return the number of new videos by niche, the balances of the quota, and a reason.

    If the database answers, the reason is None. If the database does not answer, the reason says why, the numbers are
    None, and the list of balances is empty.
    """
    try:
        lab = Lab.existing(chosen)
        with lab.engine.connect() as connection:
            statement = (
                select(videos.c.niche, func.count()).where(videos.c.collected_at > since).group_by(videos.c.niche)
            )
            new = {str(niche): int(number) for niche, number in connection.execute(statement)}
            return new, balances_of(connection, chosen, now), None
    except LabError as error:
        return None, [], str(error)
    except Exception as error:
        failure = explained_failure(error)
        if failure is None:
            raise
        return None, [], str(failure)


def _held(store: ReleaseStore, niches: Iterable[str]) -> list[str]:
    """Return a sentence for each held index or map. If the holds cannot be read, return a sentence that says so."""
    try:
        held = held_releases(store, niches)
    except (LabError, OSError, ValueError) as error:
        return [f"the holds cannot be read: {error}"]
    return [f"{one}; {END_OF_MAP_HOLD if one.ends is None else f'`thumblab {one.ends}`'} ends the hold" for one in held]


def _served(store: ReleaseStore, kind: str, scope: str, now: datetime) -> tuple[str | None, float | None]:
    """Return the id of the served release and its age in hours. The age is None if the release cannot be read."""
    try:
        release = store.serving.current(kind, scope)
    except (LabError, UnicodeDecodeError):
        return "unreadable", None
    if release is None:
        return None, None
    return release.release_id, round((now - datetime.fromisoformat(release.created_at)).total_seconds() / 3_600, 1)
