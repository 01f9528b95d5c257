"""Build a pairs release: the corpus with its parts and folds, and the pairs of videos of the same channel.

A release has three files. `videos.parquet` has a row per video. `pairs.parquet` has a row per pair, in which `winner`
and `loser` are row numbers of `videos.parquet`. `vectors.safetensors` has the vectors and sub-scores of each video. If
there are one-video pairs, the release has two more files, see `one_video`. docs/training-pairs.md describes the files
and rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.arrays import Flags
from thumblab_core.encoders.load import image_encoder, image_encoder_name, title_encoder
from thumblab_core.images.stored_hashes import known_hashes
from thumblab_core.inclusion import OUTLIER_SIGMAS
from thumblab_core.releases.release import ALL, PAIRS, Release
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.ageing import Growth, age_exponent, fit_growth
from thumblab_pipelines.dataset.checks import UNLIKE, check_pairs
from thumblab_pipelines.dataset.corpus import LATER_RULES, exclude, read_corpus
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.near_duplicates import Pictures
from thumblab_pipelines.dataset.one_video import OneVideoPairs
from thumblab_pipelines.dataset.one_video_build import OneVideoSources, counted
from thumblab_pipelines.dataset.outliers import training_outliers
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.retained_pairs import holding_pairs, named_pairs, prune_pairs
from thumblab_pipelines.dataset.snapshot import Snapshot, read_snapshot
from thumblab_pipelines.dataset.splits import PARTS, TRAIN, split_by_channel, split_by_time
from thumblab_pipelines.lab import Lab, inputs_digest

if TYPE_CHECKING:
    import pandas as pd

FORGOTTEN = "forgotten since"
"""A key in the entry `excluded` of the manifest of a successor.

A successor is a pairs release that replaces an older release after videos were deleted. The value is the number of
videos that this successor and earlier successors have left out.
"""

_VERSION = 8
"""Version of the rules for pairs and of the files of a release. This version is part of the digest of the inputs.

