"""Pairs of videos of one channel, labelled by which got more views for its age: what the model learns from.

Views per hour favours the younger video and lifetime views the older one. So views are corrected by age to the power b,
`log views - b log age`, with b fitted within the channels of the training part: 0 leaves the views, 1 is views per hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import text

from thumblab_core.database.tables import LATEST_STATS
from thumblab_core.encoders.load import image_encoder, image_encoder_name, title_encoder
from thumblab_core.index import NicheIndex
from thumblab_core.niches import NICHES
from thumblab_core.releases import ALL, INDEX, PAIRS, Release
from thumblab_pipelines.steps.crawl_rules import OUTLIER
from thumblab_pipelines.steps.lab import Lab, inputs_digest
from thumblab_pipelines.steps.records import LONGEST_SHORT_S, SHORT, VIDEO
from thumblab_pipelines.steps.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

MIN_VIEWS = 1_000
MIN_SECONDS = 60
MAX_SECONDS = 3_600

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_TRAIN_SHARE, _VALIDATION_SHARE = 0.68, 0.12
FOLDS = 3
_TRAIN_PAIRS_PER_VIDEO = 20
_PAIRS_PER_CHANNEL = 20_000
_SEED = 20_251_011
_VERSION = 3

Columns = npt.NDArray[Any]

_CORPUS = f"""
SELECT v.video_id, v.niche, v.channel_id, v.title, v.published_at, v.duration_s, s.view_count AS views,
       GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours,
       t.sha256, i.video_id IS NOT NULL AND n.video_id IS NOT NULL AS encoded,
       v.format, v.aspect_ratio, v.may_train IS TRUE OR v.source = 'catalogue' AS may_train,
       k.outcome IS NOT DISTINCT FROM :outlier AS outlier
