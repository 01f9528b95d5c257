"""Check a pairs release before a model is trained on it.

The checks find empty parts, and held-out data that has leaked into the training data. The checks also find labels and
targets that do not agree with the views. The target of a video is the logarithm of its age-corrected views. A failed
check names the first wrong rows. The checks read only the files of the release. docs/training-pairs.md lists the faults
that each check finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.arrays import Flags
from thumblab_core.errors import LabError
from thumblab_core.images.stored_hashes import known_hashes
from thumblab_core.releases.release import Release
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.ageing import fit_growth, views_at
from thumblab_pipelines.dataset.near_duplicates import Pictures
from thumblab_pipelines.dataset.one_video import OneVideoPairs
from thumblab_pipelines.dataset.pairing import COLUMNS, ComparableViews
from thumblab_pipelines.dataset.snapshot import Snapshot
from thumblab_pipelines.dataset.splits import MIXED, PARTS, TEST, TRAIN, VALIDATION
from thumblab_pipelines.features.fixed_age import FIXED_AGES

if TYPE_CHECKING:
    import pandas as pd

CHECKS = {
    "enough": "There are pairs to train on and pairs to test with.",
    "no_leak_of_videos": "Every video and its pairs are in the same part.",
    "no_leak_of_pictures": "No two parts and no two folds have near-duplicates of the same picture.",
    "same_channel": "Both videos of every pair are of one channel.",
    "whole_channels": "All videos of a channel are in the same fold.",
    "later_is_held_out": "No held-out video is older than a training video of its channel.",
    "same_era": "No pair compares views that were counted by two definitions of a view.",
    "no_future_observation": "No count was observed after the moment of the corpus.",
    "labels_hold": "The views confirm the winner, the label and the margin of every pair.",
    "target_of_training_rows": "The targets were computed from the training videos alone.",
    "one_video": "The one-video pairs are complete.",
}
"""The description of each check of a pairs release, by the name of the check."""
UNLIKE = "unlike_pictures"
"""A key in the manifest of a pairs release.

