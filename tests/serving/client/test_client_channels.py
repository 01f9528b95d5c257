"""Test how `Client` and `AsyncClient` import channels. The service is real, but no Dagster runs in this lab."""

import asyncio
from datetime import UTC, datetime

import pytest

from thumblab_client import (
    AsyncClient,
    Client,
    ExportError,
    InvalidRequestError,
    Patience,
    StillRunningError,
    ThumblabError,
    UnavailableError,
)
from thumblab_core.channel_imports.report import ImportReport, ImportStep
from thumblab_core.keys.named_keys import OWN_KEY
from thumblab_serving.channels.export_store import ExportStore

KEY = "key-of-the-tests-0123456789"
NAME = "Content 2015-01-01_2026-11-01 My channel.csv"
STEPS = [ImportStep(name="pictures", done=120, total=300)]


@pytest.fixture
def call(service, request):
    """Return a function that calls a method of a client, and returns its result."""

    def of_client(method, *given, **options):
        with Client(service.url, KEY, patience=Patience(retries=0)) as client:
            return getattr(client, method)(*given, **options)

    async def of_async_client(method, *given, **options):
        async with AsyncClient(service.url, KEY, patience=Patience(retries=0)) as client:
            return await getattr(client, method)(*given, **options)

    if request.param == "async":
        return lambda *given, **options: asyncio.run(of_async_client(*given, **options))
    return of_client


both = pytest.mark.parametrize("call", ["sync", "async"], indirect=True)


@pytest.fixture
def stored(service):
    """A stored import that belongs to the client's key. The job that imports the exports has written no report yet."""
    store = ExportStore(service.app.state.settings)
    stored, _ = store.add([(NAME, b"Content,Video title\n")], OWN_KEY)
    yield stored
    store.remove(stored)


def write(stored, state, **more):
    stored.folder.write_report(ImportReport(state=state, updated_at=datetime.now(UTC), steps=STEPS, **more))


@both
def test_exports_are_sent_as_files_or_bytes_with_the_given_facts(call, tmp_path):
    path = tmp_path / NAME
    path.write_text("Content,Video title\n")
    for exports in ([path], [str(path), ("b.zip", b"PK")]):
        with pytest.raises(UnavailableError) as refused:  # The request is valid, but it fails because no Dagster runs.
            call("add_channel", exports, name="My channel", niche="tech", columns={"rate": "9"})
        assert refused.value.kind == "no-dagster"
    for wrong, named in (({"niche": "knitting"}, "niche"), ({"columns": {"clicks": "3"}}, "columns.clicks")):
        with pytest.raises(InvalidRequestError, match=named):
            call("add_channel", [path], **wrong)


@both
def test_an_import_is_followed_until_it_has_ended(call, stored):
    write(stored, "running")
    progress = call("channel_import", stored.folder.import_id)
    assert (progress.state, progress.files, progress.steps[0].done) == ("running", [NAME], 120)
    with pytest.raises(StillRunningError, match=r"is running \(pictures: 120 of 300\) after 0 s"):
        call("wait_for_channel", stored.folder.import_id, every_s=0.01, timeout_s=0)
    write(stored, "failed", reason="the export lacks a column", needs="columns")
    ended = call("wait_for_channel", stored.folder.import_id, every_s=0.01)
    assert (ended.state, ended.reason, ended.needs) == ("failed", "the export lacks a column", "columns")


@both
def test_the_added_channels_are_listed(call):
    assert call("channels") == []


@both
def test_an_input_that_cannot_be_sent_is_an_error_before_anything_is_sent(call, tmp_path):
    large = tmp_path / "large.zip"
    with large.open("wb") as file:
        file.truncate(33 * 2**20)
    half = ("a.zip", bytes(17 * 2**20))
    for exports, reason in (
        ([], "give 1 to 20 exports, not 0"),
        ([("a.csv", b"")] * 21, "not 21"),
        ("a.csv", "give a list of exports"),
        ((NAME, b"Content"), "cannot be read"),
        ([b"Content"], "this is not a path"),
        ([tmp_path / "none.zip"], "cannot be read"),
        ([tmp_path], "this is not a file"),
        (["a\0b"], "this is not a path"),
        ([large], "larger than 32 MiB"),
        ([half, half], "the exports have 34 MiB"),
    ):
        with pytest.raises(ExportError, match=reason):
            call("add_channel", exports)
    for wrong in ("", "../api-key", "0" * 31):
        with pytest.raises(ThumblabError, match="is not the id of an import"):
            call("channel_import", wrong)
