"""Fixtures that open a browser. The file conftest.py imports these fixtures in each folder whose tests open a page."""

from collections.abc import Iterator

import pytest
from browser import CHROMIUM, Browser


@pytest.fixture(scope="session")
def opened_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(opened_browser: Browser) -> Browser:
    """Return the session's browser on an empty page, without the errors of earlier pages."""
    opened_browser.leave()
    return opened_browser
