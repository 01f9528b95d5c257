"""Write docs/reference/assets.md from Dagster's definitions of assets, checks, jobs, schedules and sensors."""

from collections.abc import Iterable

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode

from thumblab_cli.reference.markdown import GENERATED, code, codes, table
from thumblab_pipelines.definitions import defs

_INTRODUCTION = f"""\
# Assets, jobs and schedules

An **asset** is a thing that the lab keeps and Dagster makes: a table, a folder of pictures, a release. A **check** examines
it. If a *blocking* check fails, nothing that depends on the asset runs. A **job** is a run of several assets, or of another
piece of work. A **schedule** starts a job at a set time, and a **sensor** starts one when something has happened. Times are
in the zone Australia/Hobart.

![The assets, and where the scoring service reads](../images/assets.svg)

Each asset has a *code version*, a digest of the code that its step can reach. Dagster's UI shows it, and marks an asset
whose code has changed since it was made. A *pool* limits how many runs do such work at once. A *partition* is a
[niche](../niches.md) of the lab.

{GENERATED}"""


def page() -> str:
    repository = defs().get_repository_def()
    graph = repository.asset_graph
    nodes = sorted(map(graph.get, graph.get_all_asset_keys()), key=lambda node: (node.group_name, name_of(node.key)))
    parts = [_INTRODUCTION]
    for group in dict.fromkeys(node.group_name for node in nodes):
        parts.append(f"## Assets: {group}\n")
        parts += [_asset(graph, node) for node in nodes if node.group_name == group]
    jobs = sorted((job for job in repository.get_all_jobs() if not job.name.startswith("__")), key=lambda job: job.name)
    parts.append("## Jobs\n\n" + table(("Job", "What it does", "Assets", "By niche", "Limit"), map(_job, jobs)))
    schedules = sorted(repository.schedule_defs, key=lambda schedule: schedule.name)
    parts.append(
        "## Schedules\n\n" + table(("Schedule", "Cron", "Job", "At first", "What it does"), map(_schedule, schedules))
    )
    sensors = sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
    parts.append(
        "## Sensors\n\n" + table(("Sensor", "Every", "Job", "At first", "What it does"), map(_sensor, sensors))
    )
    return "\n".join(parts)


def name_of(key: dg.AssetKey) -> str:
    return key.to_user_string()


def _asset(graph: AssetGraph, node: AssetNode) -> str:
    upstream = codes(sorted(map(name_of, node.parent_keys))) or "nothing"
    facts = [f"Made from: {upstream}.", "By niche." if node.partitions_def else "One for all niches."]
    if node.pools:
        facts.append(f"Pool: {codes(sorted(node.pools))}.")
    if not node.is_materializable:
        facts.append("Dagster shows this asset, and does not make it.")
    text = f"### {name_of(node.key)}\n\n{node.description or ''}\n\n{' '.join(facts)}\n"
    keys = sorted(node.check_keys, key=lambda key: key.name)
    if not keys:
        return text
    checks = [(code(key.name), graph.get(key)) for key in keys]
    rows = [(name, "yes" if check.blocking else "", check.description or "") for name, check in checks]
    return f"{text}\n{table(('Check', 'Blocking', 'What it says'), rows)}"


def _job(job: dg.JobDefinition) -> tuple[str, str, str, str, str]:
    assets = codes(sorted(map(name_of, job.asset_layer.selected_asset_keys)))
    seconds = job.tags.get("dagster/max_runtime")
    limit = "" if seconds is None else f"{int(seconds) // 3600} h"
    return code(job.name), job.description or "", assets, "yes" if job.partitions_def else "", limit


def _schedule(schedule: dg.ScheduleDefinition) -> tuple[str, str, str, str, str]:
    assert schedule.execution_timezone == "Australia/Hobart", schedule.name
    state = _state(schedule.default_status is dg.DefaultScheduleStatus.RUNNING)
    return code(schedule.name), code(schedule.cron_schedule), code(schedule.job_name), state, schedule.description or ""


def _sensor(sensor: dg.SensorDefinition) -> tuple[str, str, str, str, str]:
    jobs: Iterable[str] = sorted(target.job_name for target in sensor.targets)
    state = _state(sensor.default_status is dg.DefaultSensorStatus.RUNNING)
    return code(sensor.name), f"{sensor.minimum_interval_seconds} s", codes(jobs), state, sensor.description or ""


def _state(running: bool) -> str:
    return "on" if running else "off"