FROM videos v
JOIN ({LATEST_STATS}) s USING (video_id)
LEFT JOIN crawl_videos k ON k.video_id = v.video_id
LEFT JOIN thumbnails t ON t.video_id = v.video_id AND t.sha256 IS NOT NULL
LEFT JOIN embeddings i ON i.video_id = v.video_id AND i.encoder = :image AND i.source_digest = t.sha256
LEFT JOIN embeddings n ON n.video_id = v.video_id AND n.encoder = :title
ORDER BY v.published_at, v.video_id
"""  # noqa: S608  (no value of anybody's goes into it)


@dataclass(frozen=True)
class BuiltPairs:
    """The release, and whether it was there already because nothing had changed."""

    release: Release
    reused: bool


def build_pairs(lab: Lab, run_id: str | None = None) -> BuiltPairs:
    """Publish the corpus, its splits and its pairs, unless a release of the same content is there."""
    import pandas as pd

    image, title = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    with lab.engine.connect() as connection:
        parameters = {"image": image.fingerprint, "title": title.fingerprint, "outlier": OUTLIER}
        corpus = pd.DataFrame(connection.execute(text(_CORPUS), parameters).mappings().all())
    duplicates = _near_duplicates(lab, image.fingerprint, image.near_duplicate)
    corpus, excluded = _exclude(corpus, duplicates, lab.settings.train_only_on_opted_in)
    inputs = inputs_digest(
        _VERSION, image.fingerprint, title.fingerprint, lab.settings.pair_days, corpus.to_csv(index=False)
    )
    release = lab.releases.unchanged(PAIRS, ALL, inputs)
    if release is not None:
        return BuiltPairs(release, reused=True)
    corpus["part"] = split_by_time(corpus)
    corpus["fold"] = split_by_channel(corpus)
    exponent = age_exponent(corpus[corpus.part == TRAIN])
    corpus["target"] = np.log(corpus.views.to_numpy(float)) - exponent * np.log(corpus.age_hours.to_numpy(float))
    pairs = pair_up(corpus, lab.settings.pair_days)
    info = {
        "inputs": inputs,
        "image_encoder": image.fingerprint,
        "image_encoder_name": image_encoder_name(lab.settings),
        "title_encoder": title.fingerprint,
        "videos": len(corpus),
        "channels": int(corpus.channel_id.nunique()),
        "pairs": {part: int((pairs.part == part).sum()) for part in (TRAIN, VALIDATION, TEST)},
        "age_exponent": exponent,
        "pair_days": lab.settings.pair_days,
        "excluded": excluded,
    }
    return BuiltPairs(lab.releases.publish(PAIRS, ALL, _writer(corpus, pairs), info, run_id), reused=False)


def _writer(corpus: pd.DataFrame, pairs: pd.DataFrame) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        corpus.to_parquet(folder / "videos.parquet", index=False)
        pairs.to_parquet(folder / "pairs.parquet", index=False)

    return write


def _near_duplicates(lab: Lab, encoder: str, threshold: float) -> dict[str, list[str]]:
    """Near-duplicates within each niche, asked of its newest index."""
    found: dict[str, list[str]] = {}
    for niche in NICHES:
        release = lab.releases.latest(INDEX, niche)
        if release is not None and release.info["encoder"] == encoder:
            found |= NicheIndex.load(release).near_duplicates(threshold)
    return found


def _exclude(
    corpus: pd.DataFrame, duplicates: dict[str, list[str]], only_opted_in: bool
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The corpus without what must not be learnt from, and how many videos each rule took."""
    import pandas as pd

    excluded: dict[str, int] = {}

    def drop(reason: str, bad: Any) -> None:
        nonlocal corpus
        bad = np.asarray(bad, bool)
        excluded[reason] = int(bad.sum())
        corpus = corpus[~bad]

    if corpus.empty:
        names = [
            "video_id",
            "niche",
            "channel_id",
            "title",
            "published_at",
            "duration_s",
            "views",
            "age_hours",
            "sha256",
        ]
        return pd.DataFrame(columns=names), excluded
    drop("no picture", corpus.sha256.isna())
    drop("not encoded", ~corpus.encoded.astype(bool))
    if only_opted_in:
        drop("not opted in to training", ~corpus.may_train.astype(bool))
    drop("a Short", corpus.format == SHORT)
    drop("live or of unknown length", (corpus.format != VIDEO) | corpus.duration_s.isna())
    may_be_short = corpus.aspect_ratio.isna() & (corpus.duration_s <= LONGEST_SHORT_S)
    drop(f"up to {LONGEST_SHORT_S} s and of unknown shape (may be a Short)", may_be_short)
    drop(f"under {MIN_SECONDS} s", corpus.duration_s < MIN_SECONDS)
    drop(f"over {MAX_SECONDS} s", corpus.duration_s > MAX_SECONDS)
    drop(f"under {MIN_VIEWS} views", corpus.views < MIN_VIEWS)
    drop("an outlier of its channel", corpus.outlier.astype(bool))
    kept: set[str] = set()
    pictures: set[str] = set()
    repeated = []
    # The corpus is in order of publication: the first to use a picture keeps it. An index knows one niche and its recent
    # videos only; the very same file is seen everywhere.
    for video_id, sha256 in zip(corpus.video_id, corpus.sha256, strict=True):
        again = sha256 in pictures or any(other in kept for other in duplicates.get(video_id, ()))
        repeated.append(again)
        if not again:
            kept.add(video_id)
            pictures.add(sha256)
    drop("near-duplicate picture", repeated)
    told = ["encoded", "format", "aspect_ratio", "may_train", "outlier"]
    return corpus.drop(columns=told).reset_index(drop=True), excluded


def split_by_time(corpus: pd.DataFrame) -> Columns:
    """Per channel and in order of publication: the first 68 % train, the next 12 % validate, the last 20 % test."""
    place = corpus.groupby("channel_id").cumcount().to_numpy(float) + 0.5
    share = place / corpus.groupby("channel_id").channel_id.transform("size").to_numpy(float)
    parts = np.where(
        share <= _TRAIN_SHARE, TRAIN, np.where(share <= _TRAIN_SHARE + _VALIDATION_SHARE, VALIDATION, TEST)
    )
    return np.asarray(parts, dtype=object)


def split_by_channel(corpus: pd.DataFrame) -> Columns:
    """[n] fold 0..2: whole channels, dealt so that the folds have about equally many videos."""
    sizes = corpus.groupby("channel_id").size().sort_index().sort_values(ascending=False, kind="stable")
    load = np.zeros(FOLDS, int)
    fold = {}
    for channel, size in sizes.items():
        fold[channel] = int(load.argmin())
        load[fold[channel]] += size
    return corpus.channel_id.map(fold).to_numpy(int)


