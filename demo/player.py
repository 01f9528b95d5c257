"""The embedded player of a video: the one place where the API shows a video's shape."""

from dataclasses import dataclass

from demo.catalogues.source import CatalogueVideo
from demo.errors import Json


@dataclass(frozen=True)
class Box:
    """The room for an embedded player, in pixels; None leaves a side free."""

    width: int | None = None
    height: int | None = None

    def fit(self, ratio: float) -> tuple[int, int] | None:
        """The largest player of that width over height that the box holds; None for a box without sides."""
        wide = [float(self.width)] if self.width else []
        if self.height:
            wide.append(self.height * ratio)
        return (round(min(wide)), round(min(wide) / ratio)) if wide else None


def player(video: CatalogueVideo, box: Box) -> Json:
    """The size is told only to those who gave a box, and only where the ratio is known."""
    size = box.fit(video.aspect_ratio) if video.aspect_ratio else None
    width, height = size or (480, 270)
    frame = f'<iframe width="{width}" height="{height}" src="//www.youtube.com/embed/{video.video_id}"></iframe>'
    return {"embedHtml": frame} | ({"embedWidth": str(width), "embedHeight": str(height)} if size else {})
