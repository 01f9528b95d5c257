"""The points of a library map, and the Arrow file that contains the points.

The file is an Arrow IPC file with one uncompressed record batch. Browsers read its columns without copying them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s
from thumblab_core.errors import LabError
from thumblab_core.sub_scores.evidence import NAMES

POINTS = "points.arrow"
FORMAT = "1"
"""The format of the Arrow files. The metadata of an Arrow schema contains this format under the key
`thumblab.library_map`.
"""
_FORMAT_KEY = b"thumblab.library_map"

Int32s = npt.NDArray[np.int32]

NO_CLUSTER = -1
NO_TILE = -1


class MapFileError(LabError):
    """Raised if a file of a library map cannot be read."""


@dataclass(frozen=True)
class Points:
    """The points of a map, one for each of its n videos.

    `x` and `y`, float32 [n], are places from 0 to 1, on the same scale; y grows downwards. `published_day` is in days
    since 1970-01-01, UTC. `outlier_multiple`, `views_per_hour` and the arrays of `sub_scores` are float32 [n], and NaN
    where they are not known. `cluster` and `fine_cluster` are ids of `clusters`, or `NO_CLUSTER`. `tile` is the number
    of the video's picture in the atlases, or `NO_TILE`.
    """

    x: Float32s
    y: Float32s
    video_id: Sequence[str]
    title: Sequence[str]
    channel: Sequence[str]
    niche: Sequence[str]
    published_day: Int32s
    outlier_multiple: Float32s
    views_per_hour: Float32s
    cluster: Int32s
    fine_cluster: Int32s
    sub_scores: dict[str, Float32s]
    tile: Int32s

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: npt.NDArray[Any]) -> "Points":
        """Return the points with the row numbers `rows`, in the order of `rows`."""

        def taken(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: column[rows] for name, column in value.items()}
            return value[rows] if isinstance(value, np.ndarray) else [value[row] for row in rows]

        return Points(**{field.name: taken(getattr(self, field.name)) for field in fields(self)})


def write_points(path: Path, points: Points) -> None:
    """Write the points as an Arrow file. The columns are the fields of `Points`, and one column for each sub-score."""
    write_table(path, to_table(points))


def to_table(points: Points) -> Any:
    """Return the points as a `pyarrow.Table`."""
    import pyarrow as pa

    def text(values: Sequence[str]) -> Any:
        return pa.array(values, pa.string())

    columns = {
        "x": pa.array(points.x, pa.float32()),
        "y": pa.array(points.y, pa.float32()),
        "video_id": text(points.video_id),
        "title": text(points.title),
        "channel": text(points.channel),
        "niche": text(points.niche).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
        "published_day": pa.array(points.published_day, pa.int32()),
        "outlier_multiple": pa.array(points.outlier_multiple, pa.float32()),
        "views_per_hour": pa.array(points.views_per_hour, pa.float32()),
        "cluster": pa.array(points.cluster, pa.int32()),
        "fine_cluster": pa.array(points.fine_cluster, pa.int32()),
        **{name: pa.array(points.sub_scores[name], pa.float32()) for name in NAMES},
        "tile": pa.array(points.tile, pa.int32()),
    }
    return pa.table(columns).replace_schema_metadata({_FORMAT_KEY: FORMAT})


def write_table(path: Path, table: Any) -> None:
    """Write a `pyarrow.Table` as an Arrow file with one record batch."""
    import pyarrow as pa

    batches = table.combine_chunks().to_batches()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def read_table(path: Path) -> Any:
    """Return the rows of a map's Arrow file as a `pyarrow.Table`. Raises `MapFileError` if the file cannot be read."""
    import pyarrow as pa

    content = path.read_bytes()
    try:
        table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        table.validate(full=True)
    # pyarrow raises an OSError for many kinds of damage in the file, even though the bytes are already in memory.
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MapFileError(f"{path.name} is not an Arrow file of a library map ({error})") from error
    found = (table.schema.metadata or {}).get(_FORMAT_KEY, b"none").decode(errors="replace")
    if found != FORMAT:
        raise MapFileError(f"{path.name} has format {found}; this version of the lab reads format {FORMAT}")
    return table


def read_points(path: Path) -> Points:
    """Return the points of an Arrow file.

    Raises `MapFileError` if the file cannot be read, or if it does not contain points.
    """
    table = read_table(path)
    expected = to_table(_NO_POINTS).schema
    for field in expected:
        found = table.column(field.name) if table.schema.get_field_index(field.name) >= 0 else None
        if found is None or found.type != field.type or found.null_count:
            raise MapFileError(f"{path.name} needs a column {field.name} of type {field.type} without nulls")

    def value(name: str) -> Any:
        if name == "sub_scores":
            return {score: numbers(score) for score in NAMES}
        return table[name].to_pylist() if name in _TEXTS else numbers(name)

    def numbers(name: str) -> Any:
        return table[name].combine_chunks().to_numpy(zero_copy_only=False).copy()

    columns: dict[str, Any] = {field.name: value(field.name) for field in fields(Points)}
    return Points(**columns)


_TEXTS = ("video_id", "title", "channel", "niche")

_FLOATS, _INTS = np.zeros(0, np.float32), np.zeros(0, np.int32)
_NO_POINTS = Points(
    x=_FLOATS,
    y=_FLOATS,
    video_id=(),
    title=(),
    channel=(),
    niche=(),
    published_day=_INTS,
    outlier_multiple=_FLOATS,
    views_per_hour=_FLOATS,
    cluster=_INTS,
    fine_cluster=_INTS,
    sub_scores=dict.fromkeys(NAMES, _FLOATS),
    tile=_INTS,
)
"""A map without videos. Its table has the columns that every map has."""
