"""Drop what the monitoring knows about niches that the lab has retired."""

from collections.abc import Collection, Iterator
from datetime import datetime

from thumblab_core.monitoring.watch_state import WatchState
from thumblab_pipelines.alerts.book import NotExpected
from thumblab_pipelines.defs.alerts.late import REFRESH_OF


def drop_retired(state: WatchState, niches: Collection[str], now: datetime) -> Iterator[NotExpected]:
    """Remove the figures of retired niches, which are not in `niches`. Yield an event for each thing of a retired
    niche that an open alert reports as late or failed.

    Nobody refreshes a retired niche or repeats its failed runs and checks. Without this function, `/metrics` would show
    that the last refresh is older every day, and the alerts would stay open.
    """
    known = {
        *state.refreshed,
        *(check.niche for check in state.checks.values() if check.niche is not None),
        *(run.niche for run in state.ended if run.niche is not None),
        *(thing.removeprefix(REFRESH_OF) for thing in state.late_since if thing.startswith(REFRESH_OF)),
    }
    retired = known.difference(niches)
    state.refreshed = {niche: at for niche, at in state.refreshed.items() if niche not in retired}
    state.checks = {key: check for key, check in state.checks.items() if check.niche not in retired}
    ends = tuple(f" of {niche}" for niche in retired)
    for alert in state.alerts.values():
        for thing in alert.things:
            if thing.endswith(ends):
                yield NotExpected(thing, now, "The niche was retired")
