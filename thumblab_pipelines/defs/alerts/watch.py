"""Define the sensor `alerts`, which reports failures to a person, once per cause."""

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy import text

from thumblab_core.database.failures import explained_failure
from thumblab_core.errors import LabError
from thumblab_core.keys.secret_texts import secret_texts
from thumblab_core.monitoring.watch_state import Message, Quota, WatchState, changing_state, without_future
from thumblab_core.niches.niche_file import NICHE_FILE, read_names
from thumblab_core.running import running_lab
from thumblab_core.settings import Settings
from thumblab_pipelines.alerts.book import Event, due, record
from thumblab_pipelines.alerts.delivery import LONGEST_PAUSE, announce, channels, deliver
from thumblab_pipelines.defs.alerts.late import late
from thumblab_pipelines.defs.alerts.retired import drop_retired
from thumblab_pipelines.defs.alerts.seen_runs import count_from_zero, read_runs
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.youtube.quota import balances_of


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports what failed, is late or has recovered: in the log, in a chat and by e-mail.",
)
def alerts(context: dg.SensorEvaluationContext, lab: LabResource) -> dg.SkipReason:
    chosen = lab.chosen()
    chosen.data_dir.mkdir(parents=True, exist_ok=True)
    repository = context.repository_def
    fresh = {} if repository is None else _with_freshness_policy(repository)
    with changing_state(chosen.data_dir, keep_unwritten=True) as state:
        count_from_zero(state, [] if repository is None else repository.job_names)
        if repository is not None:
            _drop_removed_checks(state, repository)
        look(context.instance, state, lab, fresh, datetime.now(UTC))
        return dg.SkipReason(_said(state))


def look(
    instance: dg.DagsterInstance,
    state: WatchState,
    lab: LabResource,
    fresh: Mapping[dg.AssetKey, Collection[str]],
    now: datetime,
) -> None:
    """Read the runs, report the alerts that a person must see now, and send the waiting messages.

    `fresh`: the assets with a freshness policy, and the schedules that make each of them. The lab's database may be down,
    because no alert needs it.
    """
    chosen = lab.chosen()
    senders, secrets = channels(chosen), secret_texts(chosen, os.environ)
    # This tick changes a copy of the state. If the tick fails, the copy is dropped, and the next tick reads the same
    # runs again.
    seen = without_future(state, now, LONGEST_PAUSE)
    first = seen.checked_at is None or seen.without_channel != (not senders)
    seen.without_channel = not senders
    events: list[Event] = [*read_runs(instance, seen, now, secrets)]
    niches = read_names(chosen.data_dir / NICHE_FILE)
    if niches is not None:  # If the file of the niches is damaged, the retired niches are not known.
        events += drop_retired(seen, niches, now)
    events += late(instance, seen, chosen, fresh, now)
    seen.checked_at = now
    messages = [*record(seen, events), *due(seen, now, timedelta(seconds=chosen.alert_wait_s), dagster_page(chosen))]
    announce(seen, [*_about_channels(first, senders), *messages], senders, now, secrets)
    for name in WatchState.model_fields:
        setattr(state, name, getattr(seen, name))
    deliver(state, senders, now, secrets)
    _measure(lab, state, now)  # `_measure` comes last, because it may wait long for a database that is down.


def dagster_page(chosen: Settings) -> str:
    """Return the URL at which a person opens Dagster's pages."""
    running = running_lab(chosen.data_dir)
    return chosen.alert_dagster_url or (chosen.dagster_url if running is None else running.dagster)


def _about_channels(first: bool, senders: object) -> Iterator[Message]:
    """Yield a message which says that alerts go only to the log, if `first` is true and no alert channel is set."""
    if first and not senders:
        yield Message(
            title="Alerts go to this log only",
            lines=[
                "For alerts elsewhere, set THUMBLAB_ALERT_WEBHOOK_URL or THUMBLAB_ALERT_SMTP_HOST; see docs/alerts.md"
            ],
        )


def _measure(lab: LabResource, state: WatchState, now: datetime) -> None:
    """Read the remaining quota and the size of the database. If the database does not answer, both figures stay unknown."""
    state.quota, state.database_bytes = {}, None
    try:
        opened = lab.open()
        with opened.engine.connect() as connection:
            balances = balances_of(connection, opened.settings, now)
            size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    except LabError:
        return
    except Exception as error:
        if explained_failure(error) is None:
            raise
        return
    state.quota = {balance.bucket: Quota(limit=balance.limit, left=balance.left) for balance in balances}
    state.database_bytes = int(size)


def _with_freshness_policy(repository: dg.RepositoryDefinition) -> dict[dg.AssetKey, list[str]]:
    """Return the names of the schedules that make each asset with a freshness policy."""
    graph = repository.asset_graph
    made = {
        schedule.name: repository.get_job(schedule.job_name).asset_layer.selected_asset_keys
        for schedule in repository.schedule_defs
    }
    return {
        key: [schedule for schedule, assets in made.items() if key in assets]
        for key in graph.materializable_asset_keys
        if graph.get(key).freshness_policy is not None
    }


def _drop_removed_checks(state: WatchState, repository: dg.RepositoryDefinition) -> None:
    """Remove the results of checks that this version of the lab does not have. No run would ever replace these results."""
    known = {(key.asset_key.to_user_string(), key.name) for key in repository.asset_graph.asset_check_keys}
    state.checks = {key: check for key, check in state.checks.items() if (check.asset, check.check) in known}


def _said(state: WatchState) -> str:
    """Return the text that the sensor's page in Dagster shows for this tick."""
    number = len(state.alerts)
    parts = [f"{number} alerts are open" if number != 1 else "1 alert is open"]
    if state.without_channel:
        parts.append("alerts go to the log only")
    for name in sorted({delivery.channel for delivery in state.deliveries}):
        waiting = [delivery for delivery in state.deliveries if delivery.channel == name]
        parts.append(f"{name}: waiting messages: {len(waiting)} ({waiting[0].problem or 'not tried yet'})")
    return "; ".join(parts)
