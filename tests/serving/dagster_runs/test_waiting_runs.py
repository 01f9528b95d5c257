"""Test what the service reports about waiting and failed runs of a real Dagster.

No daemon runs, so all runs wait, and no failed run is tried again.
"""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

from thumblab_core.channel_imports.report import ImportReport
from thumblab_core.keys.named_keys import OWN_KEY, NamedKeys
from thumblab_serving.channels.export_store import ExportStore
from thumblab_serving.channels.followed_imports import TAG, describe
from thumblab_serving.dagster_runs import runs as runs_module
from thumblab_serving.dagster_runs.graphql import DagsterGraphql
from thumblab_serving.dagster_runs.runs import DagsterRuns, FullQueueError, RunRequest, StartedRun

FACTORY = {"ops": {"faiss_index": {"config": {"factory": "IVF2,Flat"}}}}


@pytest.fixture
def ask(settings):
    """Return a function that calls an async function, and returns its result. The argument of the call is a
    `DagsterRuns`.
    """

    async def with_runs(question):
        graphql = DagsterGraphql(settings)
        try:
            return await question(DagsterRuns(graphql))
        finally:
            await graphql.close()

    return lambda question: asyncio.run(with_runs(question))


@pytest.fixture
def start(ask):
    """Return a function that requests several runs, one after the other, and returns the started runs."""

    def start_all(*requests):
        async def one_by_one(runs):
            return [(await runs.start([request]))[0] for request in requests]

        return ask(one_by_one)

    return start_all


@pytest.fixture
def failed_import(settings):
    """Return a function that stores an import, marks its run as failed, and returns the import."""
    store = ExportStore(settings)
    with DagsterInstance.from_config(str(settings.data_dir)) as instance:

        def make(owner, ended_at):
            stored, _ = store.add([("a.csv", b"")], owner)
            tags = {TAG: stored.folder.import_id}
            run = DagsterRun("add_channel", status=DagsterRunStatus.STARTED, tags=tags)
            instance.add_run(run)
            # Dagster stores two facts one after the other: first that a run has failed, and a moment later whether it
            # retries the run.
            failure = DagsterEvent(DagsterEventType.RUN_FAILURE.value, "add_channel")
            instance.run_storage.handle_run_event(run.run_id, failure, datetime.fromtimestamp(ended_at, UTC))
            return stored, lambda mark: instance.add_run_tags(run.run_id, {"dagster/will_retry": mark})

        yield make


def test_runs_with_config_are_counted_and_never_used_again(start, monkeypatch):
    plain, given = RunRequest("rebuild_index", "tech"), RunRequest("rebuild_index", "tech", FACTORY)
    started = start(given, plain, given, plain, RunRequest("rebuild_index", "news"))
    assert all(isinstance(run, StartedRun) for run in started), started
    assert [run.reused for run in started] == [False, False, False, True, False]
    assert started[3].run_id == started[1].run_id
    assert len({run.run_id for run in started}) == 4
    monkeypatch.setattr(runs_module, "MOST_QUEUED", 4)
    with pytest.raises(FullQueueError, match="4 runs of rebuild_index wait already"):
        start(given)
    assert start(plain)[0].reused


def test_a_run_starts_for_a_niche_of_which_dagster_has_no_partition_yet(start, settings):
    [run] = start(RunRequest("rebuild_index", "cooking"))
    assert isinstance(run, StartedRun), run
    with DagsterInstance.from_config(str(settings.data_dir)) as instance:
        assert "cooking" in instance.get_dynamic_partitions("niche")


def test_an_import_has_not_failed_before_dagster_has_decided_not_to_try_its_run_again(ask, failed_import):
    stored, mark = failed_import(OWN_KEY, time.time())

    def state():
        return ask(lambda runs: describe(stored, runs)).state

    assert state() == "queued"
    mark("true")
    assert state() == "queued"
    mark("false")
    assert state() == "failed"


def test_an_import_has_failed_if_dagster_never_decides(ask, failed_import):
    stored, _ = failed_import("another key", time.time() - 3600)
    assert ask(lambda runs: describe(stored, runs)).state == "failed"


@pytest.fixture
def stored_import(settings):
    """Return a function that stores an import for the holder of a key, and returns the import. No run was started."""
    store = ExportStore(settings)

    def make(owner, age=timedelta()):
        stored, _ = store.add([("a.csv", b"")], owner)
        stored.folder.write_facts(replace(stored.facts, created_at=stored.facts.created_at - age))
        return store.find(stored.folder.import_id)

    return make


def test_an_import_that_is_listed_before_its_run_is_started_has_not_failed(ask, stored_import):
    stored = stored_import("a key that lists its imports while it sends exports")
    assert ask(lambda runs: describe(stored, runs)).state == "queued"
    assert stored.report() is None, "a later answer must show the report of the run"


def test_an_import_whose_run_dagster_has_forgotten_has_failed(ask, stored_import):
    described = ask(lambda runs: describe(stored_import("a key of old imports", timedelta(hours=1)), runs))
    assert (described.state, described.reason) == (
        "failed",
        "Dagster does not know the run any more; send the exports again",
    )


def test_an_import_that_ended_before_its_request_was_answered_is_answered_as_queued(ask, stored_import):
    stored = stored_import("a key of a fast run")
    stored.folder.write_report(ImportReport(state="failed", updated_at=datetime.now(UTC), needs="columns"))
    assert ask(lambda runs: describe(stored, runs, "the id of the run")).state == "queued"
    assert ask(lambda runs: describe(stored, runs)).state == "failed"


def test_only_a_key_with_the_scope_admin_sees_where_dagster_is(settings, run, failed_import):
    keys = NamedKeys(settings)
    scopes = {"editor": ["score"], "boss": ["score", "admin"]}
    key_of = {name: keys.add(name, of_key) for name, of_key in scopes.items()}
    owner_of = {key.name: key.owner for key in keys.all()}
    shown = {}
    with run(settings.model_copy(update={"image_encoder": "builtin"}), wait=False) as service:
        for name, key in key_of.items():
            stored, _ = failed_import(owner_of[name], time.time())
            path = f"{service.url}/v1/channels/runs"
            with httpx.Client(headers={"X-API-Key": key}, trust_env=False) as client:
                one = client.get(f"{path}/{stored.folder.import_id}").json()
                listed = client.get(path).json()["imports"]
            shown[name] = [one["run_url"], *(of_list["run_url"] for of_list in listed)]
    assert shown["editor"] == [None, None]
    assert len(shown["boss"]) == 2
    assert all(url.startswith(f"{settings.dagster_url}/runs/") for url in shown["boss"])
