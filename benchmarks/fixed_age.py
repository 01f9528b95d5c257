"""Measure how accurately the views of a video at a given age can be interpolated between its observations.

    python -m benchmarks.fixed_age [DIR]

DIR contains `trending_hourly_2025-02.csv`, `daily_2025-2026.csv` and `trending_daily_2017_us.csv`.

Some observations of real view series are hidden, to imitate videos that are observed less often. Every hidden view
count is estimated from the observations that are not hidden. The tables show the relative error |estimate - count| /
count in percent. Each cell has the median, the 90th percentile and the 99th percentile.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thumblab_core.arrays import Float64s
from thumblab_pipelines.features.fixed_age import MAX_AGE_RATIO, views_at_ages

Method = Callable[[Float64s, Float64s, Float64s], Float64s]
"""A function that estimates the views at some ages from the observations at other ages.

It takes three arrays: the ages to estimate views for, the ages at the kept observations, and the views at the kept
observations. There are at least two kept observations, sorted by age.
"""

_DEFAULT = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "view_histories"
CHOSEN = "views over log age"
"""The method that the lab uses."""
# A gap is the time between two consecutive kept observations. The size of a gap is the ratio of the ages at the two
# observations. `_RATIOS` are the sizes of the gaps that this benchmark makes. `_RATIO_EDGES` are the edges of the bins
# in the tables.
_RATIOS = (1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
_RATIO_EDGES = (1.0, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0)
_SIDES = (1.1, 1.2, 1.3, MAX_AGE_RATIO**0.5, 1.6)
_AGE_EDGES = (0, 24, 48, 72, 168, 336, 720, 2_160, 10_000)
_PHASES = 8
"""A view series is thinned in at most this many ways. The first observation that is kept is different in each way."""
_ERA = "one"
"""The era of all observations. An era is a time in which YouTube's definition of a view does not change. The definition
did not change within any of the files."""


@dataclass(frozen=True)
class History:
    """The view series of a video. The series has the view counts at different ages in hours, sorted by age."""

    video_id: str
    ages: Float64s
    views: Float64s


def hourly(folder: Path) -> list[History]:
    """Return the view series of the videos in a trending list, which was recorded 101 times in February 2025.

    Videos whose publication time is unknown are left out.
    """
    rows = pd.read_csv(folder / "trending_hourly_2025-02.csv")
    rows["published"] = rows.groupby("video_id").upload_time.transform("first")
    return _histories(rows.rename(columns={"snapshot_commit_time": "observed"}))


def daily(folder: Path) -> list[History]:
    """Return the daily view counts of music videos over a year, as view series."""
    rows = pd.read_csv(folder / "daily_2025-2026.csv").dropna(subset=["video_id", "view_count"])
    return _histories(rows.rename(columns={"run_datetime_utc": "observed", "published_at": "published"}))


def _histories(rows: pd.DataFrame) -> list[History]:
    rows = rows.dropna(subset=["published"]).drop_duplicates(["video_id", "observed"])
    observed, published = (pd.to_datetime(rows[name], utc=True, format="ISO8601") for name in ("observed", "published"))
    rows = rows.assign(age=(observed - published).dt.total_seconds() / 3600).sort_values(["video_id", "age"])
    return [
        History(str(video_id), video.age.to_numpy(float), video.view_count.to_numpy(float))
        for video_id, video in rows.groupby("video_id")
        if len(video) > 2
    ]


def _product(at: Float64s, ages: Float64s, views: Float64s) -> Float64s:
    """Estimate views with the lab's own function. The lab refuses to estimate views in a long gap between two
    observations. This benchmark estimates these views too.
    """
    estimates = views_at_ages(at.tolist(), ages, views, [_ERA] * len(ages), max_ratio=np.inf)
    return np.array([estimate.views for estimate in estimates])


def _log_log_pchip(at: Float64s, ages: Float64s, views: Float64s) -> Float64s:
    from scipy.interpolate import PchipInterpolator

    views_at: Float64s = np.exp(PchipInterpolator(np.log(ages), np.log(views))(np.log(at)))
    return views_at


METHODS: dict[str, Method] = {
    CHOSEN: _product,
    "log views over log age": lambda at, ages, views: np.exp(np.interp(np.log(at), np.log(ages), np.log(views))),
    "the same, PCHIP": _log_log_pchip,
    "views over age": np.interp,
}

Keeps = Callable[[float, float], bool]
"""A function that says whether to keep an observation.

