"""What a training needs of each video beside `videos.parquet`, as one file of a pairs release.

A safetensors file of three float32 tensors, row for row as `videos.parquet`: `images` and `titles`, unit vectors by the
encoders that the manifest names, and `sub_scores`, NaN where not measured, in the order of `thumblab_core.sub_scores.NAMES`.
A training so reads what its pairs were made of, whatever was forgotten, swapped or encoded anew since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from sqlalchemy import text

from thumblab_core.arrays import Flags, Float32s
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.features.vectors import digests, read_vectors
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd

FILE = "vectors.safetensors"


_SUB_SCORES = f"""
SELECT video_id, {", ".join(NAMES)} FROM visual_features
JOIN unnest(CAST(:ids AS text[]), CAST(:pictures AS text[])) AS asked (video_id, sha256) USING (video_id, sha256)
"""  # noqa: S608  (names of ours)


@dataclass(frozen=True)
class Snapshot:
    """Of n videos: `images` [n, d_i] and `titles` [n, d_t] unit vectors, `sub_scores` [n, 6]; float32."""

    images: Vectors
    titles: Vectors
    sub_scores: Float32s

    def save(self, folder: Path) -> None:
        """Write the file into the folder of a release."""
        from safetensors.numpy import save_file

        save_file(
            {name: np.ascontiguousarray(values, np.float32) for name, values in vars(self).items()}, folder / FILE
        )

    @classmethod
    def load(cls, release: Release, count: int) -> Self:
        """Of a verified release of `count` videos. Raises `LabError` where it has none, or one of another shape."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        again = "materialize training_pairs again"
        if FILE not in release.files:
            raise LabError(f"{release} has no vectors: it was made by an earlier version of the lab; {again}")
        try:
            found = cls(**load_file(release.path / FILE))
        except (SafetensorError, OSError, TypeError) as error:
            raise LabError(f"{release}: {FILE} cannot be read ({error}); {again}") from None
        for name, values in vars(found).items():
            if values.dtype != np.float32 or values.ndim != 2 or len(values) != count:
                raise LabError(
                    f"{release}: {name} is {values.dtype} {list(values.shape)}, for {count} videos it is float32 "
                    f"[{count}, d]; {again}"
                )
        return found

    def only(self, rows: Flags) -> Snapshot:
        """Of the chosen rows [n]."""
        return Snapshot(*(values[rows] for values in vars(self).values()))

    def buffers(self) -> list[memoryview]:
        """The numbers, for a digest."""
        return [np.ascontiguousarray(values).data for values in vars(self).values()]


def read_snapshot(lab: Lab, videos: pd.DataFrame, image_encoder: str, title_encoder: str) -> tuple[Snapshot, Flags]:
    """What the database has of these pictures and titles of videos, and which of them [n] have both vectors."""
    ids, (pictures, words) = videos.video_id.tolist(), digests(videos)
    images, with_image = read_vectors(lab, ids, pictures, image_encoder)
    titles, with_title = read_vectors(lab, ids, words, title_encoder)
    return Snapshot(images, titles, _sub_scores(lab, ids, pictures)), with_image & with_title


def _sub_scores(lab: Lab, ids: Sequence[str], pictures: Sequence[str]) -> Float32s:
    with lab.engine.connect() as connection:
        rows = connection.execute(text(_SUB_SCORES), {"ids": list(ids), "pictures": list(pictures)}).all()
    found = {row[0]: [np.nan if value is None else value for value in row[1:]] for row in rows}
    unknown = [np.nan] * len(NAMES)
    return np.array([found.get(video_id, unknown) for video_id in ids], np.float32).reshape(len(ids), len(NAMES))
