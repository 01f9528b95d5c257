"""Write and read the one-video pairs of a pairs release. A one-video pair has two pictures that one video showed.

One-video pairs have two sources. In an *experiment*, YouTube shows variants of the video to different viewers, and
reports which variant performed better. After a *changed thumbnail*, a video may gain views faster or more slowly.

`one_video_pairs.parquet` has a row for each pair. `one_video.safetensors` has the vectors of its pictures and titles,
in the same order. docs/training-pairs.md lists the columns. A release without one-video pairs has neither file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from thumblab_core.arrays import Flags, Float32s
from thumblab_core.errors import LabError
from thumblab_core.images import digest
from thumblab_core.releases.release import Release
from thumblab_pipelines.dataset.splits import MIXED, TEST, TRAIN
from thumblab_pipelines.features.stored_vectors import read_vectors
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd

PAIRS_FILE, VECTORS_FILE = "one_video_pairs.parquet", "one_video.safetensors"

CHANGED_THUMBNAIL = "changed_thumbnail"
"""The name of a source of one-video pairs. The other source is `EXPERIMENT` of `thumblab_core.ranking.skill`."""

TEXT_COLUMNS = ("pair_id", "channel_id", "video_id", "source", "title_a", "title_b", "sha256_a", "sha256_b")
COLUMNS = (*TEXT_COLUMNS, "happened_on", "gap", "variance", "decided", "words_a", "words_b", "part", "fold")
"""The columns of `one_video_pairs.parquet`."""

LEAST_TO_LEARN = 20
"""Minimum number of one-video pairs of a channel. With fewer pairs, no pair of the channel may be used for training.

One-video pairs are rare. One-video pairs are the only direct measure of which of two pictures suits a video better. So
the pairs are needed for evaluation first.
"""

_LEARNT_SHARE = 0.5
"""The share of a channel's one-video pairs that may be used for training. The oldest pairs are used."""

_REMEDY = "materialize training_pairs again"


@dataclass(frozen=True)
class OneVideoPairs:
    """The k one-video pairs of a release.

    Parameters
    ----------
    pairs
        A row per pair [k] with the columns `COLUMNS`, which docs/training-pairs.md explains. `gap` is ln(a / b), where a
        and b are the watch time, or the views, that picture a and picture b are expected to get. `variance` is the
        variance of the error of `gap`.
    images
        Unit vectors of the pictures [k, 2, d_i]. The vector of picture a comes before the vector of picture b.
    titles
        Unit vectors [k, 2, d_t] of the titles with which the pictures were shown.
    """

    pairs: pd.DataFrame
    images: Float32s
    titles: Float32s

    def __len__(self) -> int:
        return len(self.pairs)

    @classmethod
    def none(cls) -> Self:
        """Return a `OneVideoPairs` without pairs."""
        import pandas as pd

        pairs = pd.DataFrame({name: np.zeros(0, object) for name in COLUMNS}).astype(
            {"gap": float, "variance": float, "decided": bool, "fold": int, "happened_on": "datetime64[ns]"}
        )
        nothing = np.zeros((0, 2, 0), np.float32)
        return cls(pairs, nothing, nothing)

    def save(self, folder: Path) -> None:
        """Write the two files of the pairs into the folder of a release. If there are no pairs, write nothing."""
        from safetensors.numpy import save_file

        if not len(self):
            return
        self.pairs.to_parquet(folder / PAIRS_FILE, index=False)
        arrays = {"images": self.images, "titles": self.titles}
        save_file(
            {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}, folder / VECTORS_FILE
        )

    @classmethod
    def load(cls, release: Release) -> Self:
        """Read the one-video pairs of a verified release. A release without the two files has no one-video pairs.

        Raises `LabError` if a file cannot be read, if a column is missing, or if an array has a wrong shape or type.
        """
        import pandas as pd
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if PAIRS_FILE not in release.files:
            return cls.none()
        try:
            pairs = pd.read_parquet(release.path / PAIRS_FILE)
            loaded = cls(pairs, **load_file(release.path / VECTORS_FILE))
        except (SafetensorError, OSError, TypeError, ValueError) as error:
            raise LabError(f"{release}: the one-video pairs cannot be read ({error}); {_REMEDY}") from None
        missing = set(COLUMNS) - set(pairs)
        if missing:
            raise LabError(f"{release}: {PAIRS_FILE} lacks the columns {', '.join(sorted(missing))}; {_REMEDY}")
        for name, values in (("images", loaded.images), ("titles", loaded.titles)):
            if values.dtype != np.float32 or values.ndim != 3 or values.shape[:2] != (len(pairs), 2):
                raise LabError(
                    f"{release}: {name} of {VECTORS_FILE} is {values.dtype} {list(values.shape)}; for {len(pairs)} "
                    f"pairs it must be float32 [{len(pairs)}, 2, d]; {_REMEDY}"
                )
        return loaded

    @property
    def complete(self) -> Flags:
        """Flags [k] that say for each pair whether all of its vectors are known. An unknown vector is stored as
        zeros."""
        lengths = [np.linalg.norm(vectors, axis=2) for vectors in (self.images, self.titles)]
        return np.asarray((np.concatenate(lengths, axis=1) > 0).all(axis=1), bool)

    def only(self, rows: Flags) -> OneVideoPairs:
        """Return the pairs whose flag in `rows` [k] is set."""
        return OneVideoPairs(self.pairs[rows].reset_index(drop=True), self.images[rows], self.titles[rows])

    def without_videos(self, video_ids: Collection[str]) -> OneVideoPairs:
        """Return the pairs, except the pairs of the videos in `video_ids`."""
        deleted = self.pairs.video_id.isin(list(video_ids)).to_numpy(bool)
        return self.only(~deleted) if deleted.any() else self

    def of_channels(self, channel_ids: Collection[str]) -> OneVideoPairs:
        """Return the pairs of the channels in `channel_ids`."""
        inside = self.pairs.channel_id.isin(list(channel_ids)).to_numpy(bool)
        return self if inside.all() else self.only(inside)

    def faults(self, corpus: pd.DataFrame) -> Iterator[str]:
        """Yield a sentence for each fault of a pair. `corpus` has the videos of the release."""
        pairs, folds = self.pairs, corpus.groupby("channel_id").fold.first()
        parts = pairs.video_id.map(corpus.drop_duplicates("video_id").set_index("video_id").part)
        lengths = np.concatenate([np.linalg.norm(self.images, axis=2), np.linalg.norm(self.titles, axis=2)], axis=1)
        wrong = {
            "occurs twice": pairs.pair_id.duplicated(),
            "has one picture on both sides": pairs.sha256_a == pairs.sha256_b,
            "has a gap that is not finite, or no variance above 0": ~(np.isfinite(pairs.gap) & (pairs.variance > 0)),
            "is in another fold than its channel": pairs.fold != pairs.channel_id.map(folds),
            "is a training pair of a held-out video": (pairs.part == TRAIN) & parts.notna() & (parts != TRAIN),
            "is a training pair, and another pair of its video is held out": (pairs.part == TRAIN)
            & pairs.video_id.isin(pairs.video_id[pairs.part == TEST]),
            "has a vector that is not of length 1": (np.abs(lengths - 1) > 1e-3).any(axis=1),
        }
        for fault, flags in wrong.items():
            for pair_id in pairs.pair_id[np.asarray(flags, bool)]:
                yield f"one-video pair {pair_id} {fault}"