So a new version makes a new release even if the lab's videos have not changed.
"""


@dataclass(frozen=True)
class BuiltPairs:
    """A pairs release. `reused`: whether the release already existed, because its inputs had not changed."""

    release: Release
    reused: bool


def build_pairs(lab: Lab, run_id: str | None = None) -> BuiltPairs:
    """Publish the corpus, its splits and its pairs as a release, and delete old pairs releases.

    If a release of the same inputs exists, return this release and publish nothing. `run_id` is the id of the Dagster
    run that the release records.
    """
    image, title = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    everything = read_corpus(lab, image.fingerprint, title.fingerprint)
    corpus, excluded = exclude(everything, lab.settings.train_only_on_opted_in)
    snapshot, complete = read_snapshot(lab, corpus, image.fingerprint, title.fingerprint)
    excluded["forgotten while it was read"] = int((~complete).sum())
    corpus, snapshot = corpus[complete].reset_index(drop=True), snapshot.only(complete)
    threshold, days = image.near_duplicate, lab.settings.pair_days
    made_with = (_VERSION, image.fingerprint, title.fingerprint, threshold, days)
    one_video_sources = OneVideoSources.read(lab, image.fingerprint, title.fingerprint)
    read = (corpus.to_csv(index=False), one_video_sources.inputs)
    inputs = inputs_digest(*made_with, *read, blobs=snapshot.buffers())
    release = lab.releases.unchanged(PAIRS, ALL, inputs)
    if release is not None:
        return BuiltPairs(release, reused=True)
    pictures = Pictures(corpus.sha256.tolist(), known_hashes(corpus.phash), snapshot.images, threshold)
    repeated = pictures.repeats()
    excluded["near-duplicate picture"] = int(repeated.sum())
    corpus, outliers = _split(corpus[~repeated].reset_index(drop=True))
    kept = np.flatnonzero(~repeated)[~outliers]
    unlike = pictures.digest(kept)
    # The vectors are the largest part of the release, so they are copied only once, and the originals are freed.
    del pictures
    snapshot = snapshot.only(np.isin(np.arange(len(repeated)), kept))
    excluded[f"over {OUTLIER_SIGMAS:g} standard deviations from its channel, training part"] = int(outliers.sum())
    corpus, pairs, counts = _paired(corpus, days)
    one_video, one_video_counts = one_video_sources.pairs(Growth(**counts["growth"]), corpus)
    info = {
        "inputs": inputs,
        "image_encoder": image.fingerprint,
        "image_encoder_name": image_encoder_name(lab.settings),
        "title_encoder": title.fingerprint,
        **counts,
        "pair_days": days,
        "near_duplicate": threshold,
        UNLIKE: unlike,
        "as_of": everything.observed_at.max().isoformat() if everything.observed_at.notna().any() else None,
        "excluded": excluded,
        "one_video": one_video_counts,
    }
    write = _writer(corpus, pairs, snapshot, one_video)
    # Another process may replace an older release by a successor at any moment, after a deletion of videos. The release
    # that was published last counts as the newest. So a successor that was published after the new release would count
    # as the newest pairs. The lock prevents this.
    with holding_pairs(lab):
        release = lab.releases.publish(PAIRS, ALL, write, info, run_id)
        prune_pairs(lab)
    return BuiltPairs(release, reused=False)


def check_built_pairs(lab: Lab, built: BuiltPairs) -> list[CheckResult]:
    """Check pairs that were just built. If a successor has already replaced them, check the successor.

    A deletion of videos may replace the newest pairs at any moment, so this function holds the lock of the pairs
    releases.
    """
    with holding_pairs(lab):
        return check_pairs(named_pairs(lab, built.release.release_id))


def publish_successor(lab: Lab, data: Dataset, scope: str, run_id: str | None = None) -> Release | None:
    """Publish a new pairs release in `scope` with the videos that are left after deletions.

    `data` is the old release without its deleted videos. The videos and the one-video pairs keep their parts and folds.
    Growth, targets and pairs are computed again from the videos that are left. If no pair is left, publish nothing and
    return None.
    """
    replaced = data.release.info
    corpus, pairs, counts = _paired(data.videos, float(replaced["pair_days"]))
    if pairs.empty:
        return None
    info = replaced | counts
    if "one_video" in replaced:
        info["one_video"] = counted(data.one_video, replaced["one_video"]["left_out"])
    info.pop(UNLIKE, None)  # This digest covers the deleted pictures too, so it would be wrong in the new release.
    info["inputs"] = inputs_digest("successor", replaced["inputs"], corpus.video_id.tolist())
    info["succeeds"] = [*replaced.get("succeeds", []), data.release.release_id]
    info["excluded"] = replaced["excluded"] | {FORGOTTEN: replaced["excluded"].get(FORGOTTEN, 0) + data.forgotten}
    write = _writer(corpus, pairs, Snapshot(data.images, data.titles, data.sub_scores), data.one_video)
    return lab.releases.publish(PAIRS, scope, write, info, run_id)


def _paired(corpus: pd.DataFrame, days: float) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return the corpus with a column `target`, its pairs, and the entries of the manifest about corpus and pairs."""
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
            "labels": {str(label): int(count) for label, count in sorted(pairs.label.value_counts().items())},
            "eras": {str(era): int(count) for era, count in corpus.era.value_counts().sort_index().items()},
            "growth": asdict(growth),
            "age_exponent": age_exponent(corpus[corpus.part == TRAIN]),
        },
    )


def _split(corpus: pd.DataFrame) -> tuple[pd.DataFrame, Flags]:
    """Return the corpus with the columns `part` and `fold`, and without training videos whose views are outliers.

    The second result says for each of the n given rows whether the row was left out as an outlier.
    """
    corpus = corpus.assign(part=split_by_time(corpus), fold=split_by_channel(corpus))
    train = (corpus.part == TRAIN).to_numpy(bool)
    with_target = corpus.assign(target=fit_growth(corpus[train]).target(corpus))
    # The crawl has marked outliers among all videos. The marks are applied only to training videos, because no held-out
    # video may be left out because of its views.
    outliers = training_outliers(with_target) | (train & corpus.crawl_outlier.to_numpy(bool))
    return corpus[~outliers].drop(columns=list(LATER_RULES)).reset_index(drop=True), outliers


def _largest_share(pairs: pd.DataFrame) -> float:
    """Return the share of the training pairs that comes from the channel with the most training pairs."""
    counts = pairs[pairs.part == TRAIN].channel_id.value_counts()
    return round(float(counts.max() / counts.sum()), 4) if counts.sum() else 0.0


def _writer(
    corpus: pd.DataFrame, pairs: pd.DataFrame, snapshot: Snapshot, one_video: OneVideoPairs | None = None
) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        corpus.to_parquet(folder / "videos.parquet", index=False)
        pairs.to_parquet(folder / "pairs.parquet", index=False)
        snapshot.save(folder)
        if one_video is not None:
            one_video.save(folder)

    return write
