"""Tests of the views at a fixed age. The views are interpolated between observations, and never extrapolated.

The observations before and after a fixed age must be of the same era. An era is a definition of what YouTube counts as
a view.
"""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumblab_pipelines.features.fixed_age import MAX_AGE_RATIO, Estimate, views_at_ages

ROOT = Path(__file__).resolve().parents[3]
Observation = tuple[float, float, str]

AGES = st.floats(0.5, 5_000)
COUNTS = st.integers(0, 10**10).map(float)
ANY_HISTORY = st.lists(st.tuples(AGES, COUNTS | st.just(math.nan), st.sampled_from(["old", "new"])), max_size=12)


@st.composite
def growing(draw: st.DrawFn) -> list[Observation]:
    """Draw random observations of one era, in order of age. Each age is 1.001 to 1.9 times the previous age."""
    steps = draw(st.lists(st.tuples(st.floats(1.001, 1.9), st.integers(0, 10**7)), min_size=1, max_size=10))
    age, count = draw(st.floats(1, 100)), float(draw(st.integers(0, 10**6)))
    seen = [(age, count, "new")]
    for factor, more in steps:
        age, count = age * factor, count + more
        seen.append((age, count, "new"))
    return seen


def estimates(at: list[float], seen: list[Observation], max_ratio: float = MAX_AGE_RATIO) -> dict[float, Estimate]:
    ages, views = (np.array([s[column] for s in seen], float) for column in (0, 1))
    return {e.at: e for e in views_at_ages(at, ages, views, [s[2] for s in seen], max_ratio)}


def views_at(at: float, *seen: Observation) -> float | None:
    by_age = estimates([at], list(seen))
    return by_age[at].views if by_age else None


def test_views_grow_linearly_with_the_logarithm_of_age() -> None:
    assert views_at(24, (18, 1_000, "new"), (32, 2_000, "new")) == pytest.approx(1_500)
    assert estimates([24], [(18, 1_000, "new"), (32, 2_000, "new")])[24] == Estimate(24, 1_500, "new", 18, 32)


@given(growing())
def test_an_observation_of_exactly_the_right_age_is_used_as_it_is(seen: list[Observation]) -> None:
    by_age = estimates([age for age, _, _ in seen], seen)
    assert [(e.views, e.before, e.after) for e in by_age.values()] == [(count, age, age) for age, count, _ in seen]


@given(growing(), st.floats(0, 1))
def test_an_estimate_lies_between_its_two_observations(seen: list[Observation], share: float) -> None:
    for (before, least, _), (after, most, _) in itertools.pairwise(seen):
        at = min(before + share * (after - before), after)
        estimate = estimates([at], seen)[at]
        assert estimate.before <= at <= estimate.after
        assert least <= estimate.views <= most


@given(ANY_HISTORY, AGES)
def test_an_age_without_close_observations_on_both_sides_is_left_out(seen: list[Observation], at: float) -> None:
    for estimate in estimates([at], seen).values():
        ages = [age for age, count, era in seen if era == estimate.era and not math.isnan(count)]
        assert {estimate.before, estimate.after} <= set(ages)
        assert estimate.before <= at <= estimate.after <= MAX_AGE_RATIO * estimate.before
        assert not any(estimate.before < age < estimate.after for age in ages)


@pytest.mark.parametrize(
    ("seen", "known"),
    [
        ([], False),
        ([(20, 5, "new")], False),
        ([(24, 5, "new")], True),
        ([(20, 5, "new"), (23.9, 6, "new")], False),
        ([(24.1, 5, "new"), (30, 6, "new")], False),
        ([(15, 5, "new"), (30, 6, "new")], True),
        ([(14.9, 5, "new"), (30, 6, "new")], False),
        ([(20, 5, "new"), (30, math.nan, "new")], False),
        ([(20, 5, "new"), (28, math.nan, "new"), (30, 6, "new")], True),
        ([(-3, 0, "new"), (0, 0, "new"), (30, 6, "new")], False),
    ],
    ids=[
        "never seen", "seen once", "seen once at that age", "too young", "too old", "twice as old", "more than twice",
        "not counted", "not counted between", "before publication",
    ],
)  # fmt: skip
def test_which_observations_give_the_views_at_one_day(seen: list[Observation], known: bool) -> None:
    assert (views_at(24, *seen) is not None) is known


@given(ANY_HISTORY, AGES)
def test_eras_never_mix(seen: list[Observation], at: float) -> None:
    apart = [estimates([at], [s for s in seen if s[2] == era]) for era in ("old", "new")]
    together = estimates([at], seen)
    assert bool(together) == any(apart)
    if together:
        assert together[at] in [by_age[at] for by_age in apart if by_age]


def test_observations_of_different_eras_on_both_sides_give_no_estimate() -> None:
    assert views_at(24, (20, 1_000, "old"), (28, 2_000, "new")) is None
    assert views_at(24, (20, 1_000, "new"), (28, 2_000, "new")) is not None


