"""Start the Dagster runs that a request needs, and update their states until they have ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from thumblab_serving.dagster_runs.graphql import DagsterError, NoDagsterError
from thumblab_serving.dagster_runs.runs import DagsterRuns, Outcome, RunRequest, RunState

_POLL_SECONDS = 1.0
_SILENCE_SECONDS = 30.0
"""If Dagster gives no answer for this time, a request stops waiting for its runs."""

_LOST = "Dagster does not know this run any more"


class GoneError(Exception):
    """The error that is raised if the caller has stopped waiting for the runs."""


@dataclass
class FollowedRun:
    """A requested run: its state and, after it has ended, its report.

    `run_id` is None if Dagster did not start the run; `reason` then says why.
    """

    request: RunRequest
    run_id: str | None
    state: RunState | Literal["not_started"]
    reused: bool = False
    reason: str | None = None
    outcome: Outcome | None = None

    @property
    def ended(self) -> bool:
        """Whether the run has ended, or was never started."""
        return self.state not in ("queued", "running")

    @property
    def succeeded(self) -> bool | None:
        """Whether the run succeeded. None while it has not ended."""
        return self.state == "success" if self.ended else None


async def start(runs: DagsterRuns, requests: Sequence[RunRequest]) -> list[FollowedRun]:
    """Start a run for each request. Raises `DagsterError` if no run was started."""
    started = await runs.start(requests)
    errors = [each for each in started if isinstance(each, DagsterError)]
    if len(errors) == len(started):
        raise errors[0]
    return [
        FollowedRun(request, None, "not_started", reason=str(each))
        if isinstance(each, DagsterError)
        else FollowedRun(request, each.run_id, "queued", each.reused)
        for request, each in zip(requests, started, strict=True)
    ]


async def follow(
    runs: DagsterRuns, followed: Sequence[FollowedRun], seconds: float, gone: Callable[[], Awaitable[bool]]
) -> None:
    """Update the runs until all of them have ended, or until `seconds` have passed.

    `gone` returns whether the caller has stopped waiting. If it returns True, `GoneError` is raised. Raises
    `NoDagsterError` if Dagster gives no answer for half a minute.
    """
    deadline = time.monotonic() + seconds
    answered = time.monotonic()
    while True:
        try:
            await _update(runs, [run for run in followed if not run.ended])
            answered = time.monotonic()
        except NoDagsterError as error:
            if time.monotonic() - answered > _SILENCE_SECONDS:
                names = ", ".join(str(run.run_id) for run in followed if run.run_id)
                raise NoDagsterError(f"{error}. These runs were started before: {names}") from None
        left = deadline - time.monotonic()
        if left <= 0 or all(run.ended for run in followed):
            return
        if await gone():
            raise GoneError
        await asyncio.sleep(min(_POLL_SECONDS, left))


async def _update(runs: DagsterRuns, open_runs: Sequence[FollowedRun]) -> None:
    states = await runs.states([str(run.run_id) for run in open_runs])
    for run in open_runs:
        state = states.get(str(run.run_id))
        if state in ("queued", "running"):
            run.state = state
            continue
        outcome = None if state is None else await runs.outcome(str(run.run_id))
        if state != "success":
            run.reason = _LOST if outcome is None else outcome.reason if state == "failure" else "it was canceled"
        run.outcome, run.state = outcome, state or "failure"
