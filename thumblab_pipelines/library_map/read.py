"""Read the libraries of niches, with the facts that a map shows about each video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

from thumblab_core.arrays import Float32s
from thumblab_core.index import Item
from thumblab_core.releases.release import ALL
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.features.picture_words import PICTURE_WORDS
from thumblab_pipelines.features.sub_scores import meter_version
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.rows import read_library

if TYPE_CHECKING:
    import pandas as pd

_FACTS = f"""
SELECT t.video_id, t.sha256, v.duration_s, {PICTURE_WORDS} AS words, f.evidence - 'saliency' AS evidence,
       {", ".join(f"f.{name}::float8 AS {name}" for name in NAMES)}
FROM unnest(CAST(:ids AS text[])) AS asked (video_id)
JOIN thumbnails t USING (video_id)
JOIN videos v USING (video_id)
LEFT JOIN visual_features f ON f.video_id = t.video_id AND f.sha256 = t.sha256 AND f.version = :version
"""  # noqa: S608  (built from constants; values are bound)

EPOCH = date(1970, 1, 1)
UNKNOWN_DAY = int(np.iinfo(np.int32).min)


@dataclass(frozen=True)
class MappedVideos:
    """The n videos of a map, in the order of their niches and ids. `vectors`, float32 [n, d], are unit vectors.

    `facts` has a row for each video, with the columns `video_id`, `title`, `channel`, `sha256` (of the picture),
    `duration_s`, `words` (in the picture) and `evidence`. Each sub-score has a column too. A value that was not
    measured is None or NaN.
    """

    items: Sequence[Item]
    niches: Sequence[str]
    vectors: Float32s
    facts: pd.DataFrame

    def __len__(self) -> int:
        return len(self.items)


def niches_of(lab: Lab, scope: str) -> Sequence[str]:
    """Return the niches of a map: a single niche, or all niches for the scope `ALL`."""
    return lab.niches if scope == ALL else (scope,)


def read_videos(lab: Lab, scope: str, encoder: str) -> MappedVideos:
    """Return the videos of a niche's library, or of all libraries for the scope `ALL`, with the facts for a map."""
    import pandas as pd

    parts = [(niche, read_library(lab, niche, encoder)) for niche in niches_of(lab, scope)]
    items = [item for _, rows in parts for item in rows.items]
    niches = [niche for niche, rows in parts for _ in rows.items]
    if not items:
        return MappedVideos((), (), np.zeros((0, 0), np.float32), pd.DataFrame())
    facts = pd.DataFrame(
        {
            "video_id": [item.video_id for item in items],
            "title": [item.title for item in items],
            "channel": [item.channel_id or item.channel for item in items],
        }
    )
    with lab.engine.connect() as connection:
        found = connection.execute(text(_FACTS), {"ids": facts.video_id.tolist(), "version": meter_version(lab)})
        measured = pd.DataFrame(found.all(), columns=list(found.keys()))
    # A thumbnail may be replaced or deleted after the library was read. The video then has no picture on this map.
    facts = facts.merge(measured, on="video_id", how="left")
    facts = facts.astype({**dict.fromkeys(NAMES, float), "duration_s": float})
    for column in ("sha256", "words", "evidence"):
        facts[column] = facts[column].astype(object).where(facts[column].notna(), None)
    return MappedVideos(items, niches, np.concatenate([rows.vectors for _, rows in parts if rows.items]), facts)


def published_days(items: Sequence[Item]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return the day of publication of each item, in days since 1970-01-01, or `UNKNOWN_DAY`."""
    days = [UNKNOWN_DAY if item.published_on is None else (item.published_on - EPOCH).days for item in items]
    return np.array(days, np.int32)
