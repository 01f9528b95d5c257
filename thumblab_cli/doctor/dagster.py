"""Check Dagster: that its daemon is alive, that its schedules are on, and when each niche was last refreshed."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from thumblab_cli.doctor.examined import Examined, NotRunningError
from thumblab_cli.doctor.finding import Finding, error, fine, skipped, warning
from thumblab_core.errors import LabError
from thumblab_core.niches import NicheFile
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore

_LATE = timedelta(hours=36)
"""If the last refresh of a niche is older, the check warns. Each niche is refreshed daily, so after 36 hours the next
refresh is half a day late.
"""

_STATE = """
query State($repository: RepositorySelector!) {
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy lastHeartbeatErrors { message } } } }
  schedulesOrError(repositorySelector: $repository) {
    __typename
    ... on Schedules { results { name defaultStatus scheduleState { status } } }
    ... on Error { message }
  }
  sensorsOrError(repositorySelector: $repository) {
    __typename
    ... on Sensors { results { name defaultStatus sensorState { status } } }
  }
}
"""
_LAST_RUN = """
  niche{number}: runsOrError(limit: 1, filter: {{
    pipelineName: "refresh_library", statuses: [SUCCESS], tags: [{{ key: "dagster/partition", value: "{niche}" }}]
  }}) {{ ... on Runs {{ results {{ endTime }} }} }}
"""
_VIDEOS = "SELECT niche, count(*) FROM videos GROUP BY niche"


def daemon(examined: Examined) -> Iterator[Finding]:
    """Check that each part of Dagster's daemon has sent a heartbeat lately. The daemon starts and watches the runs."""
    if not examined.has_dagster:
        yield skipped(f"`{examined.up()}` does not run, so Dagster does not run either")
        return
    restart = f"{examined.up('logs dagster-daemon')} says why; `{examined.up()}` restarts the daemon by itself"
    try:
        statuses = _state(examined)["instance"]["daemonHealth"]["allDaemonStatuses"]
    except LabError as problem:
        yield error(str(problem), _mend(examined, problem))
        return
    dead = sorted(status["daemonType"] for status in statuses if status["required"] and not status["healthy"])
    if dead:
        yield error(f"Dagster's daemon sends no heartbeat ({', '.join(dead)}), so no run starts", restart)
    else:
        yield fine(f"{len(statuses)} parts, all alive")


def _mend(examined: Examined, problem: LabError) -> str:
    from thumblab_serving.dagster_runs.graphql import FailingDagsterError

    says_why = f"{examined.up('logs dagster')} says why"
    if isinstance(problem, FailingDagsterError):
        return f"{says_why}; first mend what the checks folder and database report"
    return f"{says_why}; `{examined.up()}` restarts Dagster by itself"


def schedules(examined: Examined) -> Iterator[Finding]:
    """Check that the schedules and sensors are turned on. Those that are off by default may stay off."""
    if not examined.has_dagster:
        yield skipped(f"`{examined.up()}` does not run, so no schedule runs")
        return
    try:
        state = _state(examined)
    except LabError as problem:
        yield skipped(str(problem))
        return
    listed = state["schedulesOrError"]
    if listed.get("__typename") != "Schedules":
        yield error(
            no_definitions(str(listed.get("message", ""))),
            f"wait a minute, because `{examined.up()}` restarts a code server that has ended; if the error stays, "
            f"{examined.up('logs dagster-code')} shows the whole error",
        )
        return
    kinds = (("schedule", listed), ("sensor", state["sensorsOrError"]))
    stopped = [
        (kind, each["name"])
        for kind, found in kinds
        for each in found.get("results", [])
        if each["defaultStatus"] == "RUNNING" and each[f"{kind}State"]["status"] != "RUNNING"
    ]
    for kind, name in stopped:
        yield warning(f"the {kind} {name} is turned off", f"turn it on at {examined.dagster_page}/automation")
    if not stopped:
        running = sum(each["scheduleState"]["status"] == "RUNNING" for each in listed["results"])
        yield fine(f"{running} schedules are on")


