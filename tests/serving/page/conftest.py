"""Fixtures for the tests of the page: a browser, and picture files to choose."""

from datetime import UTC, datetime

import pytest
from browser import KEY
from browser_fixtures import browser, opened_browser
from channel_reports import NAME, RUNNING

from thumblab_core.keys.named_keys import OWN_KEY
from thumblab_serving.channels.export_store import ExportStore

__all__ = ["browser", "opened_browser"]


@pytest.fixture
def files(tmp_path, draw):
    paths = []
    for n, name in enumerate(["one.jpg", "<img src=x onerror=alert(1)>.jpg", "three.jpg"]):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(draw(n))
    return paths


@pytest.fixture
def downloads(browser, tmp_path):
    """The folder into which the browser saves files."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    return folder


@pytest.fixture
def export(tmp_path):
    path = tmp_path / NAME
    path.write_text("Content,Video title\n")
    return path


@pytest.fixture
def follow(browser, service):
    """A function that opens the page while an import runs.

    The page shows the progress of this import. The function returns the import.
    """
    store = ExportStore(service.app.state.settings)
    followed = []

    def add(first):
        stored, _ = store.add([(NAME, b"")], OWN_KEY)
        followed.append(stored)
        if first is not None:  # Without a report, the import waits for its turn.
            stored.folder.write_report(first.model_copy(update={"updated_at": datetime.now(UTC)}))
        return stored

    def begin(first=RUNNING):
        stored = add(first)
        browser.open(f"{service.url}/#key={KEY}")
        browser.evaluate(f"sessionStorage.setItem('thumblab-channel-import', '{stored.folder.import_id}')")
        browser.click("nav a[href='#channel']")
        browser.wait("!document.getElementById('learning').hidden")
        return stored

    begin.another = add
    yield begin
    browser.evaluate("sessionStorage.removeItem('thumblab-channel-import')")
    for stored in followed:
        store.remove(stored)
