"""Find niches and assets that are late: their last refresh is older than their schedule allows."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus

from thumblab_core.errors import LabError
from thumblab_core.monitoring.watch_state import WatchState
from thumblab_core.niches import NicheFile
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_pipelines.alerts.book import Event, Failed, NotExpected, Succeeded
from thumblab_pipelines.alerts.causes import LATE_ADVICE

GRACE = timedelta(hours=1)
"""A niche or an asset is reported only if it has been late for this long. When Dagster starts after a pause, it first
starts the runs that it missed. These runs need some time."""

_GAP = timedelta(minutes=10)
_CAUSE = "late"

REFRESH_OF = "the refresh of "
"""In alerts, this text and the name of the niche stand for the refresh of the niche."""

_NOT_EXPECTED = ""
"""This text means that nobody expects a niche to be refreshed, or an asset to be made, because a person has turned off the
schedule."""


def late(
    instance: dg.DagsterInstance,
    state: WatchState,
    chosen: Settings,
    assets: Mapping[dg.AssetKey, Collection[str]],
    now: datetime,
) -> Iterator[Event]:
    """Yield an event for each niche and each asset. The event says that the niche or asset is late, is not late, or is
    no longer expected. `assets`: for each asset with a freshness policy, the names of the schedules that make the asset.

    All late things form one alert, because they usually have one cause: the machine or the daemon did not run.
    """
    if state.checked_at is None or now - state.checked_at > _GAP:
        state.late_since.clear()
    found = {**_niches(instance, state, chosen, now), **_assets(instance, assets)}
    state.late_since = {thing: at for thing, at in state.late_since.items() if found.get(thing)}
    for thing, reason in found.items():
        if reason is None:
            yield Succeeded(thing, now)
        elif reason == _NOT_EXPECTED:
            yield NotExpected(thing, now, "Its schedule was turned off")
        elif now - state.late_since.setdefault(thing, now) >= GRACE:
            yield Failed(_CAUSE, thing, f"{thing} is late", reason, LATE_ADVICE, now, lasting=True)


def _niches(instance: dg.DagsterInstance, state: WatchState, chosen: Settings, now: datetime) -> dict[str, str | None]:
    """For each niche that was refreshed before, return the reason why it is late, or None if it is not late.

    The reason is `_NOT_EXPECTED` if the last refresh of a niche is too old, but a person has turned off the schedule. A
    served index counts as a refresh, because `thumblab refresh` and a backfill make an index without the job of the
    schedule. The last refresh is stored in `state`, so that the metrics agree with the alerts.
    """
    expected = _is_on(instance, "daily_refresh")
    store, found = ReleaseStore(release_place(chosen)), dict[str, str | None]()
    file = NicheFile(chosen.data_dir)
    restored = file.restored
    for niche in file.names:
        moments = [state.refreshed[niche]] if niche in state.refreshed else []
        try:
            release = store.serving.current(INDEX, niche)
        except (LabError, UnicodeDecodeError):
            release = None
        if release is not None:
            moments.append(datetime.fromisoformat(str(release.info.get("as_of", release.created_at))))
        if moments:
            last, stale = max(moments), timedelta(hours=chosen.alert_stale_h)
            hours = (now - last).total_seconds() / 3_600
            # A retired niche is not refreshed. So for a niche that was restored, the hours count from its restoration.
            # Its metric stays away until its next refresh.
            expected_since = restored.get(niche, last)
            if last >= expected_since:
                state.refreshed[niche] = last
            is_late = now - max(last, expected_since) > stale
            reason = f"the last good refresh was {hours:.0f} hours ago" if expected else _NOT_EXPECTED
            found[f"{REFRESH_OF}{niche}"] = reason if is_late else None
    return found


def _assets(instance: dg.DagsterInstance, assets: Mapping[dg.AssetKey, Collection[str]]) -> dict[str, str | None]:
    """Return why each asset is late by its freshness policy, or None for an asset that is not late.

    The reason is `_NOT_EXPECTED` if the asset is late, but a person has turned off every schedule that makes it.
    """
    found = dict[str, str | None]()
    for key, record in (instance.get_freshness_state_records(list(assets)) if assets else {}).items():
        reason = None
        if record.freshness_state.value == "FAIL":
            schedules = assets[key]
            expected = not schedules or any(_is_on(instance, schedule) for schedule in schedules)
            reason = "it was not made for longer than its freshness policy allows" if expected else _NOT_EXPECTED
        found[f"the asset {key.to_user_string()}"] = reason
    return found


def _is_on(instance: dg.DagsterInstance, schedule: str) -> bool:
    """Return whether the schedule is on. Dagster stores no state for a schedule that was never turned on or off.
    Without a stored state, the schedule counts as on.
    """
    states = [
        state.status
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        if state.name == schedule
    ]
    return InstigatorStatus.STOPPED not in states
