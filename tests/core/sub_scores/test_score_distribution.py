"""Test the distribution of sub-scores over a library.

The percentile of a sub-score is computed from the distribution. A file with an invalid distribution is refused.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.sub_scores import NAMES
from thumblab_core.sub_scores.distribution import FILE, LEAST, DistributionError, ScoreDistribution

VALUES = st.lists(st.floats(0, 1), min_size=LEAST, max_size=300)


def of(values: list[float], name: str = "clarity") -> ScoreDistribution:
    return ScoreDistribution.of("1", len(values), {name: values})


@given(VALUES, st.floats(0, 1))
def test_a_percentile_lies_between_the_shares_of_smaller_and_of_smaller_or_equal_values(
    values: list[float], value: float
) -> None:
    percentile = of(values).percentile("clarity", value)
    assert percentile is not None
    rounded, array = round(value, 6), np.round(values, 6)
    low, high = 100 * float((array < rounded).mean()), 100 * float((array <= rounded).mean())
    slack = 1.01 + 100 / len(values)
    assert low - slack <= percentile <= high + slack


@given(VALUES, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_value_never_has_a_lower_percentile(values: list[float], one: float, other: float) -> None:
    distribution = of(values)
    low, high = distribution.percentile("clarity", min(one, other)), distribution.percentile("clarity", max(one, other))
    assert low is not None
    assert high is not None
    assert low <= high


def test_a_value_that_many_pictures_share_is_in_their_middle() -> None:
    assert of([0.0] * 50).percentile("clarity", 0.0) == 50
    assert of([0.0] * 30 + np.linspace(0.1, 1, 70).tolist()).percentile("clarity", 0.0) == pytest.approx(14.5, abs=1)


def test_values_outside_the_library_are_at_0_or_100() -> None:
    distribution = of(np.linspace(0.2, 0.8, 50).tolist())
    assert distribution.percentile("clarity", 0.1) == 0
    assert distribution.percentile("clarity", 0.9) == 100


def test_fewer_than_twenty_values_give_no_distribution() -> None:
    assert of([0.5] * (LEAST - 1)).percentile("clarity", 0.5) is None
    assert of([0.5] * LEAST).percentile("clarity", 0.5) == 50
    assert of([0.5] * LEAST).percentile("title_match", 0.5) is None


def published(folder: Path, content: object) -> Release:
    def write(release: Path) -> None:
        (release / FILE).write_text(content if isinstance(content, str) else json.dumps(content))

    return ReleaseStore(folder).publish("index", "tech", write, {})


def test_a_saved_distribution_loads_unchanged(tmp_path: Path) -> None:
    distribution = of(np.random.default_rng(0).random(77).tolist())
    release = ReleaseStore(tmp_path).publish("index", "tech", distribution.save, {})
    loaded = ScoreDistribution.load(release)
    assert loaded is not None
    assert (loaded.version, loaded.count) == ("1", 77)
    assert loaded.percentile("clarity", 0.4) == distribution.percentile("clarity", 0.4)
    assert loaded == distribution


def test_an_older_release_has_no_distribution(tmp_path: Path) -> None:
    release = ReleaseStore(tmp_path).publish("index", "tech", lambda _: None, {})
    assert ScoreDistribution.load(release) is None


@pytest.mark.parametrize(
    "values", [[0.5] * 100, [0.5] * 102, [0.5] * 100 + [1.5], [0.5] * 100 + [-1], [1.0] + [0.5] * 100, ["x"] * 101, {}]
)
def test_invalid_quantiles_are_refused(tmp_path: Path, values: object) -> None:
    content = {"version": "1", "count": 5, "quantiles": dict.fromkeys(NAMES, values)}
    with pytest.raises(DistributionError, match=f"{FILE} is not valid"):
        ScoreDistribution.load(published(tmp_path, content))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": "1", "count": 1, "quantiles": {}}', "null", "NaN"])
def test_a_file_without_a_distribution_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DistributionError, match=f"{FILE} is not valid"):
        ScoreDistribution.load(published(tmp_path, content))


def test_nan_quantiles_are_refused(tmp_path: Path) -> None:
    content = json.dumps({"version": "1", "count": 5, "quantiles": dict.fromkeys(NAMES, [0.5] * 100 + [float("nan")])})
    with pytest.raises(DistributionError, match="not 101 values from 0 to 1"):
        ScoreDistribution.load(published(tmp_path, content))
