"""Judge a release of training pairs: every leak, by the name of the row it is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.ageing import fit_growth, views_at
from thumblab_pipelines.dataset.near_duplicates import Pictures
from thumblab_pipelines.dataset.pairing import COLUMNS, compare
from thumblab_pipelines.dataset.snapshot import Snapshot
from thumblab_pipelines.dataset.splits import MIXED, PARTS, TEST, TRAIN, VALIDATION
from thumblab_pipelines.features.views_at_age import FIXED_AGES

if TYPE_CHECKING:
    import pandas as pd

CHECKS = (
    "enough",
    "no_leak_of_videos",
    "no_leak_of_pictures",
    "same_channel",
    "whole_channels",
    "later_is_held_out",
    "same_era",
    "no_future_observation",
    "labels_hold",
    "target_of_training_rows",
)
_NEEDED = {"observed_at", "era", "phash", "learnt", "target", "part", "fold"}
_NAMED = 3
_ROUNDING = 1e-5  # of a cosine, and of ln views: the same numbers, added in another order
_HOUR_ROUNDING = 1e-3


def check_pairs(release: Release) -> list[CheckResult]:
    """Look for leaks and for emptiness; a verdict that does not hold names the first rows that are to blame."""
    import pandas as pd

    corpus = pd.read_parquet(release.path / "videos.parquet")
    pairs = pd.read_parquet(release.path / "pairs.parquet")
    if not (_NEEDED.issubset(corpus) and set(COLUMNS).issubset(pairs)):
        return [CheckResult("enough", False, "made by an earlier version of the lab; materialize training_pairs again")]
    counts = {part: int((pairs.part == part).sum()) for part in PARTS}
    amounts = ", ".join(f"{count} {part}" for part, count in counts.items())
    as_of = release.info.get("as_of")
    sides = _Sides(corpus, pairs)
    return [
        CheckResult("enough", counts[TRAIN] > 0 and counts[TEST] > 0, amounts),
        _verdict("no_leak_of_videos", "every video is in one part, as are its pairs", _videos(corpus, sides)),
        _verdict("no_leak_of_pictures", "no picture on two sides", _pictures(corpus, release)),
        _verdict("same_channel", "every pair is of one channel", _strangers(sides)),
        _verdict("whole_channels", "every channel is in one fold", _split_channels(corpus)),
        _verdict("later_is_held_out", "nothing held out is older than what is learnt", _order(corpus)),
        _verdict("same_era", "no pair compares two definitions of a view", _eras(sides)),
        _verdict("no_future_observation", f"nothing seen after {as_of}", _observations(corpus, as_of)),
        _verdict("labels_hold", "the views say the same of every pair", _labels(corpus, sides)),
        _verdict("target_of_training_rows", "the target follows from training videos alone", _targets(corpus)),
    ]


class _Sides:
    """The pairs with what their winners and losers are: `of(column)` gives both."""

    def __init__(self, corpus: pd.DataFrame, pairs: pd.DataFrame) -> None:
        self.corpus, self.pairs = corpus, pairs
        self.winner, self.loser = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)

    def of(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        values = self.corpus[column].to_numpy(object)
        return values[self.winner], values[self.loser]

    def named(self, bad: np.ndarray) -> Iterator[tuple[int, str]]:
        """Row and name of each pair that is bad."""
        winner, loser = self.of("video_id")
        for row in np.flatnonzero(bad):
            yield int(row), f"pair {winner[row]} > {loser[row]}"


def _verdict(name: str, fine: str, found: Iterable[str]) -> CheckResult:
    faults = list(found)
    if not faults:
        return CheckResult(name, True, fine)
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    return CheckResult(name, False, "; ".join(faults[:_NAMED]) + more)


def _videos(corpus: pd.DataFrame, sides: _Sides) -> Iterator[str]:
    for video_id, rows in corpus[corpus.video_id.duplicated(keep=False)].groupby("video_id"):
        yield f"video {video_id} stands in {len(rows)} rows, of {' and '.join(sorted(set(rows.part)))}"
    winner, loser = sides.of("part")
    part = sides.pairs.part.to_numpy(object)
    for row, name in sides.named((part != MIXED) & ((winner != part) | (loser != part))):
        yield f"{name} is a {part[row]} pair of a {winner[row]} and a {loser[row]} video"
    couples = np.sort(np.stack([sides.winner, sides.loser], axis=1), axis=1)
    _, place, count = np.unique(couples, axis=0, return_inverse=True, return_counts=True)
    for _, name in sides.named((count[place.ravel()] > 1) | (sides.winner == sides.loser)):
        yield f"{name} is there twice, or of one video"


def _pictures(corpus: pd.DataFrame, release: Release) -> Iterator[str]:
    vectors, threshold = None, float(release.info.get("near_duplicate", 1.0))
    try:
        vectors = Snapshot.load(release, len(corpus)).images
    except LabError as error:
        yield str(error)
    hashes = [None if phash != phash else int(phash) for phash in corpus.phash.to_numpy(object, na_value=np.nan)]
    ids, parts, folds = (corpus[name].to_numpy(object) for name in ("video_id", "part", "fold"))
    pictures = Pictures(corpus.sha256.tolist(), hashes, vectors, threshold + _ROUNDING)
    sides = np.asarray(corpus.groupby(["part", "fold"]).ngroup(), np.intp)
    for one, other in pictures.across(sides):
        where = [
            f"{what} {side[one]} and {side[other]}"
            for what, side in (("parts", parts), ("folds", folds))
            if side[one] != side[other]
        ]
        yield f"videos {ids[one]} and {ids[other]} look alike and are of {', '.join(where)}"


def _strangers(sides: _Sides) -> Iterator[str]:
    winner, loser = sides.of("channel_id")
    for row, name in sides.named(winner != loser):
        yield f"{name} is of the channels {winner[row]} and {loser[row]}"


def _split_channels(corpus: pd.DataFrame) -> Iterator[str]:
    for channel, rows in corpus.groupby("channel_id"):
        if rows.fold.nunique() > 1:
            # Of all videos of the channel, the ones of the smallest fold are the likeliest to be wrong.
            odd = rows[rows.fold == rows.fold.value_counts().index[-1]]
            yield f"channel {channel} is in {rows.fold.nunique()} folds, such as video {odd.video_id.iloc[0]}"


def _order(corpus: pd.DataFrame) -> Iterator[str]:
    for earlier, later in ((TRAIN, TEST), (TRAIN, VALIDATION), (VALIDATION, TEST)):
        learnt = corpus[corpus.part == earlier].sort_values("published_at").groupby("channel_id")
        latest = learnt[["published_at", "video_id"]].last().add_suffix("_of_latest")
        both = corpus[corpus.part == later].join(latest, on="channel_id")
        for row in both[both.published_at < both.published_at_of_latest].itertuples():
            yield f"{later} video {row.video_id} is older than {earlier} video {row.video_id_of_latest} of its channel"


def _eras(sides: _Sides) -> Iterator[str]:
    winner, loser = sides.of("era")
    for row, name in sides.named(winner != loser):
        yield f"{name} compares {winner[row]} with {loser[row]} views"


def _observations(corpus: pd.DataFrame, as_of: str | None) -> Iterator[str]:
    import pandas as pd

    if corpus.empty:
        return
    observed, published = (pd.to_datetime(corpus[name], utc=True) for name in ("observed_at", "published_at"))
    age = (observed - published).dt.total_seconds() / 3600
    limit = pd.Timestamp(as_of) if as_of else pd.Timestamp.max.tz_localize("UTC")
    faults = {
        "was counted before it was published": observed < published,
        f"was counted after {as_of}": observed > limit,
        "is not as old as its count": (corpus.age_hours - age.clip(lower=1)).abs() > _HOUR_ROUNDING,
    }
    for hours in FIXED_AGES:
        views = corpus[views_at(hours)] if views_at(hours) in corpus else pd.Series(np.nan, corpus.index)
        faults[f"has views at {hours} h and is younger"] = views.notna() & (age < hours - _HOUR_ROUNDING)
        faults[f"has more views at {hours} h than at last"] = views > corpus.views * (1 + _ROUNDING)
    for fault, bad in faults.items():
        for video_id in corpus.video_id[bad]:
            yield f"video {video_id} {fault}"


def _labels(corpus: pd.DataFrame, sides: _Sides) -> Iterator[str]:
    label, winner, loser = compare(corpus, sides.winner, sides.loser)
    for row, name in sides.named(label != sides.pairs.label.to_numpy(object)):
        yield f"{name} is labelled by {sides.pairs.label.iloc[row]}, and {label[row]} are known"
    for row, name in sides.named(winner <= loser):
        yield f"{name} has {winner[row]:,.0f} to {loser[row]:,.0f} {label[row]}"
    margin = sides.pairs.margin.to_numpy(float)
    for row, name in sides.named((np.abs(1 - loser / winner - margin) > _ROUNDING) & (winner > loser)):
        yield f"{name} has the margin {margin[row]:.3f} in place of {1 - loser[row] / winner[row]:.3f}"


def _targets(corpus: pd.DataFrame) -> Iterator[str]:
    growth = fit_growth(corpus[corpus.part == TRAIN])
    expected, found = growth.target(corpus), corpus.target.to_numpy(float)
    for row in np.flatnonzero(~(np.abs(expected - found) <= _ROUNDING)):
        yield (
            f"video {corpus.video_id.iloc[row]} has the target {found[row]:.4f}, and from training videos alone, which have "
            f"half their views at {growth.half_age:.0f} h, it is {expected[row]:.4f}"
        )
