"""A class for a copy of a catalogue with changed videos. The emulator of YouTube can serve this copy."""

from collections.abc import Callable
from datetime import datetime

from demo.catalogues.catalogue import Catalogue
from demo.catalogues.source import CatalogueVideo


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
