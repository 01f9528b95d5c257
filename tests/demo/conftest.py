"""Fixtures with a small synthetic catalogue, and with a YouTube emulator that serves this catalogue during a test."""

from collections.abc import Iterator

import pytest

from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator


@pytest.fixture(scope="session")
def small_catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(videos=150, seed=3)


@pytest.fixture
def running(small_catalogue: SyntheticCatalogue) -> Iterator[Emulator]:
    with Emulator(small_catalogue) as emulator:
        yield emulator