def test_a_later_count_of_another_era_corrects_no_count() -> None:
    assert views_at(24, (20, 1_000, "old"), (28, 1_000, "old"), (100, 3, "new")) == 1_000


def test_the_closer_observations_are_used_if_two_eras_enclose_an_age() -> None:
    """Check the estimate for the age of 24 h. Each of two eras has an observation before this age, and an observation
    after this age.

    The estimate must use the era whose observations are closer to 24 h. A video may have two eras if the lab first took
    it for a Short, because YouTube counts the views of Shorts differently.
    """
    seen: list[Observation] = [(20, 100, "new"), (22, 5, "old"), (26, 5, "old"), (30, 100, "new")]
    assert estimates([24], seen)[24] == Estimate(24, 5, "old", 22, 26)


@given(st.lists(st.tuples(AGES, COUNTS, st.just("new")), max_size=12), st.lists(AGES, min_size=2, max_size=20))
def test_estimates_never_decrease_with_age(seen: list[Observation], at: list[float]) -> None:
    by_age = estimates(sorted(at), seen, max_ratio=math.inf)
    views = [estimate.views for estimate in by_age.values()]
    assert all(later >= earlier * (1 - 1e-12) for earlier, later in itertools.pairwise(views))


def test_a_count_that_youtube_lowered_later_is_replaced_by_the_lower_count() -> None:
    assert views_at(24, (20, 1_000, "new"), (22, 5_000, "new"), (26, 1_200, "new")) == 1_200
    assert views_at(22, (20, 1_000, "new"), (22, 5_000, "new"), (26, 1_200, "new")) == 1_200
    assert views_at(24, (20, 1_000, "new"), (24, 1_100, "new"), (24, 1_050, "new")) == 1_050


@given(growing(), st.integers(1, 1_000), st.floats(0.01, 100), st.floats(0.1, 0.9))
def test_estimates_scale_with_views_and_do_not_depend_on_the_unit_of_time(
    seen: list[Observation], more: int, unit: float, share: float
) -> None:
    at = seen[0][0] + share * (seen[1][0] - seen[0][0])
    plain = estimates([at], seen)[at]
    scaled = estimates([at * unit], [(age * unit, count * more, era) for age, count, era in seen])[at * unit]
    assert scaled.views == pytest.approx(plain.views * more, rel=1e-6)


@given(ANY_HISTORY, AGES, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(seen: list[Observation], at: float, random: "np.random.Generator") -> None:
    shuffled = seen + seen[: len(seen) // 2]
    random.shuffle(shuffled)  # type: ignore[arg-type]
    assert estimates([at], shuffled) == estimates([at], seen)


@pytest.fixture(scope="module")
def histories(shared_data: Path) -> Path:
    return shared_data / "view_histories"


def errors_on_real_histories(folder: Path) -> "np.ndarray":
    """Estimate views of trending videos whose true views are known, and return the relative errors of the estimates.

    The views at each age are estimated only from the views of the same video at much lower or much higher ages. These
    ages differ from the estimated age by at least the factor 1.35.
    """
    import pandas as pd

    rows = pd.read_csv(folder / "trending_hourly_2025-02.csv")
    rows["published"] = rows.groupby("video_id").upload_time.transform("first")
    rows = rows.dropna(subset=["published"])
    rows["age"] = (pd.to_datetime(rows.snapshot_commit_time) - pd.to_datetime(rows.published)).dt.total_seconds() / 3600
    errors = []
    for _, seen in rows.groupby("video_id"):
        ages, views = seen.age.to_numpy(float), seen.view_count.to_numpy(float)
        for at, truth in zip(ages, views, strict=True):
            around = np.maximum(ages / at, at / ages) >= 1.35
            for estimate in views_at_ages([at], ages[around], views[around], ["old"] * int(around.sum())):
                errors.append(abs(estimate.views - truth) / truth)
    return np.array(errors)


def test_errors_on_real_view_series_stay_within_the_documented_bound(histories: Path) -> None:
    errors = errors_on_real_histories(histories)
    assert len(errors) > 500
    half, most, nearly_all = np.quantile(errors, [0.5, 0.9, 0.99])
    assert half < 0.02
    assert most < 0.06
    assert nearly_all < 0.10


@pytest.mark.heavy  # The documented figures come from all of the data, so a part of the data is not enough.
def test_the_documented_figures_are_the_figures_of_the_benchmark(histories: Path) -> None:
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.fixed_age", str(histories)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    printed = {" ".join(line.split()) for line in output.splitlines()}
    blocks = (ROOT / "docs" / "view-histories.md").read_text().split("```")[1::2]
    figures = [
        " ".join(line.split()) for block in blocks if block.startswith("text\n") for line in block.splitlines()[1:]
    ]
    assert len(figures) > 20
    assert [line for line in figures if line not in printed] == []


def test_the_benchmark_without_data_names_the_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fixed_age", str(tmp_path / "nowhere")],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "There is no folder" in done.stderr
