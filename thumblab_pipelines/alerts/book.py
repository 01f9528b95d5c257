"""Decide when an alert is reported to a person: once per cause, then again every day, and when the alert has ended."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from thumblab_core.monitoring.watch_state import Message, OpenAlert, WatchState

AGAIN = timedelta(hours=20)
"""Time until a continuing alert is reported to a person again. The pause is a little under a day, so that a job that
fails daily is reported daily."""

FORGOTTEN = timedelta(days=7)
"""An alert that had no new failure for this time is dropped. Otherwise the alert of a run that is never started again
would stay open forever."""

MOST_THINGS = 200
_SHOWN_THINGS = 8

_HOBART = ZoneInfo("Australia/Hobart")


@dataclass(frozen=True)
class Failed:
    """A failure. `thing` names what failed. The failure ends when the same thing succeeds.

    `lasting`: whether the failure is a state that every run of the sensor finds again, such as a late refresh. A
    lasting failure is counted only once.
    """

    cause: str
    thing: str
    what: str
    error: str
    advice: str
    at: datetime
    step: str | None = None
    run_id: str | None = None
    lasting: bool = False


@dataclass(frozen=True)
class Succeeded:
    """A success of `thing`. The success ends all failures of the same thing."""

    thing: str
    at: datetime


@dataclass(frozen=True)
class NotExpected:
    """A thing whose success is no longer expected, such as a refresh after a person has turned off its schedule.

    `reason` is the beginning of a sentence, such as "Its schedule was turned off". The message adds the time.
    """

    thing: str
    at: datetime
    reason: str


Event = Failed | Succeeded | NotExpected


def record(state: WatchState, events: Iterable[Event]) -> Iterator[Message]:
    """Apply the events to the open alerts, in order. Yield a message about each alert that has ended."""
    for event in events:
        if isinstance(event, Failed):
            _fail(state, event)
            continue
        state.closed = [thing for thing in state.closed if thing != event.thing]
        for alert in [alert for alert in state.alerts.values() if event.thing in alert.things]:
            alert.things.remove(event.thing)
            if not alert.things:
                del state.alerts[alert.cause]
                # If the alert ended before its message was sent, no person knows about the alert, so no recovery is
                # reported.
                if alert.told_at is not None:
                    yield _recovered(alert, event)


def close(state: WatchState, cause: str) -> OpenAlert | None:
    """Close an alert on a person's request. Return the alert, or None if no alert with this cause is open.

    A lasting alert, such as a late refresh, is not opened again until the refresh has succeeded.
    """
    alert = state.alerts.pop(cause, None)
    if alert is not None and alert.lasting:
        state.closed = sorted({*state.closed, *alert.things})
    return alert


def due(state: WatchState, now: datetime, wait: timedelta, dagster: str) -> Iterator[Message]:
    """Yield a message about each open alert that must be reported to a person now.

    A new alert is reported after `wait`. An alert with new failures is reported again after `AGAIN`. An alert that had
    no new failure for the time `FORGOTTEN` is dropped. `dagster`: the URL of Dagster's pages.
    """
    for alert in list(state.alerts.values()):
        if now - alert.last_at > FORGOTTEN:
            del state.alerts[alert.cause]
        elif alert.told_at is None:
            if now - alert.first_at >= wait:
                yield _told(alert, now, dagster)
        elif now - alert.told_at >= AGAIN and alert.last_at > alert.told_at:
            yield _told(alert, now, dagster)


def hobart(moment: datetime) -> str:
    """Return the moment as text for a person: the date and the time in Hobart. The lab's schedules use the time of
    Hobart too.
    """
    return f"{moment.astimezone(_HOBART):%a %d %b %Y, %H:%M} in Hobart"


def _fail(state: WatchState, failed: Failed) -> None:
    if failed.lasting and failed.thing in state.closed:
        return
    alert = state.alerts.get(failed.cause)
    if alert is None:
        state.alerts[failed.cause] = OpenAlert(
            cause=failed.cause,
            what=failed.what,
            step=failed.step,
            error=failed.error,
            advice=failed.advice,
            first_at=failed.at,
            last_at=failed.at,
            count=1,
            things=[failed.thing],
            run_id=failed.run_id,
            lasting=failed.lasting,
        )
        return
    alert.lasting = failed.lasting
    alert.last_at = max(alert.last_at, failed.at)
    if not failed.lasting:
        alert.count += 1
        alert.what, alert.step, alert.error, alert.run_id = failed.what, failed.step, failed.error, failed.run_id
    if failed.thing not in alert.things and len(alert.things) < MOST_THINGS:
        alert.things.append(failed.thing)


def _told(alert: OpenAlert, now: datetime, dagster: str) -> Message:
    new = alert.count - alert.told_count
    again = alert.told_at is not None
    alert.told_at, alert.told_count = now, alert.count
    times = f" ({new} times)" if new > 1 else ""
    lines = [f"When: {hobart(alert.last_at)}" + (f", first {hobart(alert.first_at)}" if new > 1 or again else "")]
    if len(alert.things) > 1:
        more = len(alert.things) - _SHOWN_THINGS
        names = ", ".join(alert.things[:_SHOWN_THINGS])
        lines.append(f"Concerns: {names}" + (f" and {more} more" if more > 0 else ""))
    if alert.step:
        lines.append(f"Step: {alert.step}")
    lines.append(f"What to do: {alert.advice}")
    link = f"{dagster.rstrip('/')}/runs/{alert.run_id}" if alert.run_id else f"{dagster.rstrip('/')}/runs"
    return Message(
        title=f"{'Still failing: ' if again else ''}{alert.what}{times}", error=alert.error, lines=lines, link=link
    )


def _recovered(alert: OpenAlert, event: Succeeded | NotExpected) -> Message:
    if isinstance(event, NotExpected):
        lines = [f"{event.reason}: {hobart(event.at)}", f"It began: {hobart(alert.first_at)}"]
        return Message(title=f"Not expected any more: {alert.what}", lines=lines)
    failures = f"after {alert.count} failures" if alert.count > 1 else "after one failure"
    lines = [f"It succeeded {failures}: {hobart(event.at)}", f"It began: {hobart(alert.first_at)}"]
    return Message(title=f"Recovered: {alert.what}", lines=lines)
