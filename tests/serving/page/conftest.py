"""Fixtures that give the tests of the page a browser, and picture files to choose."""

import pytest
from browser_fixtures import browser, opened_browser

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
