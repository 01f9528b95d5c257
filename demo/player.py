"""The embedded player of a video. Only here does the API reveal the aspect ratio of a video."""

from dataclasses import dataclass

from demo.catalogues.source import CatalogueVideo
from demo.errors import Json


@dataclass(frozen=True)
class Box:
    """The largest allowed size of an embedded player, in pixels; None means no limit."""

    width: int | None = None
    height: int | None = None

    def fit(self, ratio: float) -> tuple[int, int] | None:
        """Return width and height of the largest player in the box, or None for a box without limits.

        `ratio` is the player's width over height.
        """
        widths = [float(self.width)] if self.width else []
        if self.height:
            widths.append(self.height * ratio)
        return (round(min(widths)), round(min(widths) / ratio)) if widths else None


def player(video: CatalogueVideo, box: Box) -> Json:
    """Return the part `player` of a video.

    It states its size only if the box has a limit and the aspect ratio of the video is known.
    """
    size = box.fit(video.aspect_ratio) if video.aspect_ratio else None
    width, height = size or (480, 270)
    frame = f'<iframe width="{width}" height="{height}" src="//www.youtube.com/embed/{video.video_id}"></iframe>'
    return {"embedHtml": frame} | ({"embedWidth": str(width), "embedHeight": str(height)} if size else {})
