"""Start runs of the lab's jobs, and read their states and results."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from thumblab_serving.dagster_runs.graphql import REPOSITORY, DagsterError, DagsterGraphql, NoDagsterError
from thumblab_serving.dagster_runs.queries import LAUNCH, LOG, OUTCOME, RUNS, Event, Run, add_partitions, message_of

RunState = Literal["queued", "running", "success", "failure", "canceled"]

MOST_QUEUED = 100
"""The maximum number of runs of one job that may wait. Further runs are refused, so the queue cannot grow for ever."""

_STATES: dict[str, RunState] = {
    "QUEUED": "queued",
    "NOT_STARTED": "queued",
    "MANAGED": "queued",
    "STARTING": "running",
    "STARTED": "running",
    "CANCELING": "running",
    "SUCCESS": "success",
    "FAILURE": "failure",
    "CANCELED": "canceled",
}
_PARTITION = "dagster/partition"
_WILL_RETRY = "dagster/will_retry"
"""Dagster marks a failed run with this tag, a moment after the run has the status `FAILURE`."""

_UNDECIDED_SECONDS = 60.0
"""For this time after its failure, a run without the tag `dagster/will_retry` counts as a run that Dagster may retry.

If the process that writes the tag dies, Dagster's daemon writes the tag within seconds. If retries are turned off, no
run gets the tag.
"""

_ORIGIN = {"key": "thumblab/requested_by", "value": "scoring service"}
_MOST_PAGES = 50
_LONGEST_REASON = 500
_START_SECONDS = 30.0
"""How long a request waits while other requests start their runs."""

_PROGRESS = re.compile(r"(.{1,200}): ([0-9]{1,15}) of ([0-9]{1,15})")
"""The form of the texts that `thumblab_pipelines.progress.in_words` returns."""

_UNKNOWN_FORM = "Dagster's answer does not have the form that the service knows"

T = TypeVar("T")

_RUNS = TypeAdapter(list[Run])
_EVENTS = TypeAdapter(list[Event])


class FullQueueError(DagsterError):
    """The error that is raised if too many runs of a job wait already."""

    transient = True


@dataclass(frozen=True)
class RunRequest:
    """A run to start: its job, its partition (a niche), its config, and its tags.

    If a run of the same job and niche waits already, and neither run has config, no new run is started.
    """

    job: str
    niche: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StartedRun:
    """A run that was started. If `reused` is true, no new run was started, because an earlier run of the same job and
    niche still waits. `run_id` is then the id of the earlier run.
    """

    run_id: str
    niche: str | None
    reused: bool = False


@dataclass(frozen=True)
class FoundRun:
    """A run that Dagster knows: its job, its partition (a niche), and its state.

    `may_retry` is true if the process of the run has died and Dagster starts the run again. `may_retry` is also true
    while Dagster has not decided yet whether to start the run again.
    """

    run_id: str
    job: str
    niche: str | None
    state: RunState
    may_retry: bool = False


@dataclass(frozen=True)
class Outcome:
    """The report of a finished run.

    `reasons` has a sentence for each step or check that failed. `materialized` maps the name of each asset to its
    metadata. `output` is the metadata of the op, if the job has an op that writes JSON.
    """

    reasons: list[str]
    materialized: dict[str, dict[str, int | str]]
    output: dict[str, Any]

    @property
    def reason(self) -> str:
        """Why the run failed, in at most a few sentences."""
        return "; ".join(dict.fromkeys(self.reasons))[:_LONGEST_REASON] or "Dagster gives no reason; see the run's page"


@dataclass(frozen=True)
class Progress:
    """How much a run has done of its present work: `done` of `total` items."""

    what: str
    done: int
    total: int


class DagsterRuns:
    """The runs of the lab's jobs. All methods must run in one event loop."""

    def __init__(self, graphql: DagsterGraphql) -> None:
        self._graphql = graphql
        self._starting = asyncio.Lock()

    def page(self, run_id: str) -> str | None:
        """Return the address of the run's page in Dagster's UI."""
        return self._graphql.page_of_run(run_id)

    async def start(self, requests: Sequence[RunRequest]) -> list[StartedRun | DagsterError]:
        """Start a run for each request, and return the runs in the same order.

        If a run of the same job and niche already waits, and neither run has config, no new run is started. The waiting
        run is returned, because it will read the same data.

        If Dagster refuses a run, the list has the error in place of this run, and the other runs are started. Raises
        `NoDagsterError` if Dagster does not answer, and `FullQueueError` if too many runs wait.
        """
        # Without this lock, two requests at the same time would both find no waiting run, and both start a run.
        try:
            await asyncio.wait_for(self._starting.acquire(), _START_SECONDS)
        except TimeoutError:
            raise NoDagsterError("Dagster is busy with earlier requests") from None
        try:
            waiting = {job: await self._waiting(job) for job in {request.job for request in requests}}
            found = [_same(request, waiting[request.job]) for request in requests]
            missing = [request for request, run_id in zip(requests, found, strict=True) if run_id is None]
            self._require_room(waiting, missing)
            launched = iter(await self._launch(missing) if missing else [])
            return [
                next(launched) if run_id is None else StartedRun(run_id, request.niche, reused=True)
                for request, run_id in zip(requests, found, strict=True)
            ]
        finally:
            self._starting.release()

    async def find(self, run_id: str) -> FoundRun | None:
        """Return a run of the lab, or None if Dagster does not know it."""
        return next(map(_found, await self._runs({"runIds": [run_id]}, 1)), None)

    async def find_tagged(self, key: str, value: str) -> FoundRun | None:
        """Return the newest run with this tag, or None if no run has the tag."""
        return next(map(_found, await self._runs({"tags": [{"key": key, "value": value}]}, 1)), None)

    async def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """Return the state of each run. A run that Dagster does not know is left out."""
        runs = await self._runs({"runIds": list(run_ids)}, len(run_ids))
        return {run.run_id: _STATES.get(run.status, "running") for run in runs}

    async def outcome(self, run_id: str) -> Outcome:
        """Return the report of a finished run."""
        reasons: list[str] = []
        materialized: dict[str, dict[str, int | str]] = {}
        output: dict[str, Any] = {}
        run_failure: str | None = None
        for event in await self._events(OUTCOME, run_id):
            if event.typename == "ExecutionStepFailureEvent":
                described = event.failure_metadata and event.failure_metadata.description
                reasons.append(described or f"the step {event.step_key} failed; see the run's page")
            elif event.typename == "RunFailureEvent":
                run_failure = event.message
            elif event.evaluation is not None and not event.evaluation.success and event.evaluation.severity == "ERROR":
                asset = "/".join(event.evaluation.asset_key.path)
                reasons.append(
                    f"the check {asset}.{event.evaluation.check_name} failed: {event.evaluation.description}"
                )
            elif event.typename == "MaterializationEvent" and event.asset_key is not None:
                values = {
                    entry.label: entry.int_value if entry.text is None else entry.text
                    for entry in event.metadata_entries
                }
                materialized["/".join(event.asset_key.path)] = {k: v for k, v in values.items() if v is not None}
            elif event.typename == "ExecutionStepOutputEvent":
                output |= {e.label: _json(e.json_string) for e in event.metadata_entries if e.json_string}
        if run_failure is not None and not reasons:
            reasons.append(message_of({"message": run_failure}))
        return Outcome(reasons, materialized, output)

    async def progress(self, run_id: str) -> Progress | None:
        """Return the progress that a run logged last, or None if it has logged none.

        The method reads the whole log of the run.
        """
        found = None
        for event in await self._events(LOG, run_id):
            if event.typename == "LogMessageEvent" and (line := _PROGRESS.fullmatch(event.message or "")):
                found = Progress(line[1], int(line[2]), int(line[3]))
        return found

    async def _waiting(self, job: str) -> list[Run]:
        """Return the waiting runs of a job, the newest first, and at most `MOST_QUEUED` of them."""
        return await self._runs({"pipelineName": job, "statuses": ["QUEUED", "NOT_STARTED"]}, MOST_QUEUED)

    def _require_room(self, waiting: dict[str, list[Run]], requests: Sequence[RunRequest]) -> None:
        for job, count in Counter(request.job for request in requests).items():
            if len(waiting[job]) + count > MOST_QUEUED:
                raise FullQueueError(f"{len(waiting[job])} runs of {job} wait already")

    async def _launch(self, requests: Sequence[RunRequest]) -> list[StartedRun | DagsterError]:
        await self._add_partitions(sorted({request.niche for request in requests if request.niche is not None}))
        runs = [
            {
                "selector": {**REPOSITORY, "jobName": request.job},
                "runConfigData": request.config,
                "mode": "default",
                "executionMetadata": {"tags": _tags_of(request)},
            }
            for request in requests
        ]
        answer = (await self._graphql.ask(LAUNCH, {"runs": runs})).get("launchMultipleRuns")
        results = answer.get("launchMultipleRunsResult") if isinstance(answer, dict) else None
        if not isinstance(results, list) or len(results) != len(requests):
            raise DagsterError(f"Dagster started no run: {message_of(answer)}")
        return [_started(result, request) for result, request in zip(results, requests, strict=True)]

    async def _add_partitions(self, niches: Sequence[str]) -> None:
        """Add the niches to Dagster's partitions. The sensor `niches` would add a new niche only after half a minute.

        A refusal by Dagster is ignored. Most niches have their partition already, so their runs can start anyway.
        """
        variables = {f"niche{number}": niche for number, niche in enumerate(niches)}
        if variables:
            with suppress(DagsterError):
                await self._graphql.ask(add_partitions(len(niches)), {"repository": REPOSITORY, **variables})

    async def _runs(self, filter_: dict[str, Any], limit: int) -> list[Run]:
        answer = (await self._graphql.ask(RUNS, {"filter": filter_, "limit": limit})).get("runsOrError")
        if not isinstance(answer, dict) or "results" not in answer:
            raise DagsterError(f"Dagster cannot list its runs: {message_of(answer)}")
        return _validated(_RUNS, answer["results"])

    async def _events(self, query: str, run_id: str) -> list[Event]:
        events: list[Event] = []
        after: str | None = None
        for _ in range(_MOST_PAGES):
            answer = (await self._graphql.ask(query, {"id": run_id, "after": after})).get("logsForRun")
            if not isinstance(answer, dict) or "events" not in answer:
                raise DagsterError(f"Dagster cannot show the events of {run_id}: {message_of(answer)}")
            page: list[Event] = _validated(_EVENTS, answer["events"])
            events += page
            after = answer.get("cursor")
            if not answer.get("hasMore"):
                break
        return events


