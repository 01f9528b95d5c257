"""How well views at a fixed age are known from the observations around it: `python -m benchmarks.fixed_age [DIR]`.

Real histories are thinned as if they had been observed less often, every hidden observation is interpolated from what is
left, and the relative error |estimate - count| / count is what the tables show: median / 90 % / 99 %, in percent.
DIR holds `trending_hourly_2025-02.csv`, `daily_2025-2026.csv` and `trending_daily_2017_us.csv`.
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
"""Views at the hidden ages, from the ages and views that were kept (both in order, at least two)."""

_DEFAULT = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "view_histories"
CHOSEN = "views over log age"
_RATIOS = (1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
_RATIO_EDGES = (1.0, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0)
_SIDES = (1.1, 1.2, 1.3, MAX_AGE_RATIO**0.5, 1.6)
_AGE_EDGES = (0, 24, 48, 72, 168, 336, 720, 2_160, 10_000)
_PHASES = 8
_ERA = "one"  # no file here spans a change of the definition of a view for its videos


@dataclass(frozen=True)
class History:
    """The distinct ages (hours) at which a video was seen, in order, and its counts then."""

    video_id: str
    ages: Float64s
    views: Float64s


def hourly(folder: Path) -> list[History]:
    """A trending list seen 101 times in February 2025; videos whose publication it never told are left out."""
    rows = pd.read_csv(folder / "trending_hourly_2025-02.csv")
    rows["published"] = rows.groupby("video_id").upload_time.transform("first")
    return _histories(rows.rename(columns={"snapshot_commit_time": "observed"}))


def daily(folder: Path) -> list[History]:
    """Music videos counted once a day for a year."""
    rows = pd.read_csv(folder / "daily_2025-2026.csv").dropna(subset=["video_id", "view_count"])
    return _histories(rows.rename(columns={"run_datetime_utc": "observed", "published_at": "published"}))


def _histories(rows: pd.DataFrame) -> list[History]:
    rows = rows.dropna(subset=["published"]).drop_duplicates(["video_id", "observed"])
    observed, published = (pd.to_datetime(rows[name], utc=True, format="ISO8601") for name in ("observed", "published"))
    rows = rows.assign(age=(observed - published).dt.total_seconds() / 3600).sort_values(["video_id", "age"])
    return [
        History(str(video_id), seen.age.to_numpy(float), seen.view_count.to_numpy(float))
        for video_id, seen in rows.groupby("video_id")
        if len(seen) > 2
    ]


def _product(at: Float64s, ages: Float64s, views: Float64s) -> Float64s:
    """The lab's own, without its limit of the gap."""
    found = views_at_ages(at.tolist(), ages, views, [_ERA] * len(ages), max_ratio=np.inf)
    return np.array([estimate.views for estimate in found])


def _log_log_pchip(at: Float64s, ages: Float64s, views: Float64s) -> Float64s:
    from scipy.interpolate import PchipInterpolator

    found: Float64s = np.exp(PchipInterpolator(np.log(ages), np.log(views))(np.log(at)))
    return found


METHODS: dict[str, Method] = {
    CHOSEN: _product,
    "log views over log age": lambda at, ages, views: np.exp(np.interp(np.log(at), np.log(ages), np.log(views))),
    "the same, PCHIP": _log_log_pchip,
    "views over age": np.interp,
}

Keeps = Callable[[float, float], bool]
"""Whether an observation of the second age is kept when the one before it that was kept has the first."""


def lab_schedule(before: float, age: float) -> bool:
    """Every 6 hours up to 3 days, daily to 14, weekly to 90. An hour's grace: the observations are no clockwork."""
    wait = 6 if before < 72 else 24 if before < 336 else 168
    return age - before > wait - 1


def missing_one(before: float, age: float) -> bool:
    """The same, when every other refresh fails."""
    wait = 12 if before < 72 else 48 if before < 336 else 336
    return age - before > wait - 1


