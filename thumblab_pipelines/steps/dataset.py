"""A pairs release and the vectors it speaks of, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sqlalchemy import text

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.releases import Release
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.vectors import read_vectors, read_vectors_beside

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """n videos and their pairs.

    `videos` [n rows] as published by `pairs`; `images` [n, d_i] and `titles` [n, d_t] unit vectors; `sub_scores` [n, 6],
    NaN where not measured; `pairs` refer to rows.
    """

    release: Release
    videos: pd.DataFrame
    pairs: pd.DataFrame
    images: Vectors
    titles: Vectors
    sub_scores: npt.NDArray[np.float32]

    def learnt(self, part: str) -> npt.NDArray[np.intp]:
        """The rows of a part that the model itself may learn from; the others are their channels' history only."""
        return np.flatnonzero((self.videos.part == part).to_numpy(bool) & self.videos.learnt.to_numpy(bool))

    def rows(self, part: str) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.videos.part.to_numpy(object) == part)


def load_dataset(lab: Lab, release: Release) -> Dataset:
    """Read a verified pairs release and the vectors and sub-scores of its videos.

    Raises `LabError` when the vectors it was made with are no longer in the database.
    """
    import pandas as pd

    release.verify()
    videos = pd.read_parquet(release.path / "videos.parquet")
    pairs = pd.read_parquet(release.path / "pairs.parquet")
    ids = videos.video_id.tolist()
    images = read_vectors(lab, ids, str(release.info["image_encoder"]))
    titles = read_vectors(lab, ids, str(release.info["title_encoder"]))
    return Dataset(release, videos, pairs, images, titles, _sub_scores(lab, ids))


def in_spaces_of(lab: Lab, data: Dataset, model: Release) -> tuple[Dataset, npt.NDArray[np.bool_]]:
    """The dataset as the model's encoders see it, and which of its videos they have seen, [n]; the others are zeros."""
    ids = data.videos.video_id.tolist()
    spaces = [(str(model.info[kind]), str(data.release.info[kind])) for kind in ("image_encoder", "title_encoder")]
    (images, first), (titles, second) = (read_vectors_beside(lab, ids, theirs, ours) for theirs, ours in spaces)
    return replace(data, images=images, titles=titles), first & second


def _sub_scores(lab: Lab, ids: list[str]) -> npt.NDArray[np.float32]:
    statement = text(f"SELECT video_id, {', '.join(NAMES)} FROM visual_features WHERE video_id = ANY(:ids)")  # noqa: S608
    with lab.engine.connect() as connection:
        rows = connection.execute(statement, {"ids": ids}).all()
    found = {row[0]: [np.nan if value is None else value for value in row[1:]] for row in rows}
    unknown = [np.nan] * len(NAMES)
    return np.array([found.get(video_id, unknown) for video_id in ids], np.float32)
