"""The GraphQL queries that the service sends to Dagster, and pydantic models of Dagster's answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

LAUNCH = """
mutation Launch($runs: [ExecutionParams!]!) {
  launchMultipleRuns(executionParamsList: $runs) {
    ... on LaunchMultipleRunsResult { launchMultipleRunsResult {
      __typename
      ... on LaunchRunSuccess { run { runId } }
      ... on RunConfigValidationInvalid { errors { message } }
      ... on Error { message }
    } }
    ... on Error { message }
  }
}
"""


def add_partitions(count: int) -> str:
    """Return a mutation that adds `count` niches to Dagster's partitions. The names of the niches are in the variables
    `$niche0`, `$niche1` and so on."""
    parameters = "".join(f", $niche{number}: String!" for number in range(count))
    mutations = "\n".join(
        f"  niche{number}: addDynamicPartition(repositorySelector: $repository, "
        f'partitionsDefName: "niche", partitionKey: $niche{number}) {{ __typename }}'
        for number in range(count)
    )
    return f"mutation AddPartitions($repository: RepositorySelector!{parameters}) {{\n{mutations}\n}}"


RUNS = """
query Runs($filter: RunsFilter!, $limit: Int) {
  runsOrError(filter: $filter, limit: $limit) {
    ... on Runs { results { runId jobName status endTime runConfigYaml tags { key value } } }
    ... on Error { message }
  }
}
"""

OUTCOME = """
query Outcome($id: ID!, $after: String) {
  logsForRun(runId: $id, limit: 1000, afterCursor: $after) {
    ... on EventConnection { cursor hasMore events {
      __typename
      ... on ExecutionStepFailureEvent { stepKey failureMetadata { description } }
      ... on RunFailureEvent { message }
      ... on ExecutionStepOutputEvent { metadataEntries { label ... on JsonMetadataEntry { jsonString } } }
      ... on MaterializationEvent { assetKey { path } metadataEntries {
        label ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text } } }
      ... on AssetCheckEvaluationEvent { evaluation { checkName success description severity assetKey { path } } }
    } }
    ... on Error { message }
  }
}
"""

LOG = """
query Log($id: ID!, $after: String) {
  logsForRun(runId: $id, limit: 1000, afterCursor: $after) {
    ... on EventConnection { cursor hasMore events { __typename ... on LogMessageEvent { message } } }
    ... on Error { message }
  }
}
"""

SCHEDULER = """
query Scheduler($repository: RepositorySelector!) {
  instance { daemonHealth { daemonStatus(daemonType: "SCHEDULER") { healthy } } }
  schedulesOrError(repositorySelector: $repository) {
    ... on Schedules { results {
      name pipelineName cronSchedule executionTimezone scheduleState { status }
      futureTicks(limit: 1) { results { timestamp } }
    } }
    ... on Error { message }
  }
}
"""


class Answer(BaseModel):
    """A part of an answer of Dagster. Fields that the service does not read are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class Tag(Answer):
    """A tag of a run."""

    key: str
    value: str


class Run(Answer):
    """A run with its status (such as `QUEUED`) and its config. `end_time` is a Unix time, or None if the run has not
    ended.
    """

    run_id: str
    job_name: str
    status: str
    end_time: float | None = None
    run_config_yaml: str
    tags: list[Tag]


class AssetKey(Answer):
    """The key of an asset. The keys of the lab's assets have only one part."""

    path: list[str]


class Metadata(Answer):
    """An entry of metadata. Only the field for the type of the entry is set."""

    label: str
    int_value: int | None = None
    text: str | None = None
    json_string: str | None = None


class FailureMetadata(Answer):
    """Why a step failed. If the step raised a `LabError`, the lab's assets write the message of the error into this
    metadata.
    """

    description: str | None = None


class Evaluation(Answer):
    """The result of an asset check."""

    check_name: str
    success: bool
    description: str | None
    severity: str
    asset_key: AssetKey


class Event(Answer):
    """An event of a run. Only the fields for the type of the event are set."""

    typename: str = Field(alias="__typename")
    message: str | None = None
    step_key: str | None = None
    failure_metadata: FailureMetadata | None = None
    asset_key: AssetKey | None = None
    metadata_entries: list[Metadata] = Field(default_factory=list)
    evaluation: Evaluation | None = None


class Tick(Answer):
    """A future moment at which a schedule starts its job, in seconds since 1970."""

    timestamp: float | None


class Ticks(Answer):
    """The next moments at which a schedule starts its job."""

    results: list[Tick]


class ScheduleState(Answer):
    """Whether a schedule runs: `RUNNING` or `STOPPED`."""

    status: str


class Schedule(Answer):
    """A schedule of the lab."""

    name: str
    pipeline_name: str
    cron_schedule: str
    execution_timezone: str | None
    schedule_state: ScheduleState
    future_ticks: Ticks


def message_of(answer: Any) -> str:
    """Return the message of an error of Dagster, cut to 300 characters and to one line."""
    text = answer.get("message") if isinstance(answer, dict) else None
    return " ".join(str(text or "no reason was given").split())[:300]
