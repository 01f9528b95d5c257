"""The sensor `alerts`, which reads the runs of a real Dagster instance and sends alerts to a chat."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from alert_sinks import Chat
from dagster._core.storage.schedules import SqliteScheduleStorage

from thumblab_core.errors import LabError
from thumblab_core.monitoring.watch_state import WatchState, changing_state, read_state
from thumblab_pipelines.defs.alerts.watch import look
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.resources import LabResource

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
OUTAGE = "The database does not answer: connection refused. Check THUMBLAB_DATABASE_URL, and check that its server runs"


@dg.op(config_schema={"error": str, "passed": bool, "explanation": str}, out=dg.Out(is_required=False))
def work(context: dg.OpExecutionContext) -> Iterator[Any]:
    with explained():
        if context.op_config["error"]:
            raise LabError(context.op_config["error"])
    yield dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("faiss_index"),
        check_name="intact",
        passed=context.op_config["passed"],
        metadata={},
        severity=dg.AssetCheckSeverity.ERROR,
        description=context.op_config["explanation"],
    )


@dg.job
def refresh_library() -> None:
    work()


@dg.job
def train_ranker() -> None:
    work()


class Watch:
    """A lab with failed and successful runs, in which a test evaluates the sensor `alerts` repeatedly.

    `now` is the time of the latest evaluation. The tests set `now` ahead of the clock of this machine. `fresh`: the assets
    with a freshness policy, and their schedules.
    """

    def __init__(self, folder: Path, chat: Chat) -> None:
        # Use the same retries as the lab's `dagster.yaml`.
        retries = {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}
        self.instance = dg.DagsterInstance.ephemeral(settings={"run_retries": retries})
        # A Dagster instance in memory cannot store the states of schedules, so a file in a folder is used.
        self.instance._schedule_storage = SqliteScheduleStorage.from_local(str(folder))
        self.folder, self.chat = folder, chat
        self.fresh: dict[dg.AssetKey, list[str]] = {}
        self.now = datetime.now(UTC)
        self.look()

    def run(self, job: dg.JobDefinition, niche: str | None = None, error: str = "", **more: Any) -> str:
        outcome = {"passed": more.get("passed", True), "explanation": more.get("explanation", "a file is damaged")}
        config = {"ops": {"work": {"config": {"error": error, **outcome}}}}
        tags = {} if niche is None else {"dagster/partition": niche}
        done = job.execute_in_process(
            run_config=config, instance=self.instance, tags=tags | more.get("tags", {}), raise_on_error=False
        )
        return done.run_id

    def look(self, later: timedelta = MINUTE) -> list[str]:
        """Evaluate the sensor once, and return the new texts in the chat.

        The sensor reads its state from its file, as after a restart.
        """
        before = len(self.chat.texts)
        self.now += later
        with changing_state(self.folder, keep_unwritten=True) as state:
            look(self.instance, state, LabResource(), self.fresh, self.now)
        return self.chat.texts[before:]

    @property
    def state(self) -> WatchState:
        state = read_state(self.folder)
        assert state is not None
        return state
