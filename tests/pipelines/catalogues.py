"""Make a changed copy of a catalogue for the emulator of YouTube, and make a lab that has collected a catalogue."""

import dataclasses
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select

from demo.catalogues.catalogue import Catalogue
from demo.catalogues.source import CatalogueVideo
from demo.emulator import Emulator
from thumblab_core.database.tables import thumbnails, videos
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.lab import Lab


class Edited(Catalogue):
    """A copy of `source` in which `change` was applied to each video.

    If `at` is given, it replaces the time at which the catalogue was observed.
    """

    def __init__(
        self, source: Catalogue, change: Callable[[CatalogueVideo], CatalogueVideo], at: datetime | None = None
    ) -> None:
        super().__init__([change(video) for video in source.videos.values()], at or source.observed_at)
        self._source = source

    def image(self, video_id: str) -> bytes:
        return self._source.image(video_id)

    def image_size(self, video_id: str) -> tuple[int, int]:
        return self._source.image_size(video_id)


def collected_beside(collected: Lab, open_lab: Callable[..., Lab], catalogue: Catalogue, niche: str) -> Lab:
    """Return a new lab that has collected a niche of `catalogue`, with the pictures that the lab `collected` has.

    The two labs use the same image store, which contains the pictures already. The function therefore copies only the
    rows of the table `thumbnails`.
    """
    folder = collected.settings.data_dir
    with Emulator(catalogue) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key="k", data_dir=folder)
        lab = dataclasses.replace(lab, releases=type(lab.releases)(folder / str(lab.engine.url.database)))
        collect(lab, niche)
    with collected.engine.connect() as source, lab.engine.begin() as target:
        rows = source.execute(select(thumbnails).join(videos).where(videos.c.niche == niche)).mappings().all()
        target.execute(thumbnails.insert(), [dict(row) for row in rows])
    return lab