def errors(histories: Sequence[History], keeps: Keeps) -> pd.DataFrame:
    """A row per hidden observation and phase: `video_id`, `age`, `ratio` of the ages around it, an error per method.

    Each history is thinned several times, beginning at each of its first observations.
    """
    found = []
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
            found.append(pd.DataFrame({"video_id": history.video_id, "age": at, "ratio": ratio, **columns}))
    return pd.concat(found, ignore_index=True)


def by_gap(histories: Sequence[History]) -> pd.DataFrame:
    """The errors of histories thinned to ever wider gaps; the same count is hidden many times."""
    found = []
    for ratio in _RATIOS:

        def apart(before: float, age: float, ratio: float = ratio) -> bool:
            return age / before >= ratio

        found.append(errors(histories, apart))
    return pd.concat(found, ignore_index=True)


def in_the_middle(histories: Sequence[History], side: float) -> pd.DataFrame:
    """The errors where they are largest: of each count from those at least `side` times younger and older than it."""
    found = []
    for history in histories:
        for at, truth in zip(history.ages, history.views, strict=True):
            apart = np.maximum(history.ages / at, at / history.ages) >= side
            ages, views = history.ages[apart], history.views[apart]
            after = int(np.searchsorted(ages, at))
            if after in (0, len(ages)):
                continue
            errors = {
                name: abs(method(np.array([at]), ages, views)[0] - truth) / truth for name, method in METHODS.items()
            }
            found.append({"video_id": history.video_id, "ratio": ages[after] / ages[after - 1], **errors})
    return pd.DataFrame(found)


def middles(histories: Sequence[History]) -> Iterator[tuple[str, pd.DataFrame]]:
    """`in_the_middle` of ever wider gaps, up to the one that is admitted and beyond, with the ratio of the ages around."""
    for side, wider in pairwise(_SIDES):
        found = in_the_middle(histories, side)
        yield f"{side**2:.2f} to {wider**2:.2f}", found[found.ratio <= wider**2 + 1e-9]


def parts(found: pd.DataFrame, column: str, edges: Sequence[float]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The errors in bins of a column, without the empty ones."""
    for part, rows in found.groupby(pd.cut(found[column], list(edges)), observed=True):
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
    """The list of 2017 tells days, not ages: only what needs no age can be measured on it.

    The middle of three consecutive days is interpolated linearly in time. A video that was first seen k days before is at
    least k days old, so the ages around it have at most the ratio (k + 1) / (k - 1).
    """
    rows = pd.read_csv(folder / "trending_daily_2017_us.csv", dtype=str)
    # Written as numbers, so that October's days end in .1; a few lines are damaged.
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
        those = error[middle & (since == days)]
        at_most = f"{(days + 1) / (days - 1):.2f} times" if days > 1 else "unknown"
        shown.add_row(str(days), at_most, f"{len(those):,}", _quantiles(those))
    return shown


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _DEFAULT
    if not folder.is_dir():
        sys.exit(f"There are no view histories in {folder}: name their folder, python -m benchmarks.fixed_age DIR")
    console = Console(width=130)
    for name, histories in (("hourly, 2025", hourly(folder)), ("daily, 2025 to 2026", daily(folder))):
        found = by_gap(histories)
        console.print(table(f"{name}: anywhere in the gap", "ratio", parts(found, "ratio", _RATIO_EDGES)))
        console.print(table(f"{name}: in the middle of the gap", "ratio", middles(histories)))
        admitted = found[found.ratio <= MAX_AGE_RATIO]
        console.print(table(f"{name}: gaps up to {MAX_AGE_RATIO:g}", "hours", parts(admitted, "age", _AGE_EDGES)))
        for title, keeps in (("the lab's schedule", lab_schedule), ("every other refresh missed", missing_one)):
            seen = errors(histories, keeps)
            refused = float((seen.ratio > MAX_AGE_RATIO).mean())
            admitted = seen[seen.ratio <= MAX_AGE_RATIO]
            title = f"{name}: {title}, {refused:.1%} refused"
            console.print(table(title, "hours", parts(admitted, "age", _AGE_EDGES)))
    console.print(without_publication(folder))


if __name__ == "__main__":
    main()