The arguments of the function are two ages in hours: the age of the last kept observation, and the age of the
observation that may be kept.
"""


def lab_schedule(before: float, age: float) -> bool:
    """Return whether the lab would observe a video at `age` if it last observed this video at the age `before`.

    The lab observes a video every 6 hours until it is 3 days old, then daily until 14 days, then weekly until 90 days.
    An interval may be up to an hour shorter, because observations are not exactly on time.
    """
    wait = 6 if before < 72 else 24 if before < 336 else 168
    return age - before > wait - 1


def missing_one(before: float, age: float) -> bool:
    """Return what `lab_schedule` would return if the lab missed every second observation."""
    wait = 12 if before < 72 else 48 if before < 336 else 336
    return age - before > wait - 1


def errors(histories: Sequence[History], keeps: Keeps) -> pd.DataFrame:
    """Hide some observations, and return a table of the errors with which each method estimates them.

    A row belongs to a hidden observation. The columns are `video_id`, `age`, `ratio`, and one column for each method.
    `ratio` is the age at the next kept observation, divided by the age at the previous kept observation. Each view
    series is thinned several times, and the first kept observation differs each time. An observation may therefore have
    several rows.
    """
    frames = []
    for history in histories:
        ages, views = history.ages, history.views
        for phase in range(min(_PHASES, len(ages) - 2)):
            kept = [phase]
            for row in range(phase + 1, len(ages)):
                if keeps(ages[kept[-1]], ages[row]):
                    kept.append(row)
            hidden = np.setdiff1d(np.arange(kept[0], kept[-1]), kept)
            if not len(hidden):
                continue
            at, truth = ages[hidden], views[hidden]
            after = np.searchsorted(ages[kept], at)
            columns = {
                name: np.abs(method(at, ages[kept], views[kept]) - truth) / truth for name, method in METHODS.items()
            }
            ratio = ages[kept][after] / ages[kept][after - 1]
            frames.append(pd.DataFrame({"video_id": history.video_id, "age": at, "ratio": ratio, **columns}))
    return pd.concat(frames, ignore_index=True)


def by_gap(histories: Sequence[History]) -> pd.DataFrame:
    """Return the errors for view series that are thinned to wider and wider gaps.

    An observation is hidden in many of the thinned series, so it has many rows.
    """
    frames = []
    for ratio in _RATIOS:

        def apart(before: float, age: float, ratio: float = ratio) -> bool:
            return age / before >= ratio

        frames.append(errors(histories, apart))
    return pd.concat(frames, ignore_index=True)


def in_the_middle(histories: Sequence[History], side: float) -> pd.DataFrame:
    """Return the errors of estimates in the middle of gaps, where the errors are largest.

    Each view count is hidden in turn, and is estimated from other observations of the video. Another observation is
    used if its age differs from the age of the hidden count by at least the factor `side`.
    """
    rows = []
    for history in histories:
        for at, truth in zip(history.ages, history.views, strict=True):
            apart = np.maximum(history.ages / at, at / history.ages) >= side
            ages, views = history.ages[apart], history.views[apart]
            after = int(np.searchsorted(ages, at))
            if after in (0, len(ages)):
                continue
            relative_errors = {
                name: abs(method(np.array([at]), ages, views)[0] - truth) / truth for name, method in METHODS.items()
            }
            rows.append({"video_id": history.video_id, "ratio": ages[after] / ages[after - 1], **relative_errors})
    return pd.DataFrame(rows)


def middles(histories: Sequence[History]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the errors of `in_the_middle` for wider and wider gaps, each with a label such as "1.21 to 1.44".

    The numbers in a label are ratios of the ages at the two ends of a gap. The lab itself does not interpolate in the
    widest of these gaps.
    """
    for side, wider in pairwise(_SIDES):
        frame = in_the_middle(histories, side)
        yield f"{side**2:.2f} to {wider**2:.2f}", frame[frame.ratio <= wider**2 + 1e-9]


