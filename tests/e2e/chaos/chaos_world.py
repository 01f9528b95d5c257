"""Emulate a small YouTube on day 1 and on day 2.

The catalogue has two niches, and one niche gets new videos between the days.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from demo.catalogues.catalogue import Catalogue, newest_first
from demo.catalogues.growth import views_at
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator

REFRESHED, OTHER = "tech", "gaming"
"""The niche that the trials refresh, and another niche, whose data must not change."""

NEW_VIDEOS = 16
CHANGED_PICTURES = 4


class TwoNiches(Catalogue):
    """The synthetic catalogue of 245 videos, with its seven channels in two niches.

    This is the smallest catalogue with the 100 held-out pairs that a promotion needs.
    """

    def __init__(self) -> None:
        self.drawn = SyntheticCatalogue(245, seed=1)
        channels = list(self.drawn.channels)
        refreshed = set(channels[::2])
        super().__init__(
            (
                replace(video, niche=REFRESHED if video.channel_id in refreshed else OTHER)
                for video in self.drawn.videos.values()
            ),
            self.drawn.observed_at,
        )

    def image(self, video_id: str) -> bytes:
        return self.drawn.image(video_id)

    def image_size(self, video_id: str) -> tuple[int, int]:
        return self.drawn.image_size(video_id)

    def views(self, video: CatalogueVideo, now: object) -> int:
        return views_at(video, self.observed_at, now)  # type: ignore[arg-type]


@contextmanager
def youtube(catalogue: TwoNiches, day: int, port: int = 0) -> Iterator[Emulator]:
    """Serve the catalogue of day 1 or of day 2. On day 2, the niche `REFRESHED` has new videos and changed pictures."""
    videos = newest_first(video for video in catalogue.videos.values() if video.niche == REFRESHED)
    with Emulator(catalogue, port) as emulator:
        if day == 1:
            for video in videos[:: len(videos) // NEW_VIDEOS][:NEW_VIDEOS]:
                emulator.remove(video.video_id)
        else:
            emulator.advance(timedelta(days=8))
            for video in videos[1 :: len(videos) // CHANGED_PICTURES][:CHANGED_PICTURES]:
                emulator.change_thumbnail(video.video_id, catalogue.drawn.new_picture(video.video_id, "day 2").image)
        yield emulator