The value is the digest of a set of pictures without near-duplicates, see `Pictures.repeats`. If the release has exactly
these pictures, its check does not search for near-duplicates again.
"""
_NEEDED = {"observed_at", "era", "phash", "learnt", "target", "part", "fold"}
"""Columns of `videos.parquet` that the checks need. Releases made by earlier versions of the lab may lack these
columns."""

_MOST_NAMED = 3
"""Maximum number of wrong rows that an explanation names. If more rows are wrong, the explanation gives the number of
further rows."""

_ROUNDING = 1e-5
"""Tolerance for cosines and ln views. Adding the same numbers in another order changes a sum by less than this
tolerance."""

_HOUR_ROUNDING = 1e-3


def check_pairs(release: Release) -> list[CheckResult]:
    """Run all checks on a pairs release. The explanation of a failed check names the first wrong rows.

    If an earlier version of the lab made the release, return a single failed check.
    """
    import pandas as pd

    corpus = pd.read_parquet(release.path / "videos.parquet")
    pairs = pd.read_parquet(release.path / "pairs.parquet")
    if not (_NEEDED.issubset(corpus) and set(COLUMNS).issubset(pairs)):
        return [
            CheckResult("enough", False, "the release is from an earlier version; materialize training_pairs again")
        ]
    counts = {part: int((pairs.part == part).sum()) for part in PARTS}
    amounts = ", ".join(f"{count} {part}" for part, count in counts.items())
    as_of = release.info.get("as_of")
    sides = _Sides(corpus, pairs)
    return [
        CheckResult(
            "enough",
            counts[TRAIN] > 0 and counts[TEST] > 0,
            amounts,
            figures={f"pairs_{part}": n for part, n in counts.items()},
        ),
        _result("no_leak_of_videos", "every video and its pairs are in the same part", _videos(corpus, sides)),
        _result("no_leak_of_pictures", "near-duplicates are in one part and one fold", _pictures(corpus, release)),
        _result("same_channel", "the two videos of every pair are of one channel", _pairs_of_two_channels(sides)),
        _result("whole_channels", "every channel is in one fold", _split_channels(corpus)),
        _result("later_is_held_out", "no held-out video is older than a training video of its channel", _order(corpus)),
        _result("same_era", "the views of both videos of a pair were counted in the same era", _eras(sides)),
        _result("no_future_observation", f"no count was observed after {as_of}", _observations(corpus, as_of)),
        _result("labels_hold", "the views confirm every winner, label and margin", _labels(corpus, sides)),
        _result(
            "target_of_training_rows", "the targets were computed from the training videos alone", _targets(corpus)
        ),
        _result("one_video", "the one-video pairs are complete", _one_video(corpus, release)),
    ]


class _Sides:
    """The pairs of a release. The method `of` returns a column of `videos.parquet` twice: for the winners, and for the
    losers.
    """

    def __init__(self, corpus: pd.DataFrame, pairs: pd.DataFrame) -> None:
        self.corpus, self.pairs = corpus, pairs
        self.winner, self.loser = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)

    def of(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        values = self.corpus[column].to_numpy(object)
        return values[self.winner], values[self.loser]

    def named(self, wrong: Flags) -> Iterator[tuple[int, str]]:
        """Yield the row number and the name of each pair whose flag in `wrong` is set."""
        winner, loser = self.of("video_id")
        for row in np.flatnonzero(wrong):
            yield int(row), f"pair {winner[row]} > {loser[row]}"


def _result(name: str, explanation: str, faults: Iterable[str]) -> CheckResult:
    """Return a passed check with `explanation`, or a failed check that names the first of the `faults`."""
    all_faults = list(faults)
    if not all_faults:
        return CheckResult(name, True, explanation, figures={"wrong_rows": 0})
    more = f"; and {len(all_faults) - _MOST_NAMED} more" if len(all_faults) > _MOST_NAMED else ""
    return CheckResult(name, False, "; ".join(all_faults[:_MOST_NAMED]) + more, figures={"wrong_rows": len(all_faults)})


def _videos(corpus: pd.DataFrame, sides: _Sides) -> Iterator[str]:
    for video_id, rows in corpus[corpus.video_id.duplicated(keep=False)].groupby("video_id"):
        yield f"video {video_id} has {len(rows)} rows, in {' and '.join(sorted(set(rows.part)))}"
    winner, loser = sides.of("part")
    part = sides.pairs.part.to_numpy(object)
    for row, name in sides.named((part != MIXED) & ((winner != part) | (loser != part))):
        yield f"{name} is a {part[row]} pair of a {winner[row]} and a {loser[row]} video"
    # Each unordered pair of rows becomes one number, because sorting numbers is faster than sorting rows of an array.
    pair = np.minimum(sides.winner, sides.loser) * len(corpus) + np.maximum(sides.winner, sides.loser)
    order = np.argsort(pair)
    twice, repeated = np.zeros(len(pair), bool), pair[order[1:]] == pair[order[:-1]]
    twice[order[1:][repeated]] = twice[order[:-1][repeated]] = True
    for _, name in sides.named(twice | (sides.winner == sides.loser)):
        yield f"{name} occurs twice, or has one video on both sides"


def _pictures(corpus: pd.DataFrame, release: Release) -> Iterator[str]:
    vectors, threshold = None, float(release.info.get("near_duplicate", 1.0))
    try:
        vectors = Snapshot.load(release, len(corpus)).images
    except LabError as error:
        yield str(error)
    ids, parts, folds = (corpus[name].to_numpy(object) for name in ("video_id", "part", "fold"))
    of_pictures = corpus.sha256.tolist(), known_hashes(corpus.phash), vectors
    if release.info.get(UNLIKE) == Pictures(*of_pictures, threshold).digest(np.arange(len(corpus))):
        return
    pictures = Pictures(*of_pictures, threshold + _ROUNDING)
    sides = np.asarray(corpus.groupby(["part", "fold"]).ngroup(), np.intp)
    for earlier, later in pictures.across(sides):
        where = [
            f"{what} {side[earlier]} and {side[later]}"
            for what, side in (("parts", parts), ("folds", folds))
            if side[earlier] != side[later]
        ]
        yield f"videos {ids[earlier]} and {ids[later]} look alike and are in {', '.join(where)}"


def _pairs_of_two_channels(sides: _Sides) -> Iterator[str]:
    winner, loser = sides.of("channel_id")
    for row, name in sides.named(winner != loser):
        yield f"{name} has videos of the channels {winner[row]} and {loser[row]}"


def _split_channels(corpus: pd.DataFrame) -> Iterator[str]:
    for channel, rows in corpus.groupby("channel_id"):
        if rows.fold.nunique() > 1:
            # The videos of this channel are in several folds. The fold with the fewest videos is most likely the wrong
            # fold, so the check names a video of this fold.
            fewest = rows[rows.fold == rows.fold.value_counts().index[-1]]
            yield f"channel {channel} is in {rows.fold.nunique()} folds, see video {fewest.video_id.iloc[0]}"


def _order(corpus: pd.DataFrame) -> Iterator[str]:
    for earlier, later in ((TRAIN, TEST), (TRAIN, VALIDATION), (VALIDATION, TEST)):
        by_channel = corpus[corpus.part == earlier].sort_values("published_at").groupby("channel_id")
        latest = by_channel[["published_at", "video_id"]].last().add_suffix("_of_latest")
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
        "has another age than its count": (corpus.age_hours - age.clip(lower=1)).abs() > _HOUR_ROUNDING,
    }
    for hours in FIXED_AGES:
        views = corpus[views_at(hours)] if views_at(hours) in corpus else pd.Series(np.nan, corpus.index)
        faults[f"has views at {hours} h but is younger"] = views.notna() & (age < hours - _HOUR_ROUNDING)
        faults[f"has more views at {hours} h than in its latest count"] = views > corpus.views * (1 + _ROUNDING)
    for fault, wrong in faults.items():
        for video_id in corpus.video_id[wrong]:
            yield f"video {video_id} {fault}"


def _labels(corpus: pd.DataFrame, sides: _Sides) -> Iterator[str]:
    views = ComparableViews(corpus)
    number, winner_views, loser_views = views.compare(sides.winner, sides.loser)
    label = np.array(views.labels, object)[number]
    for row, name in sides.named(label != sides.pairs.label.to_numpy(object)):
        yield f"{name} is labelled by {sides.pairs.label.iloc[row]} instead of {label[row]}"
    for row, name in sides.named(winner_views <= loser_views):
        yield f"{name} has {winner_views[row]:,.0f} to {loser_views[row]:,.0f} {label[row]}"
    margin, expected = sides.pairs.margin.to_numpy(float), 1 - loser_views / winner_views
    for row, name in sides.named((np.abs(expected - margin) > _ROUNDING) & (winner_views > loser_views)):
        yield f"{name} has the margin {margin[row]:.3f} instead of {expected[row]:.3f}"


def _one_video(corpus: pd.DataFrame, release: Release) -> Iterator[str]:
    try:
        yield from OneVideoPairs.load(release).faults(corpus)
    except LabError as error:
        yield str(error)


def _targets(corpus: pd.DataFrame) -> Iterator[str]:
    growth = fit_growth(corpus[corpus.part == TRAIN])
    expected, stored = growth.target(corpus), corpus.target.to_numpy(float)
    for row in np.flatnonzero(~(np.abs(expected - stored) <= _ROUNDING)):
        yield (
            f"video {corpus.video_id.iloc[row]} has the target {stored[row]:.4f}; growth fitted to the training videos "
            f"alone (half age {growth.half_age:.0f} h) gives {expected[row]:.4f}"
        )
