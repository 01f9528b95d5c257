"""Fixtures with a lab that is filled once, and with a copy of this lab for each test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from full_lab import NICHE, SECRET, FullLab
from pydantic import SecretStr
from sqlalchemy import select, text

from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import videos
from thumblab_core.releases.release import ALL
from thumblab_pipelines.collection.crawl import crawl
from thumblab_pipelines.collection.download import download_thumbnails
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.features.sub_scores import measure_features
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import build_index, promote_index
from thumblab_pipelines.library_map.build import build_map, check_map, promote_map


@pytest.fixture(scope="session")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(videos=280)


@pytest.fixture(scope="session")
def prepared(open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue) -> tuple[Lab, str]:
    """The lab that is copied for each test, and the endpoint of the emulator from which its videos were collected."""
    with Emulator(catalogue, key=SECRET) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key=SECRET, youtube_first_wait_s=0.01)
        collect(lab, NICHE)
        crawl(lab, NICHE)
        download_thumbnails(lab, NICHE)
        embed(lab, NICHE)
        measure_features(lab, NICHE)
        compute_baselines(lab, NICHE)
        build_index(lab, NICHE)
        promote_index(lab, NICHE)
        for scope in (NICHE, ALL):
            built = build_map(lab, scope)
            promote_map(lab, built, check_map(built))
        build_pairs(lab)
    return lab, emulator.endpoint


@pytest.fixture
def full(
    prepared: tuple[Lab, str],
    open_lab: Callable[..., Lab],
    copied_database: Callable[[str], str],
    catalogue: SyntheticCatalogue,
    tmp_path: Path,
) -> Iterator[FullLab]:
    """A copy of the prepared lab, and an emulator with the same videos.

    The settings of the copy allow one run of the retention to delete all videos.
    """
    original, endpoint = prepared
    original.engine.dispose()  # PostgreSQL copies a database only while nobody is connected to it.
    assert original.settings.database_url is not None
    database = copied_database(original.settings.database_url.get_secret_value())
    folder = shutil.copytree(original.settings.data_dir, tmp_path / "lab")
    with Emulator(catalogue, key=SECRET) as emulator:
        own = {"data_dir": folder, "database_url": SecretStr(database), "youtube_endpoint": emulator.endpoint}
        own |= {"forget_share": 1.0}  # One run of the retention may delete all videos. Other tests cover a lower limit.
        lab = open_lab(beside=original, **own)
        with lab.engine.begin() as connection:
            moved = {"old": endpoint, "new": emulator.endpoint}
            connection.execute(text("UPDATE thumbnails SET url = replace(url, :old, :new)"), moved)
            offered = "ARRAY(SELECT replace(url, :old, :new) FROM unnest(thumbnail_urls) AS url)"
            connection.execute(text(f"UPDATE videos SET thumbnail_urls = {offered}"), moved)
            ids = list(connection.scalars(select(videos.c.video_id).order_by(videos.c.published_at)))
        yield FullLab(lab, emulator, ids)
