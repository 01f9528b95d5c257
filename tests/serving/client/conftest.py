"""Fixtures for the tests of the Python client: picture files, and a client of the running service."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from thumblab_client import Client

KEY = "key-of-the-tests-0123456789"


@pytest.fixture
def files(tmp_path: Path, draw: Callable[..., bytes]) -> list[Path]:
    """Three pictures that look different: p0.jpg, p1.jpg and p2.jpg."""
    paths = [tmp_path / f"p{n}.jpg" for n in range(3)]
    for n, path in enumerate(paths):
        path.write_bytes(draw(n))
    return paths


@pytest.fixture
def client(service: Any) -> Iterator[Client]:
    with Client(service.url, KEY) as client:
        yield client
