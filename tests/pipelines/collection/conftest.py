"""Fixtures with the labs and catalogues from which the collection tests start."""

from collections.abc import Callable
from pathlib import Path

import pytest
from catalogue_folder import CatalogueFolder
from lab_setup import at

from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import channels, thumbnail_versions, thumbnails, video_stats, videos
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    """An empty lab."""
    return open_lab()


@pytest.fixture
def collected_lab(open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue) -> Lab:
    """A lab with the videos of the niche tech and no pictures. The emulator that served the videos has stopped."""
    opened = open_lab()
    with Emulator(catalogue) as emulator:
        collect(at(opened, emulator), "tech")
    return opened


@pytest.fixture(scope="module")
def module_lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture
def emptied_lab(module_lab: Lab) -> Lab:
    """A lab that the tests of a module share. The lab is emptied before each test."""
    with module_lab.engine.begin() as connection:
        for table in (thumbnail_versions, thumbnails, video_stats, videos, channels):
            connection.execute(table.delete())
    return module_lab


@pytest.fixture(scope="session")
def tech() -> SyntheticCatalogue:
    """A catalogue of 700 videos in all niches. The niche tech has a hundred of these videos."""
    return synthetic_catalogue(videos=700)


@pytest.fixture
def table(tmp_path: Path, drawn: Callable[..., bytes]) -> CatalogueFolder:
    """An empty catalogue."""
    return CatalogueFolder(tmp_path / "catalogue", drawn)