def no_definitions(message: str) -> str:
    """Return a sentence for the error with which Dagster says that it has no definitions of the lab."""
    if "DagsterUserCodeUnreachableError" in message:
        return "Dagster's code server does not answer, so Dagster cannot load the lab's definitions"
    # Dagster puts the names of its own errors in front of the cause, and a stack trace behind it.
    cause = " ".join(message.partition("Stack Trace:")[0].split())
    cause = re.sub(r"^(dagster[\w.]*Error: |Failure loading \S+: )+", "", cause)
    return f"Dagster cannot load the lab's definitions: {cause[:200]}"


def refreshed(examined: Examined) -> Iterator[Finding]:
    """Check when each niche was last refreshed.

    The time of the last refresh is the end of the niche's last successful run, or the time at which the data of its
    served index were read, whichever is later.
    """
    last = _served_since(examined)
    for niche, moment in _last_runs(examined).items():
        last[niche] = max(last.get(niche, moment), moment)
    now, held = examined.machine.now(), _videos(examined)
    file = NicheFile(examined.settings.data_dir)
    niches = file.names
    never = [niche for niche in niches if held.get(niche) and niche not in last]
    # A retired niche is not refreshed. So for a niche that was restored, the age is counted from the restoration.
    late = {
        niche: now - moment
        for niche, moment in last.items()
        if now - max(moment, file.restored.get(niche, moment)) > _LATE and examined.is_scheduled
    }
    for niche in never:
        yield warning(
            f"{niche} has {held[niche]:,} videos and was never refreshed", examined.command(f"refresh {niche}")
        )
    for niche, age in sorted(late.items()):
        yield warning(
            f"{niche} was last refreshed {_hours(age)} ago, and a refresh is due every day",
            f"{examined.command(f'refresh {niche}')}; for the daily runs, see {examined.dagster_page or examined.up()}",
        )
    if last and not never and not late:
        ages = ", ".join(f"{niche} {_hours(now - moment)}" for niche, moment in sorted(last.items()))
        yield fine(f"last good refresh: {ages} ago")
    elif not never and not late:
        yield skipped("no niche was refreshed yet")


def _hours(age: timedelta) -> str:
    hours = age.total_seconds() / 3_600
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} h"


def _served_since(examined: Examined) -> dict[str, datetime]:
    """Return, for each niche, the time at which the data of its served index were read.

    A niche is left out if it serves no index, or if its index cannot be read.
    """
    store, found = ReleaseStore(release_place(examined.settings)), dict[str, datetime]()
    for niche in NicheFile(examined.settings.data_dir).names:
        try:
            release = store.serving.current(INDEX, niche)
        except (LabError, UnicodeDecodeError):
            continue
        if release is not None:
            found[niche] = datetime.fromisoformat(str(release.info.get("as_of", release.created_at)))
    return found


def _last_runs(examined: Examined) -> dict[str, datetime]:
    """Return, for each niche, when its last successful refresh ended, from Dagster's records."""
    from thumblab_serving.dagster_runs.graphql import NoDagsterError

    if not examined.has_dagster:
        return {}
    niches = NicheFile(examined.settings.data_dir).names
    try:
        query = "".join(_LAST_RUN.format(number=at, niche=niche) for at, niche in enumerate(niches))
        answer = _ask(examined, f"{{ {query} }}", {})
    except NoDagsterError:  # The check `daemon` reports this error.
        return {}
    ends = {
        niche: [run["endTime"] for run in answer[f"niche{at}"].get("results", []) if run["endTime"]]
        for at, niche in enumerate(niches)
    }
    return {niche: datetime.fromtimestamp(found[0], UTC) for niche, found in ends.items() if found}


def _videos(examined: Examined) -> dict[str, int]:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    try:
        with examined.database() as connection:
            return {str(niche): int(count) for niche, count in connection.execute(text(_VIDEOS))}
    except (NotRunningError, LabError, DBAPIError):  # The check `database` reports this error.
        return {}


def _state(examined: Examined) -> dict[str, Any]:
    from thumblab_serving.dagster_runs.graphql import REPOSITORY

    return _ask(examined, _STATE, {"repository": REPOSITORY})


def _ask(examined: Examined, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Send a GraphQL query to the lab's Dagster and return its answer. Raise LabError if there is no answer."""
    from thumblab_serving.dagster_runs.graphql import DagsterGraphql

    async def ask() -> dict[str, Any]:
        graphql = DagsterGraphql(examined.settings)
        try:
            return await graphql.ask(query, variables)
        finally:
            await graphql.close()

    return asyncio.run(ask())
