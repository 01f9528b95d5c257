"""Write and read `vectors.safetensors`, the file of a pairs release with vectors and sub-scores.

The file has three float32 tensors. Row i of each tensor belongs to row i of `videos.parquet`.

- `images` and `titles`: unit vectors of the pictures and titles, from the encoders that the manifest names
- `sub_scores`: the sub-scores in the order of `thumblab_core.sub_scores.NAMES`, NaN if not measured

Training reads the vectors from this file and not from the database. So training uses the same vectors that the pairs
were made with, even if a picture or title was changed or encoded again later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from thumblab_core.arrays import Flags, Float32s
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.columns import read_columns
from thumblab_pipelines.features.stored_vectors import digests, read_vectors
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd

FILE = "vectors.safetensors"

_REMEDY = "materialize training_pairs again"

_SUB_SCORES = f"""
SELECT asked.row, {", ".join(NAMES)} FROM visual_features
JOIN unnest(CAST(:ids AS text[]), CAST(:pictures AS text[])) WITH ORDINALITY AS asked (video_id, sha256, row)
     USING (video_id, sha256)
"""  # noqa: S608  (constant names only)


@dataclass(frozen=True)
class Snapshot:
    """Unit vectors of the pictures [n, d_i] and titles [n, d_t] of n videos, and sub-scores [n, 6]. All three arrays
    are float32."""

    images: Vectors
    titles: Vectors
    sub_scores: Float32s

    def save(self, folder: Path) -> None:
        """Write the snapshot as a file into the folder of a release."""
        from safetensors.numpy import save_file

        save_file(
            {name: np.ascontiguousarray(values, np.float32) for name, values in vars(self).items()}, folder / FILE
        )

    @classmethod
    def load(cls, release: Release, count: int) -> Self:
        """Read the snapshot of a verified release of `count` videos.

        Raises `LabError` if the release has no snapshot, if the file cannot be read, or if its arrays have a wrong
        shape or type.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if FILE not in release.files:
            raise LabError(f"{release} has no vectors, because it was made by an earlier version of the lab; {_REMEDY}")
        try:
            snapshot = cls(**load_file(release.path / FILE))
        except (SafetensorError, OSError, TypeError) as error:
            raise LabError(f"{release}: {FILE} cannot be read ({error}); {_REMEDY}") from None
        for name, values in vars(snapshot).items():
            if values.dtype != np.float32 or values.ndim != 2 or len(values) != count:
                raise LabError(
                    f"{release}: {name} is {values.dtype} {list(values.shape)}; for {count} videos it must be float32 "
                    f"[{count}, d]; {_REMEDY}"
                )
        return snapshot

    def only(self, rows: Flags) -> Snapshot:
        """Return a snapshot with only the rows whose flag in `rows` [n] is set. If all flags are set, nothing is
        copied.
        """
        return self if rows.all() else Snapshot(*(values[rows] for values in vars(self).values()))

    def buffers(self) -> list[memoryview]:
        """Return the bytes of the three arrays, from which the caller computes a digest."""
        return [np.ascontiguousarray(values).data for values in vars(self).values()]


def read_snapshot(lab: Lab, videos: pd.DataFrame, image_encoder: str, title_encoder: str) -> tuple[Snapshot, Flags]:
    """Read the vectors and sub-scores of videos from the database. Also return which videos [n] have a picture vector and
    a title vector.

    `videos` has the columns `video_id`, `sha256` (of the picture) and `title`. `image_encoder` and `title_encoder` are
    fingerprints of encoders.
    """
    ids, (pictures, title_digests) = videos.video_id.tolist(), digests(videos)
    images, has_image = read_vectors(lab, ids, pictures, image_encoder)
    titles, has_title = read_vectors(lab, ids, title_digests, title_encoder)
    return Snapshot(images, titles, _sub_scores(lab, ids, pictures)), has_image & has_title


def _sub_scores(lab: Lab, ids: Sequence[str], pictures: Sequence[str]) -> Float32s:
    types = {"row": "int64"} | dict.fromkeys(NAMES, "float64")
    with lab.engine.connect() as connection:
        table = read_columns(connection, _SUB_SCORES, types, {"ids": list(ids), "pictures": list(pictures)})
    scores = np.full((len(ids), len(NAMES)), np.nan, np.float32)
    rows = table["row"].to_numpy() - 1
    for column, name in enumerate(NAMES):
        scores[rows, column] = table[name].to_numpy()
    return scores
