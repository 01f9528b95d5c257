"""Training pairs: the corpus, its two splits and its same-channel pairs, published as one release.

`videos.parquet` has a row per video, `pairs.parquet` a row per pair, whose `winner` and `loser` are rows of the former, and
`vectors.safetensors` what a training reads of each video. The files and the rules are described in docs/training-pairs.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.load import image_encoder, image_encoder_name, title_encoder
from thumblab_core.releases.release import ALL, PAIRS, Release
from thumblab_pipelines.collection.crawl_rules import OUTLIER_SIGMAS
from thumblab_pipelines.dataset.ageing import age_exponent, fit_growth
from thumblab_pipelines.dataset.corpus import LATER_RULES, exclude, read_corpus
from thumblab_pipelines.dataset.kept_pairs import holding_pairs, prune_pairs
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.near_duplicates import Pictures
from thumblab_pipelines.dataset.outliers import training_outliers
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.snapshot import Snapshot, read_snapshot
from thumblab_pipelines.dataset.splits import PARTS, TRAIN, split_by_channel, split_by_time
from thumblab_pipelines.lab import Lab, inputs_digest

if TYPE_CHECKING:
    import pandas as pd

FORGOTTEN = "forgotten since"
"""The rule by which a release's successor lacks videos."""

_VERSION = 6


@dataclass(frozen=True)
class BuiltPairs:
    """The release, and whether it was there already because nothing had changed."""

    release: Release
    reused: bool


def build_pairs(lab: Lab, run_id: str | None = None) -> BuiltPairs:
    """Publish the corpus, its splits and its pairs, unless a release of the same content is there; prune old ones."""
    image, title = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    everything = read_corpus(lab, image.fingerprint, title.fingerprint)
    corpus, excluded = exclude(everything, lab.settings.train_only_on_opted_in)
    snapshot, there = read_snapshot(lab, corpus, image.fingerprint, title.fingerprint)
    excluded["forgotten while it was read"] = int((~there).sum())
    corpus, snapshot = corpus[there].reset_index(drop=True), snapshot.only(there)
    threshold, days = image.near_duplicate, lab.settings.pair_days
    made_with = (_VERSION, image.fingerprint, title.fingerprint, threshold, days)
    inputs = inputs_digest(*made_with, corpus.to_csv(index=False), blobs=snapshot.buffers())
    release = lab.releases.unchanged(PAIRS, ALL, inputs)
    if release is not None:
        return BuiltPairs(release, reused=True)
    hashes = [None if phash != phash else int(phash) for phash in corpus.phash.to_numpy(object, na_value=np.nan)]
    again = Pictures(corpus.sha256.tolist(), hashes, snapshot.images, threshold).repeats()
    excluded["near-duplicate picture"] = int(again.sum())
    corpus, snapshot = corpus[~again].reset_index(drop=True), snapshot.only(~again)
    corpus, outliers = _divide(corpus)
    excluded[f"over {OUTLIER_SIGMAS:g} standard deviations from its channel, training part"] = int(outliers.sum())
    corpus, pairs, found = _paired(corpus, days)
    info = {
        "inputs": inputs,
        "image_encoder": image.fingerprint,
        "image_encoder_name": image_encoder_name(lab.settings),
        "title_encoder": title.fingerprint,
        **found,
        "pair_days": days,
        "near_duplicate": threshold,
        "as_of": everything.observed_at.max().isoformat() if everything.observed_at.notna().any() else None,
        "excluded": excluded,
    }
    write = _writer(corpus, pairs, snapshot.only(~outliers))
    with holding_pairs(lab):  # what is published while old releases are cleaned would lie behind their successors
        release = lab.releases.publish(PAIRS, ALL, write, info, run_id)
        prune_pairs(lab)
    return BuiltPairs(release, reused=False)


def publish_successor(lab: Lab, data: Dataset, scope: str, run_id: str | None = None) -> Release | None:
    """Publish what is left of a pairs release, in the scope: split as it was, and paired anew, with growth and targets of
    the videos that are left. None where no pair is left.
    """
    said = data.release.info
    corpus, pairs, found = _paired(data.videos, float(said["pair_days"]))
    if pairs.empty:
        return None
    info = said | found
    info["inputs"] = inputs_digest("successor", said["inputs"], corpus.video_id.tolist())
    info["succeeds"] = [*said.get("succeeds", []), data.release.release_id]
    info["excluded"] = said["excluded"] | {FORGOTTEN: said["excluded"].get(FORGOTTEN, 0) + data.forgotten}
    write = _writer(corpus, pairs, Snapshot(data.images, data.titles, data.sub_scores))
    return lab.releases.publish(PAIRS, scope, write, info, run_id)


def _paired(corpus: pd.DataFrame, days: float) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The divided corpus with its `target`, its pairs, and what the manifest says of both."""
    train = corpus[corpus.part == TRAIN]
    growth = fit_growth(train)
    corpus = corpus.assign(target=growth.target(corpus))
    pairs = pair_up(corpus, days)
    return (
        corpus,
        pairs,
        {
            "videos": len(corpus),
            "channels": int(corpus.channel_id.nunique()),
            "pairs": {part: int((pairs.part == part).sum()) for part in PARTS},
            "largest_share": _largest_share(pairs),
            "labels": {str(label): int(count) for label, count in pairs.label.value_counts().sort_index().items()},
            "eras": {str(era): int(count) for era, count in corpus.era.value_counts().sort_index().items()},
            "growth": asdict(growth),
            "age_exponent": age_exponent(corpus[corpus.part == TRAIN]),
        },
    )


def _divide(corpus: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """The corpus with `part` and `fold`, without the outliers of its training part; and which rows [n] those were."""
    corpus = corpus.assign(part=split_by_time(corpus), fold=split_by_channel(corpus))
    train = (corpus.part == TRAIN).to_numpy(bool)
    judged = corpus.assign(target=fit_growth(corpus[train]).target(corpus))
    # The crawl judged by all videos of the channel, so its mark is used in the training part only.
    gone = training_outliers(judged) | (train & corpus.crawl_outlier.to_numpy(bool))
    return corpus[~gone].drop(columns=list(LATER_RULES)).reset_index(drop=True), gone


def _largest_share(pairs: pd.DataFrame) -> float:
    """The share of the training pairs that the channel with the most of them has."""
    share = pairs[pairs.part == TRAIN].channel_id.value_counts(normalize=True)
    return round(float(share.iloc[0]), 4) if len(share) else 0.0


def _writer(corpus: pd.DataFrame, pairs: pd.DataFrame, snapshot: Snapshot) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        corpus.to_parquet(folder / "videos.parquet", index=False)
        pairs.to_parquet(folder / "pairs.parquet", index=False)
        snapshot.save(folder)

    return write