def with_parts(pairs: pd.DataFrame, corpus: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with the columns `part` and `fold`. The corpus must have videos of the channel of each pair.

    The fold of a pair is the fold of its channel. If a channel has at least `LEAST_TO_LEARN` pairs, the older half of
    its pairs is in the part `TRAIN`. Pairs of the same day are in the same half. If a video is in the validation part
    or the test part of the corpus, its pairs are never in `TRAIN`. A pair is `MIXED` if it is not in `TRAIN`, but
    another pair of the same video is in `TRAIN`. A mixed pair is used neither for training nor for evaluation. All
    remaining pairs are in `TEST`.
    """
    folds = corpus.groupby("channel_id").fold.first()
    size = pairs.groupby("channel_id").pair_id.transform("size").to_numpy(float)
    # `rank` counts, for each pair, the pairs of its channel that happened on the same day or earlier.
    place = pairs.groupby("channel_id").happened_on.rank(method="max").to_numpy(float) / np.maximum(size, 1)
    part_of_video = pairs.video_id.map(corpus.set_index("video_id").part)
    held_out = (part_of_video.notna() & (part_of_video != TRAIN)).to_numpy(bool)
    learnt = (size >= LEAST_TO_LEARN) & (place <= _LEARNT_SHARE) & ~held_out
    # Pairs of one video share pictures and views. So if a pair is in the part `TRAIN`, no other pair of the same video
    # is held out.
    of_learnt_video = pairs.video_id.isin(pairs.video_id[learnt]).to_numpy(bool)
    part = np.where(learnt, TRAIN, np.where(of_learnt_video, MIXED, TEST)).astype(object)
    return pairs.assign(part=part, fold=pairs.channel_id.map(folds).astype(int))


def read_pair_vectors(
    lab: Lab, pairs: pd.DataFrame, image_encoder: str, title_encoder: str
) -> tuple[Float32s, Float32s, Flags]:
    """Return the vectors of the pictures [k, 2, d_i] and of the titles [k, 2, d_t] of one-video pairs.

    The third result says for each pair [k] whether all of its vectors are stored. A missing vector is returned as
    zeros. `image_encoder` and `title_encoder` are fingerprints of encoders.
    """
    k, ids = len(pairs), pairs.video_id.tolist() * 2
    pictures = [*pairs.sha256_a, *pairs.sha256_b]
    titles = [digest(title.encode()) for title in (*pairs.title_a, *pairs.title_b)]
    image_vectors, has_image = read_vectors(lab, ids, pictures, image_encoder)
    title_vectors, has_title = read_vectors(lab, ids, titles, title_encoder)
    complete = has_image & has_title
    both_sides = [np.stack([vectors[:k], vectors[k:]], axis=1) for vectors in (image_vectors, title_vectors)]
    return both_sides[0], both_sides[1], np.asarray(complete[:k] & complete[k:], bool)