def _tags_of(request: RunRequest) -> list[dict[str, str]]:
    tags = request.tags | ({_PARTITION: request.niche} if request.niche else {})
    return [_ORIGIN, *({"key": key, "value": value} for key, value in tags.items())]


def _found(run: Run) -> FoundRun:
    state = _STATES.get(run.status, "running")
    return FoundRun(run.run_id, run.job_name, _niche_of(run), state, state == "failure" and _may_retry(run))


def _may_retry(run: Run) -> bool:
    mark = next((tag.value for tag in run.tags if tag.key == _WILL_RETRY), None)
    if mark is not None:
        return mark == "true"
    return run.end_time is not None and time.time() - run.end_time < _UNDECIDED_SECONDS


def _started(result: Any, request: RunRequest) -> StartedRun | DagsterError:
    try:
        return StartedRun(str(result["run"]["runId"]), request.niche)
    except (KeyError, TypeError):
        errors = result.get("errors") if isinstance(result, dict) else None
        reason = message_of(errors[0]) if errors else message_of(result)
        return DagsterError(f"Dagster did not start {request.job}: {reason}")


def _same(request: RunRequest, waiting: Sequence[Run]) -> str | None:
    """Return the id of the newest waiting run that does the requested work. Return None if no such run waits."""
    if request.config or request.niche is None:  # Without a niche, only the config says what a run does.
        return None
    return next((run.run_id for run in waiting if _niche_of(run) == request.niche and not _has_config(run)), None)


def _has_config(run: Run) -> bool:
    return run.run_config_yaml.strip() not in ("", "{}")


def _niche_of(run: Run) -> str | None:
    return next((tag.value for tag in run.tags if tag.key == _PARTITION), None)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise NoDagsterError(_UNKNOWN_FORM) from None


def _validated(adapter: TypeAdapter[T], value: Any) -> T:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        raise NoDagsterError(_UNKNOWN_FORM) from None