def age_exponent(corpus: pd.DataFrame) -> float:
    """b of `log views = channel + b log age`, least squares within channels, kept between 0 and 1."""
    import pandas as pd

    if corpus.empty:
        return 0.0
    logs = pd.DataFrame({"x": np.log(corpus.age_hours.to_numpy(float)), "y": np.log(corpus.views.to_numpy(float))})
    centred = logs - logs.groupby(corpus.channel_id.to_numpy()).transform("mean")
    variance = float((centred.x**2).sum())
    return float(np.clip((centred.x * centred.y).sum() / variance, 0, 1)) if variance > 1e-9 else 0.0


def pair_up(corpus: pd.DataFrame, days: float) -> pd.DataFrame:
    """Pairs of one channel, both in the same part, published at most `days` apart and unequal in corrected views.

    Columns: `winner` and `loser` (rows of the corpus), `channel_id`, `part` ("mixed" where the two are of different parts:
    for judging whole channels only) and `margin` = 1 - loser/winner of the corrected views. Channels with very many pairs
    give a random sample.
    """
    import pandas as pd

    random = np.random.default_rng(_SEED)
    published = pd.to_datetime(corpus.published_at, utc=True).to_numpy("datetime64[s]").astype(np.int64) / 86_400.0
    target, parts = corpus.target.to_numpy(float), corpus.part.to_numpy(object)
    found = []
    for channel, rows in _rows_by_channel(corpus):
        first, second = (rows[side] for side in np.triu_indices(len(rows), 1))
        near = (np.abs(published[first] - published[second]) <= days) & (target[first] != target[second])
        first, second = first[near], second[near]
        part = np.where(parts[first] == parts[second], parts[first], "mixed")
        for name in (TRAIN, VALIDATION, TEST, "mixed"):
            chosen = np.flatnonzero(part == name)
            most = min(_PAIRS_PER_CHANNEL, _TRAIN_PAIRS_PER_VIDEO * len(rows)) if name == TRAIN else _PAIRS_PER_CHANNEL
            if len(chosen) > most:
                chosen = np.sort(random.choice(chosen, most, replace=False))
            a, b = first[chosen], second[chosen]
            ahead = target[a] > target[b]
            winner, loser = np.where(ahead, a, b), np.where(ahead, b, a)
            found.append(
                pd.DataFrame(
                    {
                        "winner": winner,
                        "loser": loser,
                        "channel_id": channel,
                        "part": name,
                        "margin": 1.0 - np.exp(target[loser] - target[winner]),
                    }
                )
            )
    columns = ["winner", "loser", "channel_id", "part", "margin"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def _rows_by_channel(corpus: pd.DataFrame) -> list[tuple[str, npt.NDArray[np.intp]]]:
    channels, place = np.unique(corpus.channel_id.to_numpy(str), return_inverse=True)
    return [(str(channel), np.flatnonzero(place == number)) for number, channel in enumerate(channels)]


def judge_pairs(release: Release) -> list[Verdict]:
    """Look for leaks and for emptiness."""
    import pandas as pd

    corpus = pd.read_parquet(release.path / "videos.parquet")
    pairs = pd.read_parquet(release.path / "pairs.parquet")
    twice = int(corpus.video_id.duplicated().sum())
    winner, loser = corpus.iloc[pairs.winner], corpus.iloc[pairs.loser]
    strangers = int((winner.channel_id.to_numpy() != loser.channel_id.to_numpy()).sum())
    own = pairs.part.isin([TRAIN, VALIDATION, TEST]).to_numpy()
    crossing = int((own & ((winner.part.to_numpy() != pairs.part) | (loser.part.to_numpy() != pairs.part))).sum())
    split_channels = int((corpus.groupby("channel_id").fold.nunique() > 1).sum())
    pictures = corpus.groupby("sha256").part.nunique()
    counts = {part: int((pairs.part == part).sum()) for part in (TRAIN, VALIDATION, TEST)}
    return [
        Verdict(
            "enough", counts[TRAIN] > 0 and counts[TEST] > 0, ", ".join(f"{n} {part}" for part, n in counts.items())
        ),
        Verdict(
            "no_leak_of_videos", not twice and not crossing, f"{twice} videos twice, {crossing} pairs across parts"
        ),
        Verdict("no_leak_of_pictures", not (pictures > 1).any(), f"{int((pictures > 1).sum())} pictures in two parts"),
        Verdict("same_channel", not strangers, f"{strangers} pairs of two channels"),
        Verdict("whole_channels", not split_channels, f"{split_channels} channels in two folds"),
    ]
