"""A catalogue that tests fill row by row and import."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from thumblab_core.database.tables import video_stats, videos
from thumblab_pipelines.collection.catalogue import Imported, import_catalogue
from thumblab_pipelines.collection.catalogue_rows import REQUIRED
from thumblab_pipelines.lab import Lab

Draw = Callable[..., bytes]
COLUMNS = [*REQUIRED, "duration_s", "tags"]
GOOD = {
    "niche": "tech",
    "channel": "A channel",
    "title": "A title",
    "views": "1000",
    "published_on": "2026-01-01",
    "observed_at": "2026-02-01",
    "duration_s": "600",
    "tags": "one, two",
}
"""The cells of a row without an error. The cells of the columns `video_id` and `image` are added to each row."""


class CatalogueFolder:
    """A catalogue's folder, to which a test adds rows and images."""

    def __init__(self, folder: Path, draw: Draw) -> None:
        self.folder = folder
        self._draw = draw
        self._rows: list[dict[str, str]] = []
        (folder / "images").mkdir(parents=True)

    def add(self, video_id: str, image: bytes | None = None, name: str | None = None, **cells: str) -> int:
        """Add a row, and write the file of its image. Return the line number of the row in `videos.csv`.

        `name` is the path of the file in the folder. If `image` is None, a picture is drawn. If `image` is `b"none"`,
        no file is written. The line number is wrong if an earlier row has a line break in a cell.
        """
        name = name or f"images/{video_id}.jpg"
        if image != b"none":
            (self.folder / name).write_bytes(self._draw(len(self._rows)) if image is None else image)
        self._rows.append({**GOOD, "video_id": video_id, "image": name, **cells})
        return len(self._rows) + 1

    def text(self, columns: list[str] = COLUMNS, **options: Any) -> str:
        """Return the rows as CSV."""
        out = io.StringIO()
        table = csv.DictWriter(out, columns, extrasaction="ignore", **options)
        table.writeheader()
        table.writerows(self._rows)
        return out.getvalue()

    def write(self, text: str | bytes | None = None) -> None:
        """Write `text`, by default the rows as CSV, to `videos.csv`."""
        text = self.text() if text is None else text
        (self.folder / "videos.csv").write_bytes(text if isinstance(text, bytes) else text.encode())

    def read(self, lab: Lab) -> Imported:
        """Import the folder into the lab."""
        return import_catalogue(lab, self.folder)


def values(lab: Lab, column: Any) -> dict[str, Any]:
    """Return the value of `column` for each stored video, by video id."""
    with lab.engine.connect() as connection:
        statement = select(videos.c.video_id, column).select_from(videos.join(video_stats))
        return dict(connection.execute(statement.order_by(videos.c.video_id)).all())
