"""Compare age corrections, which make the lifetime views of videos of different ages comparable.

A good correction puts videos into the order that their views at one fixed age would give.

    python -m benchmarks.age_correction [DIR]

DIR contains the view series that `benchmarks.fixed_age` reads. Each correction is fitted to one half of the videos and
evaluated on the other half. Then the correction is fitted to the second half of the videos and evaluated on the first
half.

The last table compares the corrections on the synthetic catalogue. In this catalogue, each video is observed once, and
the formula by which views grow with age is known.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.fixed_age import daily, hourly
from demo.catalogues.drafts import CLOCK
from demo.catalogues.growth import growth
from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.arrays import Float64s
from thumblab_pipelines.dataset.ageing import Growth, age_exponent
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.splits import TEST, TRAIN, split_by_time

Points = tuple[Float64s, Float64s]
"""The observations of one video, sorted by age: their ages in hours, and their view counts."""
Curve = Callable[[Float64s], Float64s]
"""A function that maps ages in hours to numbers. A correction subtracts these numbers from ln views at these ages."""
Fit = Callable[[Sequence[Points]], Curve]
"""A function that fits an age correction: it takes view series, and returns the curve of the correction."""

_DEFAULT = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "view_histories"
_HALF_AGES = np.geomspace(3, 4_320, 60)
"""The half ages in hours that `fit_saturating` tries. At its half age, a video has half of its final views."""
_SPREAD = 1.0
"""The standard deviation of ln views among a channel's videos at one age. On real channels, the standard deviation is
0.9 to 1.3.
"""
_DRAWN = 200_000
"""The number of random pairs of videos on which a correction is evaluated."""
_POINTS = 12
"""The largest number of observations that the benchmark uses of one video."""
_CLOSE = 2.0
"""Two videos have a similar age if the older video is at most this many times as old as the younger video."""
_SEEDS = (7, 1, 2)
"""The seeds of the synthetic catalogues."""


def thinned(points: Points) -> Points:
    """Return at most 12 of the observations of a video, spaced about evenly in log age.

    Without thinning, a year of daily observations would outweigh the first week.
    """
    ages, views = points
    steps = np.searchsorted(ages, np.geomspace(ages[0], ages[-1], _POINTS)).clip(0, len(ages) - 1)
    chosen = np.unique(steps)
    return ages[chosen], np.maximum(views[chosen], 1.0)


def _within(histories: Sequence[Points], curve: Curve) -> tuple[Float64s, Float64s]:
    """Return the values of `curve` and the ln views, as two arrays over the observations of all videos.

    Both arrays are centred: the mean over a video's observations is subtracted from each value of this video. So a
    video's level of views has no influence on the fit.
    """
    shapes = [curve(ages) for ages, _ in histories]
    logs = [np.log(views) for _, views in histories]
    centred = [np.concatenate([part - part.mean() for part in parts]) for parts in (shapes, logs)]
    return centred[0], centred[1]


def fit_power(histories: Sequence[Points]) -> Curve:
    """Fit a curve in which views are proportional to age to the power p. p is between 0 and 1."""
    shape, logs = _within(histories, np.log)
    power = float(np.clip((shape @ logs) / (shape @ shape), 0, 1))
    return lambda ages: power * np.log(ages)


def fit_saturating(histories: Sequence[Points]) -> Curve:
    """Fit a curve in which views are proportional to age / (age + half age)."""

    def error(half: float) -> float:
        shape, logs = _within(histories, Growth(half).log_share)
        return float(((logs - shape) ** 2).sum())

    return Growth(min(_HALF_AGES, key=error)).log_share


def fit_square(histories: Sequence[Points]) -> Curve:
    """Fit a curve in which ln views are a quadratic function of ln age."""
    columns = [_within(histories, curve)[0] for curve in (np.log, lambda ages: np.log(ages) ** 2)]
    logs = _within(histories, np.log)[1]
    (first, second), *_ = np.linalg.lstsq(np.stack(columns, axis=1), logs, rcond=None)
    return lambda ages: np.asarray(first * np.log(ages) + second * np.log(ages) ** 2, np.float64)


def fit_isotonic(histories: Sequence[Points]) -> Curve:
    """Fit ln views by an increasing curve that all videos share, plus a constant for each video. The constant is the
    video's level.

    Two steps are repeated 50 times. The first step fits the levels to the current curve. The second step fits the curve
    to these levels.
    """
    from sklearn.isotonic import IsotonicRegression

    ages = np.concatenate([np.log(points[0]) for points in histories])
    logs = np.concatenate([np.log(points[1]) for points in histories])
    video = pd.Series(np.repeat(np.arange(len(histories)), [len(points[0]) for points in histories]))
    shape = np.zeros(len(logs))
    for _ in range(50):
        level = pd.Series(logs - shape).groupby(video).transform("mean").to_numpy()
        rising = IsotonicRegression(out_of_bounds="clip").fit(ages, logs - level)
        shape = rising.predict(ages)
    return lambda hours: np.asarray(rising.predict(np.log(hours)), np.float64)


METHODS: dict[str, Fit] = {
    "lifetime views": lambda _: np.zeros_like,
    "views per hour": lambda _: np.log,
    "power of age": fit_power,
    "square in log age": fit_square,
    "rising curve (isotonic)": fit_isotonic,
    "age / (age + half age)": fit_saturating,
    "the same, 48 h": lambda _: Growth().log_share,
}


def list_of_2017(folder: Path) -> list[Points]:
    """Return the view series of the videos in YouTube's daily trending list of 2017.

    The list has no publication times, so each video is assumed to be half a day old on its first day in the list.
    Videos with fewer than three days in the list are left out.
    """
    rows = pd.read_csv(folder / "trending_daily_2017_us.csv", dtype=str)
    # The file writes a date as the number day.month, so a date in October ends in .1 instead of .10. All dates are in
    # September or October. A few lines are damaged and are dropped.
    rows = rows[rows.date.str.fullmatch(r"\d{1,2}\.(09|1)") & rows.video_id.str.fullmatch(r"[\w-]{11}").fillna(False)]
    day = pd.to_datetime(rows.date.str.replace(r"\.1$", ".10", regex=True) + ".2017", format="%d.%m.%Y")
    rows = rows.assign(day=day, views=pd.to_numeric(rows.views, errors="coerce")).dropna(subset=["views"])
    rows = rows.drop_duplicates(["video_id", "day"]).sort_values(["video_id", "day"])
    rows["age"] = ((rows.day - rows.groupby("video_id").day.transform("first")).dt.days + 0.5) * 24.0
    return [
        (video.age.to_numpy(float), video.views.to_numpy(float))
        for _, video in rows.groupby("video_id")
        if len(video) > 2
    ]


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a correction on pairs of videos whose true order is known.

    Args:
        pairs: the number of pairs.
        right: the share of pairs that the corrected views put in the true order.
        right_2x: the same share, but only of pairs in which the winner has at least twice the true views of the loser.
        older: the share of pairs in which the older video has more corrected views. A correction that removes the
            effect of age gives 0.5.
    """

    pairs: int
    right: float
    right_2x: float
    older: float


