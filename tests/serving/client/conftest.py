"""Fixtures for the tests of the Python client: picture files, and a client of the running service."""

from collections.abc import Iterator
from typing import Any

import pytest

from thumblab_client import Client

KEY = "key-of-the-tests-0123456789"


@pytest.fixture
def client(service: Any) -> Iterator[Client]:
    with Client(service.url, KEY) as client:
        yield client
