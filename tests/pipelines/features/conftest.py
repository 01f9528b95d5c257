import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from bench import NICHE, Bench
from sqlalchemy import select

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import thumbnails, videos
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.lab import Lab


@pytest.fixture
def bench(
    open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue, small: Any, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    with Emulator(catalogue) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key="k", data_dir=small.lab.settings.data_dir)
        lab = dataclasses.replace(lab, releases=type(lab.releases)(lab.settings.data_dir / lab.engine.url.database))
        collect(lab, NICHE)
    # This lab and the lab of `small` use the same image store, which holds the pictures already. So only the rows in
    # the table `thumbnails` are copied.
    with small.lab.engine.connect() as source, lab.engine.begin() as target:
        rows = source.execute(select(thumbnails).join(videos).where(videos.c.niche == NICHE)).mappings().all()
        target.execute(thumbnails.insert(), [dict(row) for row in rows])
    return Bench(lab, monkeypatch)