def parts(errors: pd.DataFrame, column: str, edges: Sequence[float]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Divide the errors into bins by the value of `column`, and yield the label and the errors of each bin.

    Empty bins are left out.
    """
    for part, rows in errors.groupby(pd.cut(errors[column], list(edges)), observed=True):
        yield f"{part.left:g} to {part.right:g}", rows


def table(title: str, first: str, groups: Iterable[tuple[str, pd.DataFrame]]) -> Table:
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, column in enumerate((first, "hidden", "videos", *METHODS)):
        shown.add_column(column, justify="right" if number else "left", no_wrap=True)
    for label, rows in groups:
        cells = [_quantiles(rows[method]) for method in METHODS]
        shown.add_row(label, f"{len(rows):,}", str(rows.video_id.nunique()), *cells)
    return shown


def _quantiles(error: "pd.Series[float]") -> str:
    return " / ".join(f"{100 * q:.1f}" for q in error.quantile([0.5, 0.9, 0.99]))


def without_publication(folder: Path) -> Table:
    """Return a table of errors for YouTube's daily trending list of 2017.

    The list has no publication times, so the ages of its videos are unknown.

    For three consecutive days, the views on the middle day are interpolated linearly in time, which needs no age. If
    the middle day is k days after the first observation of the video, the video is at least k days old on this day. The
    age on the following day is therefore at most (k + 1) / (k - 1) times the age on the preceding day.
    """
    rows = pd.read_csv(folder / "trending_daily_2017_us.csv", dtype=str)
    # The file writes a date as the number day.month, so a date in October ends in .1 instead of .10. All dates are in
    # September or October. A few lines are damaged and are dropped.
    rows = rows[rows.date.str.fullmatch(r"\d{1,2}\.(09|1)") & rows.video_id.str.fullmatch(r"[\w-]{11}").fillna(False)]
    day = pd.to_datetime(rows.date.str.replace(r"\.1$", ".10", regex=True) + ".2017", format="%d.%m.%Y")
    rows = rows.assign(day=day, views=pd.to_numeric(rows.views)).drop_duplicates(["video_id", "day"])
    rows = rows.sort_values(["video_id", "day"])
    video = rows.groupby("video_id")
    since = (rows.day - video.day.transform("first")).dt.days
    step, next_step = video.day.diff().dt.days, -video.day.diff(-1).dt.days
    middle = (step == 1) & (next_step == 1)
    error = np.abs((video.views.shift(1) + video.views.shift(-1)) / 2 - rows.views) / rows.views
    title = "2017: the middle of three days, error in %"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("days since first seen", "ages differ at most", "hidden", "views over age"):
        shown.add_column(column, justify="right")
    for days in range(1, 6):
        hidden_errors = error[middle & (since == days)]
        at_most = f"{(days + 1) / (days - 1):.2f} times" if days > 1 else "unknown"
        shown.add_row(str(days), at_most, f"{len(hidden_errors):,}", _quantiles(hidden_errors))
    return shown


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _DEFAULT
    if not folder.is_dir():
        sys.exit(f"There is no folder {folder}. Give the folder of the view series: python -m benchmarks.fixed_age DIR")
    console = Console(width=130)
    for name, histories in (("hourly, 2025", hourly(folder)), ("daily, 2025 to 2026", daily(folder))):
        gap_errors = by_gap(histories)
        console.print(table(f"{name}: anywhere in the gap", "ratio", parts(gap_errors, "ratio", _RATIO_EDGES)))
        console.print(table(f"{name}: in the middle of the gap", "ratio", middles(histories)))
        admitted = gap_errors[gap_errors.ratio <= MAX_AGE_RATIO]
        console.print(table(f"{name}: gaps up to {MAX_AGE_RATIO:g}", "hours", parts(admitted, "age", _AGE_EDGES)))
        for title, keeps in (("the lab's schedule", lab_schedule), ("every other refresh missed", missing_one)):
            schedule_errors = errors(histories, keeps)
            refused = float((schedule_errors.ratio > MAX_AGE_RATIO).mean())
            admitted = schedule_errors[schedule_errors.ratio <= MAX_AGE_RATIO]
            title = f"{name}: {title}, {refused:.1%} refused"
            console.print(table(title, "hours", parts(admitted, "age", _AGE_EDGES)))
    console.print(without_publication(folder))


if __name__ == "__main__":
    main()