def on_histories(histories: Sequence[Points], at: float) -> dict[str, tuple[Evaluation, Evaluation]]:
    """Evaluate each age correction on random pairs of real videos.

    A pair has one random observation of each of its two videos. The true order of a pair is the order of the two
    videos' views at one age: `at`, in hours.

    The views are simulated, because two random videos usually belong to channels of different size, but the lab
    compares only videos of one channel. Ln views at the age `at` are drawn from a normal distribution with the spread
    that videos of one channel have. The views at the age of the observation follow from the drawn views and from the
    real growth of the video.

    The result has two evaluations for each correction. The first is on all pairs. The second is on the pairs in which
    the older video is at most twice as old as the younger video.
    """
    random = np.random.default_rng(0)
    all_series = [thinned(points) for points in histories]
    covered = [points for points in all_series if points[0][0] <= at <= points[0][-1]]
    differences: dict[str, list[list[Float64s]]] = {name: [] for name in METHODS}
    for side in (0, 1):
        evaluated = covered[side::2]
        training = [points for points in all_series if not any(points is other for other in evaluated)]
        fitted = {name: fit(training) for name, fit in METHODS.items()}
        ages = [points[0] for points in evaluated]
        growths = [np.log(v) - np.interp(np.log(at), np.log(a), np.log(v)) for a, v in evaluated]
        videos = random.integers(0, len(evaluated), (2, _DRAWN // 2))
        videos = videos[:, videos[0] != videos[1]]
        truth = _SPREAD * random.standard_normal(videos.shape)
        place = [(random.random(videos.shape[1]) * np.array([len(ages[v]) for v in row])).astype(int) for row in videos]
        age = np.array([[ages[v][p] for v, p in zip(*both, strict=True)] for both in zip(videos, place, strict=True)])
        log_growth = np.array(
            [[growths[v][p] for v, p in zip(*both, strict=True)] for both in zip(videos, place, strict=True)]
        )
        for name, curve in fitted.items():
            corrected = truth + log_growth - curve(age.ravel()).reshape(age.shape)
            differences[name].append([truth[0] - truth[1], corrected[0] - corrected[1], np.log(age[0] / age[1])])
    return {
        name: _evaluate(*(np.concatenate(parts) for parts in zip(*sides, strict=True)))
        for name, sides in differences.items()
    }


def _evaluate(truth: Float64s, corrected: Float64s, log_ratio: Float64s) -> tuple[Evaluation, Evaluation]:
    def evaluate(chosen: npt.NDArray[np.bool_]) -> Evaluation:
        right, wide = truth * corrected > 0, np.abs(truth) >= np.log(2)
        older = (corrected * log_ratio > 0)[chosen & (log_ratio != 0)]
        return Evaluation(
            int(chosen.sum()), float(right[chosen].mean()), float(right[chosen & wide].mean()), float(older.mean())
        )

    return evaluate(np.ones(len(truth), bool)), evaluate(np.abs(log_ratio) <= np.log(_CLOSE))


def synthetic(seed: int) -> pd.DataFrame:
    """Return a table with a row for each video of the synthetic catalogue.

    The column `truth` contains ln views minus the effect of age, which is known in this catalogue. The column `part`
    says whether a video belongs to the training, validation or test part.
    """
    videos = list(synthetic_catalogue(seed=seed).videos.values())
    corpus = pd.DataFrame(
        {
            "video_id": [video.video_id for video in videos],
            "channel_id": [video.channel_id for video in videos],
            "published_at": [video.published_at for video in videos],
            "views": [float(video.views) for video in videos],
            "age_hours": [(CLOCK - video.published_at).total_seconds() / 3600 for video in videos],
        }
    ).sort_values(["published_at", "video_id"], ignore_index=True)
    corpus["truth"] = np.log(corpus.views) - np.log([growth(age / 24) for age in corpus.age_hours])
    corpus["part"] = split_by_time(corpus)
    return corpus


def on_synthetic(corpora: Sequence[pd.DataFrame]) -> Iterator[tuple[str, Evaluation, Evaluation]]:
    """Yield the name of each age correction with its two evaluations on the pairs of the test part.

    The first evaluation is on all pairs, and the second is on pairs of videos of similar age.

    Each correction is fitted to the training part. A synthetic video has only one observation, so the videos of a
    channel are used as if they were the observations of one video.
    """
    for name, fit in (METHODS | {"power of age": _channel_power}).items():
        sides: list[list[Float64s]] = []
        for corpus in corpora:
            train = corpus[corpus.part == TRAIN]
            channels = [
                (rows.age_hours.to_numpy(float), rows.views.to_numpy(float)) for _, rows in train.groupby("channel_id")
            ]
            target = np.log(corpus.views.to_numpy(float)) - fit(channels)(corpus.age_hours.to_numpy(float))
            pairs = pair_up(corpus.assign(target=target), 30.0)
            pairs = pairs[pairs.part == TEST]
            first, second = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
            truth, ages = corpus.truth.to_numpy(float), np.log(corpus.age_hours.to_numpy(float))
            sides.append([side[first] - side[second] for side in (truth, target, ages)])
        yield name, *_evaluate(*(np.concatenate(parts) for parts in zip(*sides, strict=True)))


def _channel_power(channels: Sequence[Points]) -> Curve:
    frames = [pd.DataFrame({"channel_id": n, "age_hours": ages, "views": v}) for n, (ages, v) in enumerate(channels)]
    power = age_exponent(pd.concat(frames))
    return lambda ages: power * np.log(ages)


def table(title: str, rows: Iterator[tuple[str, Evaluation, Evaluation]]) -> Table:
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    columns = ("ordered right", "2x gap", "older wins")
    for number, column in enumerate(("", *columns, f"ages within {_CLOSE:g}x", *columns)):
        shown.add_column(column, justify="right" if number else "left", no_wrap=True)
    for name, every, close in rows:
        cells = [
            [f"{evaluation.right:.3f}", f"{evaluation.right_2x:.3f}", f"{evaluation.older:.3f}"]
            for evaluation in (every, close)
        ]
        shown.add_row(name, *cells[0], f"{close.pairs / every.pairs:.0%} of pairs", *cells[1])
    return shown


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _DEFAULT
    console = Console(width=130)
    if folder.is_dir():
        real = {
            ("hourly 2025, against views at 48 h", 48.0): [(h.ages, h.views) for h in hourly(folder)],
            ("by days 2017, against views at 84 h", 84.0): list_of_2017(folder),
            ("daily 2025 to 2026, against views at 720 h", 720.0): [(h.ages, h.views) for h in daily(folder)],
        }
        for (title, at), histories in real.items():
            evaluations = on_histories(histories, at)
            half = fit_saturating([thinned(points) for points in histories])
            title = (
                f"{title}; {sum(a[0] <= at <= a[-1] for a, _ in histories)} videos, half age {_half_age(half):.0f} h"
            )
            console.print(table(title, ((name, *both) for name, both in evaluations.items())))
    else:
        console.print(
            f"There is no folder {folder}. Give the folder of the view series: python -m benchmarks.age_correction DIR"
        )
    corpora = [synthetic(seed) for seed in _SEEDS]
    console.print(
        table("synthetic catalogue, one observation of each video, future pairs, three seeds", on_synthetic(corpora))
    )


def _half_age(curve: Curve) -> float:
    """Return the half age, in hours, of a curve that `fit_saturating` returned.

    For such a curve, exp(curve(1)) = 1 / (1 + half age).
    """
    return float(np.exp(-curve(np.ones(1))[0]) - 1)


if __name__ == "__main__":
    main()
