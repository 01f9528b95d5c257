"""Promises of the distribution of a library: where a value stands, and which files are refused."""

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
def test_a_percentile_is_the_share_below_and_half_of_what_is_equal_to_within_one_hundredth(
    values: list[float], value: float
) -> None:
    found = of(values).percentile("clarity", value)
    assert found is not None
    rounded, array = round(value, 6), np.round(values, 6)
    low, high = 100 * float((array < rounded).mean()), 100 * float((array <= rounded).mean())
    slack = 1.01 + 100 / len(values)
    assert low - slack <= found <= high + slack


@given(VALUES, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_value_never_stands_lower(values: list[float], one: float, other: float) -> None:
    places = of(values)
    low, high = places.percentile("clarity", min(one, other)), places.percentile("clarity", max(one, other))
    assert low is not None
    assert high is not None
    assert low <= high


def test_what_everybody_has_is_in_the_middle_and_not_weak() -> None:
    assert of([0.0] * 50).percentile("clarity", 0.0) == 50
    assert of([0.0] * 30 + np.linspace(0.1, 1, 70).tolist()).percentile("clarity", 0.0) == pytest.approx(14.5, abs=1)


def test_outside_of_all_is_the_first_or_the_last_place() -> None:
    places = of(np.linspace(0.2, 0.8, 50).tolist())
    assert places.percentile("clarity", 0.1) == 0
    assert places.percentile("clarity", 0.9) == 100


def test_a_handful_of_pictures_is_no_distribution() -> None:
    assert of([0.5] * (LEAST - 1)).percentile("clarity", 0.5) is None
    assert of([0.5] * LEAST).percentile("clarity", 0.5) == 50
    assert of([0.5] * LEAST).percentile("title_match", 0.5) is None


def published(folder: Path, said: object) -> Release:
    def write(release: Path) -> None:
        (release / FILE).write_text(said if isinstance(said, str) else json.dumps(said))

    return ReleaseStore(folder).publish("index", "tech", write, {})


def test_saving_and_loading_changes_nothing(tmp_path: Path) -> None:
    places = of(np.random.default_rng(0).random(77).tolist())
    release = ReleaseStore(tmp_path).publish("index", "tech", places.save, {})
    loaded = ScoreDistribution.load(release)
    assert loaded is not None
    assert (loaded.version, loaded.count) == ("1", 77)
    assert loaded.percentile("clarity", 0.4) == places.percentile("clarity", 0.4)
    assert loaded == places


def test_an_older_release_has_none(tmp_path: Path) -> None:
    release = ReleaseStore(tmp_path).publish("index", "tech", lambda _: None, {})
    assert ScoreDistribution.load(release) is None


@pytest.mark.parametrize(
    "values", [[0.5] * 100, [0.5] * 102, [0.5] * 100 + [1.5], [0.5] * 100 + [-1], [1.0] + [0.5] * 100, ["x"] * 101, {}]
)
def test_quantiles_that_make_no_sense_are_refused(tmp_path: Path, values: object) -> None:
    said = {"version": "1", "count": 5, "quantiles": dict.fromkeys(NAMES, values)}
    with pytest.raises(DistributionError, match=f"{FILE} makes no sense"):
        ScoreDistribution.load(published(tmp_path, said))


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"version": "1", "count": 1, "quantiles": {}}', "null", "NaN"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(DistributionError, match=f"{FILE} makes no sense"):
        ScoreDistribution.load(published(tmp_path, said))


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    said = json.dumps({"version": "1", "count": 5, "quantiles": dict.fromkeys(NAMES, [0.5] * 100 + [float("nan")])})
    with pytest.raises(DistributionError, match="not 101 values from 0 to 1"):
        ScoreDistribution.load(published(tmp_path, said))
