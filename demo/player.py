"""Compute the size of the embedded player of a video. Clients of the API learn the aspect ratio only from this size."""

from dataclasses import dataclass

from demo.catalogues.source import CatalogueVideo
from demo.errors import Json


@dataclass(frozen=True)
class Box:
    """The limits of the size of an embedded player, in pixels. None stands for no limit."""

    width: int | None = None
    height: int | None = None

    def fit(self, ratio: float) -> tuple[int, int] | None:
        """Return the width and height of the largest player within the limits, or None if there are no limits.

        `ratio` is the player's width over height.
        """
        widths = [float(self.width)] if self.width else []
        if self.height:
            widths.append(self.height * ratio)
        return (round(min(widths)), round(min(widths) / ratio)) if widths else None


def player(video: CatalogueVideo, box: Box) -> Json:
    """Return the part `player` of a video resource.

    The part gives the size of the player only if `box` has a limit and the aspect ratio of the video is known.
    """
    size = box.fit(video.aspect_ratio) if video.aspect_ratio else None
    width, height = size or (480, 270)
    frame = f'<iframe width="{width}" height="{height}" src="//www.youtube.com/embed/{video.video_id}"></iframe>'
    return {"embedHtml": frame} | ({"embedWidth": str(width), "embedHeight": str(height)} if size else {})
