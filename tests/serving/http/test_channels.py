"""Test the routes of `/v1/channels` without a Dagster. tests/e2e adds a channel with a real Dagster."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from test_http import problem

from thumblab_core.channel_imports.import_folder import IMPORTS, ImportFolder
from thumblab_core.channel_imports.report import ExportTable, ImportReport, ImportStep
from thumblab_core.keys.named_keys import OWN_KEY, NamedKeys
from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters
from thumblab_serving.channels.added_channels import added_channels
from thumblab_serving.channels.export_store import (
    KEPT,
    MOST_IMPORTS,
    MOST_UNFINISHED,
    ExportStore,
    TooManyImportsError,
    file_name,
)

EXPORT = ("Content 2015-01-01_2026-11-01 My channel.csv", b"Content,Video title\n")
UNKNOWN = "/v1/channels/runs/" + "0" * 32


def files(*exports):
    return [("exports", (name, data, "text/csv")) for name, data in exports or [EXPORT]]


def report(state, **more):
    return ImportReport(state=state, updated_at=datetime.now(UTC), **more)


@pytest.fixture(scope="module")
def service(lab_at, run, tmp_path_factory):
    """A running service of an empty lab without a Dagster. The tests of this module share the service."""
    lab = lab_at(tmp_path_factory.mktemp("channels"))
    with run(lab.settings, wait=False) as service:
        service.lab = lab
        yield service


@pytest.fixture
def store(service):
    """The store in which the service keeps uploaded exports. All exports in it are deleted after the test."""
    store = ExportStore(service.lab.settings)
    yield store
    for path in (service.lab.settings.data_dir / IMPORTS).glob("*"):
        stored = store.find(path.name)
        if stored is not None:
            store.remove(stored)


def kept(service):
    return list((service.lab.settings.data_dir / IMPORTS).glob("*"))


def ask(service, stored):
    reply = service.client.get(f"/v1/channels/runs/{stored.folder.import_id}")
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/channels"), ("GET", "/v1/channels"), ("GET", "/v1/channels/runs"), ("GET", UNKNOWN)],
)
def test_every_path_needs_a_key_with_the_scope_score(service, method, path):
    operator = NamedKeys(service.lab.settings).add(f"operator-{method.lower()}-{len(path)}", ["admin"])
    for key, status in (("", 401), ("wrong", 401), (operator, 403)):
        assert problem(httpx.request(method, service.url + path, headers={"X-API-Key": key}, trust_env=False), status)


def test_without_dagster_the_answer_says_what_to_start_and_nothing_is_kept(service, store):
    reply = service.client.post("/v1/channels", data={"niche": "tech"}, files=files())
    body = problem(reply, 503)
    assert body["type"] == "urn:thumblab:no-dagster"
    assert "start the lab with `thumblab up`" in body["detail"]
    assert reply.headers["retry-after"] == "30"
    assert kept(service) == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"niche": "knitting"}, "niche"),
        ({"category": "tech"}, "category: there is no such field"),
        ({"name": " \u200b "}, "name: it has no visible character"),
        ({"name": "x" * 201}, "name"),
        ({"columns": "rate"}, "columns: Invalid JSON"),
        ({"columns": "[1]"}, "columns: send a JSON object"),
        ({"columns": '{"clicks": "3"}'}, "columns.clicks"),
        ({"columns": '{"rate": 3}'}, "columns.rate"),
        ({"columns": '{"rate": "a", "rate": "b"}'}, "columns: Invalid JSON"),
    ],
)
def test_a_bad_field_is_named(service, data, expected):
    assert expected in problem(service.client.post("/v1/channels", data=data, files=files()), 422)["detail"]


def test_a_form_without_a_file_or_with_too_much_is_refused(service):
    assert (
        "exports: send 1 to 20 files"
        in problem(service.client.post("/v1/channels", files={"name": (None, "a")}), 422)["detail"]
    )
    assert (
        "exports: send 1 to 20 files"
        in problem(service.client.post("/v1/channels", files=files(*[EXPORT] * 21)), 422)["detail"]
    )
    assert problem(service.client.post("/v1/channels", files=files(*[EXPORT] * 22)), 400)
    large = ("a.zip", bytes(33 * 2**20))
    assert "the files have 33 MiB" in problem(service.client.post("/v1/channels", files=files(large)), 422)["detail"]
    assert problem(service.client.post("/v1/channels", files={"exports": (None, "text")}), 422)
    assert problem(service.client.post("/v1/channels", json={}), 415)["detail"] == "send multipart/form-data"
    assert kept(service) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (EXPORT[0], EXPORT[0]),
        ("../../etc/passwd", "passwd"),
        ("C:\\exports\\Inhalte.zip", "Inhalte.zip"),
        ("..", "export-1.csv"),
        ("/", "export-1.csv"),
        (None, "export-1.csv"),
        (".env", "env"),
        ("a\0b\n\u202ec.csv", "abc.csv"),
        ("\udc80.csv", "csv"),
        ("é" * 300 + ".zip", "é" * 98 + ".zip"),
        ("." + "x" * 300, "export-1.csv"),
    ],
)
def test_the_name_of_a_file_becomes_a_name_in_the_folder_of_the_import(name, expected):
    assert file_name(name, 0) == expected


def test_two_files_of_one_name_are_both_kept_and_only_the_owner_may_read_them(store, service):
    stored, paths = store.add([("a.csv", b"1"), ("../a.csv", b"2")], OWN_KEY)
    data_dir = service.lab.settings.data_dir
    assert [(data_dir / path).read_bytes() for path in paths] == [b"1", b"2"]
    assert all((data_dir / path).resolve().is_relative_to(stored.folder.path.resolve()) for path in paths)
    assert stored.folder.path.stat().st_mode & 0o077 == 0


def test_an_unknown_import_and_an_import_of_another_key_are_not_found(service, store):
    other, _ = store.add([EXPORT], "another key")
    for id_ in ("0" * 32, "..%2F..", "x", other.folder.import_id):
        assert problem(service.client.get(f"/v1/channels/runs/{id_}"), 404)


def test_a_key_finds_its_own_imports_again_the_newest_first(service, store):
    first, _ = store.add([EXPORT], OWN_KEY)
    first.folder.write_report(report("failed", reason="r"))
    store.add([EXPORT], "another key")
    second, _ = store.add([EXPORT], OWN_KEY)
    imports = service.client.get("/v1/channels/runs").json()["imports"]
    expected = [(second.folder.import_id, "queued"), (first.folder.import_id, "failed")]
    assert [(one["id"], one["state"]) for one in imports] == expected


def test_a_key_that_is_added_under_the_name_of_a_revoked_one_does_not_get_its_imports(service, store):
    keys = NamedKeys(service.lab.settings)
    first = keys.add("editor", ["score"])
    [owner] = [key.owner for key in keys.all() if key.name == "editor"]
    path = f"/v1/channels/runs/{store.add([EXPORT], owner)[0].folder.import_id}"
    assert service.client.get(path, headers={"X-API-Key": first}).status_code == 200
    keys.revoke("editor")
    assert problem(service.client.get(path, headers={"X-API-Key": keys.add("editor", ["score"])}), 404)


def test_an_import_without_news_says_that_dagster_is_silent(service, store):
    stored, _ = store.add([EXPORT], OWN_KEY)
    answer = ask(service, stored)
    assert (answer["state"], answer["files"], answer["steps"]) == ("queued", [EXPORT[0]], [])
    assert answer["reason"] == "nothing is known about the progress: the Dagster of this lab is not running"
    old = report("running", steps=[ImportStep(name="pictures", done=120, total=300)])
    stored.folder.write_report(old.model_copy(update={"updated_at": datetime.now(UTC) - timedelta(minutes=1)}))
    answer = ask(service, stored)
    assert answer["state"] == "running"
    assert "nothing is known" in answer["reason"]


def test_the_report_of_the_job_is_shown_as_it_grows(service, store):
    stored, _ = store.add([EXPORT], OWN_KEY)
    stored.folder.write_report(report("running", steps=[ImportStep(name="pictures", done=120, total=300)]))
    answer = ask(service, stored)
    assert (answer["state"], answer["reason"]) == ("running", None)
    assert answer["steps"] == [{"name": "pictures", "done": 120, "total": 300}]
    table = ExportTable(where="a.csv", headers=["A", "B"], found={"video": 1}, missing=["rate"])
    stored.folder.write_report(
        report("failed", reason="the export lacks a column", needs="columns", unrecognised=[table])
    )
    answer = ask(service, stored)
    assert (answer["state"], answer["reason"], answer["needs"]) == ("failed", "the export lacks a column", "columns")
    assert answer["unrecognised"][0]["headers"] == ["A", "B"]
    (stored.folder.path / "report.json").write_text("{")
    answer = ask(service, stored)
    assert answer["state"] == "failed"
    assert "send the exports again" in answer["reason"]


def test_a_key_has_few_unfinished_imports_and_those_that_have_ended_make_room(service, store):
    unfinished = [store.add([EXPORT], OWN_KEY)[0] for _ in range(MOST_UNFINISHED)]
    reply = service.client.post("/v1/channels", files=files())
    assert problem(reply, 503)["type"] == "urn:thumblab:busy"
    assert reply.headers["retry-after"] == "60"
    store.add([EXPORT], "another key")
    unfinished[0].folder.write_report(report("done"))
    store.add([EXPORT], OWN_KEY)
    for n in range(3 * MOST_IMPORTS):
        stored, paths = store.add([EXPORT], f"key {n}")
        stored.folder.write_report(report("failed", reason="r"))
    assert len(kept(service)) == MOST_IMPORTS
    assert store.find(unfinished[0].folder.import_id) is None, "the oldest ended import must be deleted to make room"
    assert store.find(unfinished[1].folder.import_id) is not None
    store.sweep()
    assert not (service.lab.settings.data_dir / paths[0]).exists(), "exports must be deleted after they were read"
    with pytest.raises(TooManyImportsError, match="have not ended yet"):
        store.add([EXPORT], OWN_KEY)


def age_by(stored, time):
    facts = stored.folder.path / "facts.json"
    created_at = (datetime.now(UTC) - time).isoformat()
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"created_at": created_at}))


def test_the_exports_of_an_import_that_waits_for_its_turn_are_kept(service, store):
    """Make imports in three states: an import waits, an import runs, and the run of an import was killed."""
    hours = timedelta(hours=1)
    waits, works, stopped_waiting, stopped_working = (store.add([EXPORT], f"key {n}")[0] for n in range(4))
    age_by(waits, 5 * hours)
    age_by(works, 5 * hours)
    works.folder.write_report(report("running"))
    age_by(stopped_waiting, 13 * hours)
    stopped_working.folder.write_report(
        report("running").model_copy(update={"updated_at": datetime.now(UTC) - 4 * hours})
    )
    store.sweep()
    kept_exports = {path.parents[2].name for path in (service.lab.settings.data_dir / IMPORTS).rglob(EXPORT[0])}
    assert kept_exports == {waits.folder.import_id, works.folder.import_id}


def test_a_sweep_of_another_worker_does_not_delete_an_import_that_is_being_stored(store, monkeypatch):
    write_bytes = Path.write_bytes

    def write_in_two_parts(path, data):
        write_bytes(path, data[:1])
        store.sweep()
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_in_two_parts)
    stored, _ = store.add([EXPORT], OWN_KEY)
    found = store.find(stored.folder.import_id)
    assert found is not None
    assert found.facts == stored.facts


def test_an_import_is_deleted_after_a_day(service, store):
    stored, _ = store.add([EXPORT], OWN_KEY)
    age_by(stored, KEPT + timedelta(seconds=1))
    assert problem(service.client.get(f"/v1/channels/runs/{stored.folder.import_id}"), 404)
    store.sweep()
    assert kept(service) == []


def test_without_a_model_no_added_channel_is_in_use(new_lab):
    lab = new_lab()
    about = ChannelAdapterInfo("UCmine", "Mine", "a model", 24, "2026-11-01T00:00:00+00:00")
    ChannelAdapters(lab.store).publish(about, None, 9, [], {})
    [channel] = added_channels(lab.store)
    assert (channel.in_use, channel.reason) == (False, "no model is served")


def test_the_added_channels_are_listed_with_their_facts(new_lab, run):
    lab = new_lab()
    model = lab.promote(lab.model()).release_id
    check = {"videos": 40, "pairs": 412, "adapted": 0.63, "adapted_low": 0.55, "adapted_high": 0.71, "unadapted": 0.52}
    check |= {"gained": 0.11, "low": 0.02, "high": 0.2}
    older = {"pairs": 412, "adapted": 0.63, "unadapted": 0.52, "gained": 0.11, "low": 0.02, "high": 0.2}

    def add(channel_id, of_model=model, videos=24, check=None):
        about = ChannelAdapterInfo(channel_id, f"The {channel_id}", of_model, videos, "2026-11-01T00:00:00+00:00")
        return ChannelAdapters(lab.store).publish(about, None, 9, [], {"check": check})

    add("UCused", check=check)
    add("UCfew", videos=3)
    add("UCold", of_model="another model", check=older)
    damaged = add("UCdamaged")
    (damaged.path / "manifest.json").write_text("{")
    with run(lab.settings, wait=False) as service:
        reply = service.client.get("/v1/channels")
    assert reply.status_code == 200
    channels = {channel["channel_id"]: channel for channel in reply.json()["channels"]}
    assert list(channels) == ["UCfew", "UCold", "UCused"]
    used = channels["UCused"]
    assert (used["title"], used["videos"], used["in_use"], used["reason"]) == ("The UCused", 24, True, None)
    skill = used["skill"]
    assert (skill["videos"], skill["right"], skill["low"], skill["gained_low"]) == (40, 0.63, 0.55, 0.02)
    assert channels["UCold"]["skill"] is None, "the manifest of an older adapter lacks some figures"
    assert "another model" in channels["UCold"]["reason"]
    assert channels["UCfew"]["reason"] == "it has 3 of the 5 videos that a channel adapter needs"


def test_a_report_leaves_the_unfinished_report_of_another_writer_alone(tmp_path):
    folder = ImportFolder(tmp_path, "0" * 32)
    folder.path.mkdir(parents=True)
    folder.write_report(report("running"))
    unfinished = folder.path / "report.json.new"
    unfinished.write_text('{"state": "fai')
    folder.write_report(report("done"))
    assert unfinished.read_text() == '{"state": "fai'
    stored = folder.report()
    assert stored is not None
    assert stored.state == "done"
