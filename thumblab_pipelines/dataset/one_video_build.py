"""Make the one-video pairs of a pairs release from the experiments and changed thumbnails in the database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float32s
from thumblab_core.images import digest
from thumblab_core.ranking.skill import EXPERIMENT
from thumblab_pipelines.dataset.ageing import Growth
from thumblab_pipelines.dataset.changed_thumbnails import Changes, read_changes
from thumblab_pipelines.dataset.experiment_pairs import read_experiment_pairs
from thumblab_pipelines.dataset.one_video import CHANGED_THUMBNAIL, OneVideoPairs, read_pair_vectors, with_parts
from thumblab_pipelines.features.picture_words import read_picture_words
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd

NOT_ENCODED = "not encoded"
OTHER_CHANNEL = "channel without videos in the corpus"
"""The texts `NOT_ENCODED` and `OTHER_CHANNEL` are reasons for leaving out a one-video pair."""

Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class OneVideoSources:
    """The data from which the one-video pairs of a release are made.

    `experiments`: the pairs of experiments. `left_out`: number of experiments and of their pairs that were left out, by
    reason. `encoders`: fingerprints of the encoders of pictures and of titles.
    """

    lab: Lab
    experiments: pd.DataFrame
    left_out: dict[str, int]
    changes: Changes
    encoders: tuple[str, str]

    @classmethod
    def read(cls, lab: Lab, image_encoder: str, title_encoder: str) -> OneVideoSources:
        """Read the experiments and the changed thumbnails from the database."""
        experiments, left_out = read_experiment_pairs(lab)
        return cls(lab, experiments, left_out, read_changes(lab), (image_encoder, title_encoder))

    @property
    def inputs(self) -> list[Any]:
        """All values from which the pairs are made. A release stores a digest of these values.

        The values include which pictures and titles have vectors, because a pair without vectors is left out.
        """
        encoded = []
        for rows in (self.experiments, self.changes.rows):
            if len(rows):
                images, titles, complete, words = self._read(rows)
                encoded.append(
                    (
                        digest(images.tobytes()),
                        digest(titles.tobytes()),
                        complete.tolist(),
                        [side.tolist() for side in words],
                    )
                )
        return [self.experiments.to_csv(index=False), self.left_out, self.changes.inputs, encoded]

    def pairs(self, growth: Growth, corpus: pd.DataFrame) -> tuple[OneVideoPairs, dict[str, Any]]:
        """Return the one-video pairs, and the entry of the manifest about these pairs.

        `corpus` has the videos of the release, with their parts and folds. `growth` is the growth law that was fitted
        to the training part of the corpus.
        """
        import pandas as pd

        changed, without = self.changes.pairs(growth)
        left_out = self.left_out | without
        known = [pairs for pairs in (self.experiments, changed) if len(pairs)]
        if not known:
            return OneVideoPairs.none(), counted(OneVideoPairs.none(), left_out)
        pairs = pd.concat(known, ignore_index=True)
        pairs["happened_on"] = pd.to_datetime(pairs.happened_on).astype("datetime64[ns]")
        pairs = pairs.sort_values(["happened_on", "pair_id"], ignore_index=True)
        inside = pairs.channel_id.isin(corpus.channel_id).to_numpy(bool)
        left_out[OTHER_CHANNEL] = int((~inside).sum())
        pairs = pairs[inside].reset_index(drop=True)
        images, titles, complete, words = self._read(pairs)
        left_out[NOT_ENCODED] = int((~complete).sum())
        made = OneVideoPairs(pairs.assign(words_a=words[0], words_b=words[1]), images, titles).only(complete)
        made = replace(made, pairs=with_parts(made.pairs, corpus))
        return made, counted(made, {reason: count for reason, count in left_out.items() if count})

    def _read(self, pairs: pd.DataFrame) -> tuple[Float32s, Float32s, Flags, tuple[Texts, Texts]]:
        """Return the stored data about the two pictures and titles of each of k pairs.

        The first two results are the vectors of the pictures and of the titles [k, 2, d]. The third result says for
        each pair [k] whether all of its vectors are stored. The fourth result has the words in picture a and in picture
        b [k].
        """
        ids = pairs.video_id.tolist()
        images, titles, complete = read_pair_vectors(self.lab, pairs, *self.encoders)
        words_a, words_b = (
            np.array(read_picture_words(self.lab, ids, pairs[side].tolist()), object)
            for side in ("sha256_a", "sha256_b")
        )
        return images, titles, complete, (words_a, words_b)


def counted(made: OneVideoPairs, left_out: dict[str, int]) -> dict[str, Any]:
    """Return the manifest's entry about one-video pairs.

    For each source, the entry has the number of pairs and of decided pairs. The entry also has `left_out`, which says
    how many pairs, experiments and changes were left out for each reason.
    """
    of_source = made.pairs.groupby("source").decided
    decided, pairs = of_source.sum(), of_source.size()
    return {
        "pairs": {source: int(pairs.get(source, 0)) for source in (EXPERIMENT, CHANGED_THUMBNAIL)},
        "decided": {source: int(decided.get(source, 0)) for source in (EXPERIMENT, CHANGED_THUMBNAIL)},
        "left_out": left_out,
    }
