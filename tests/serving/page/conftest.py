"""Fixtures that give the tests of the page a browser, and picture files to choose."""

import pytest
from browser import CHROMIUM, Browser


@pytest.fixture(scope="session")
def opened_browser(tmp_path_factory):
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(opened_browser):
    """Return the session's browser, on an empty page, without the complaints of the pages before it."""
    opened_browser.leave()
    return opened_browser


@pytest.fixture
def files(tmp_path, draw):
    paths = []
    for n, name in enumerate(["one.jpg", "<img src=x onerror=alert(1)>.jpg", "three.jpg"]):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(draw(n))
    return paths
