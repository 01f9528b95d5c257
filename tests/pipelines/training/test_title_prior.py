"""Tests of the title prior: weights that were fitted to titles of many other channels.

A lab with few videos starts from these weights. The tests draw titles and views. Titles with the word
"secret" get more views. Nothing else in a title has an effect.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thumblab_core.errors import LabError
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import FACTS_BLOCK, LENGTH_BLOCK, TITLE, WORDS_BLOCK, model_inputs
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.trainable_ranker import TrainableRanker
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.title_prior.prior import TitlePrior, fit_title_prior, prior_for
from thumblab_pipelines.training.title_prior.table import TitleTable, read_observations, without_channels_of
from thumblab_pipelines.training.train import train

Plant = Callable[..., Dataset]
WORDS = ("secret", "garden", "winter", "market", "river", "engine")


def titles_of(random: np.random.Generator, count: int) -> list[str]:
    """Draw titles. Each title has three different words."""
    return [" ".join(random.permutation(WORDS)[:3]) for _ in range(count)]


def observations(channels: int = 40, videos: int = 30, effect: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """Return a table of videos. A title with the word "secret" adds `effect` to the log views, and older videos have
    more views.

    Each video has two observations. The views of the second observation are random.
    """
    random = np.random.default_rng(seed)
    count = channels * videos
    titles = titles_of(random, count)
    age = random.uniform(0.3, 2.0, count)
    published = pd.Timestamp("2025-06-01", tz="UTC") + pd.to_timedelta(np.tile(np.arange(videos), channels), unit="D")
    secret = np.array(["secret" in title for title in titles])
    logs = 8 + effect * secret + 2 * np.log(age) + 0.5 * random.standard_normal(count)
    first = pd.DataFrame(
        {
            "video_id": [f"t{number}" for number in range(count)],
            "channel_id": np.repeat([f"other {number}" for number in range(channels)], videos),
            "title": titles,
            "published_at": published,
            "observed_at": published + pd.to_timedelta(age, unit="D"),
            "views": np.exp(logs).round(),
        }
    )
    second = first.assign(observed_at=first.observed_at + pd.Timedelta(days=9), views=random.uniform(1, 1e6, count))
    return pd.concat([second, first], ignore_index=True)


@pytest.fixture(scope="module")
def prior() -> TitlePrior:
    return fit_title_prior(TitleTable.of(observations()))


@pytest.fixture(scope="module")
def lab(plant: Plant) -> Dataset:
    """A lab of six small channels. The word "secret" in a title raises the views, and the pictures have no effect."""
    random = np.random.default_rng(5)
    titles = titles_of(random, 6 * 20)
    target = np.array(["secret" in title for title in titles]) + 1.5 * random.standard_normal(len(titles))
    return plant(channels=6, videos=20, title=titles, target=target)


def test_the_prior_finds_the_word_that_brings_views(prior: TitlePrior) -> None:
    scores = prior.scores(["secret garden river", "winter garden river", "market garden river"])
    assert scores[0] - scores[1] > 0.5
    assert abs(scores[1] - scores[2]) < 0.2
    assert (prior.videos, prior.channels) == (1_200, 40)


def test_without_a_planted_effect_the_prior_finds_none() -> None:
    scores = fit_title_prior(TitleTable.of(observations(effect=0.0))).scores([f"{word} garden" for word in WORDS])
    assert np.ptp(scores) < 0.2


def test_the_weights_for_a_ranker_give_the_scores_of_the_prior(prior: TitlePrior) -> None:
    titles = titles_of(np.random.default_rng(1), 300)
    vectors = np.random.default_rng(2).standard_normal((300, 8)).astype(np.float32)
    inputs = model_inputs(np.zeros((300, 4), np.float32), vectors, titles)
    trainable = TrainableRanker(RankerConfig("picture", "title", 4, 8))
    trainable.fit_scale(inputs)
    ranker = trainable.ranker()
    weights, layout = prior.weights(ranker), ranker.config.layout
    unchanged = np.r_[layout.columns(TITLE), layout.columns(LENGTH_BLOCK)]
    assert not weights[unchanged].any()
    assert weights[layout.columns(FACTS_BLOCK)].any()
    assert weights[layout.columns(WORDS_BLOCK)].any()
    # `standardise` clips a fact that is far from its mean, and `scores` does not. The two results for a title therefore
    # differ a little.
    got = ranker.standardise(inputs) @ weights
    assert np.corrcoef(got, prior.scores(titles))[0, 1] > 0.999


@pytest.mark.slow
def test_a_small_lab_ranks_unseen_channels_better_with_the_prior(prior: TitlePrior, lab: Dataset) -> None:
    def unseen(start: TitlePrior | None) -> float:
        held = train(lab, TrainConfig(epochs=1), prior=start).held
        return pair_auc(held.new, lab.pairs.winner.to_numpy(np.intp), lab.pairs.loser.to_numpy(np.intp))

    alone, started = unseen(None), unseen(prior)
    assert started > alone + 0.02
    assert started > 0.55


def test_a_prior_of_no_effect_changes_nothing(prior: TitlePrior, lab: Dataset) -> None:
    nothing = dataclasses.replace(prior, facts=0 * prior.facts, words=0 * prior.words)
    alone, started = (train(lab, TrainConfig(epochs=1), prior=start) for start in (None, nothing))
    assert np.array_equal(alone.held.future, started.held.future)
    assert alone.ranker.training["title_prior"] is None
    assert started.ranker.training["title_prior"] == {"videos": 1_200, "channels": 40}


def test_channels_and_videos_of_the_lab_are_not_in_the_prior(lab: Dataset, tmp_path: Path) -> None:
    rows = observations(channels=14)
    rows.loc[rows.channel_id == "other 0", "channel_id"] = "c1"  # The lab has the channel c1.
    rows.loc[rows.video_id == "t35", "video_id"] = "v7"  # The lab has the video v7, in another channel.
    left = without_channels_of(rows, {"c1"}, {"v7"})
    assert set(rows.channel_id) - set(left.channel_id) == {"c1", "other 1"}
    rows.to_csv(tmp_path / "titles.csv", index=False)
    assert prior_for(tmp_path / "titles.csv", lab).channels == 12


def test_a_table_with_dates_of_observation_counts_the_first_of_each_video(tmp_path: Path) -> None:
    rows = observations(channels=12)
    dates = rows.assign(observed_on=rows.observed_at.dt.strftime("%Y-%m-%d")).drop(columns="observed_at")
    dates.to_parquet(tmp_path / "titles.parquet")
    table = TitleTable.of(read_observations(tmp_path / "titles.parquet"))
    assert len(table.titles) == 360
    assert (table.age < 3.0).all()
    exact = TitleTable.of(rows)
    assert table.titles == exact.titles
    assert np.array_equal(table.views, exact.views)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop(columns="title"), "has no column title"),
        (lambda rows: rows.drop(columns="observed_at"), r"has no column observed_at \(or observed_on\)"),
        (lambda rows: rows[rows.channel_id < "other 3"], "a title prior needs at least 10"),
        (lambda rows: rows.assign(published_at="yesterday"), "cannot be read as a table of titles"),
        (lambda rows: rows.assign(views="many"), "cannot be read as a table of titles"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(
    change: Callable[[pd.DataFrame], pd.DataFrame], said: str, lab: Dataset, tmp_path: Path
) -> None:
    change(observations(channels=12)).to_csv(tmp_path / "titles.csv", index=False)
    with pytest.raises(LabError, match=said):
        prior_for(tmp_path / "titles.csv", lab)


def test_a_file_that_is_no_table_is_named(lab: Dataset, tmp_path: Path) -> None:
    (tmp_path / "titles.parquet").write_bytes(b"no table")
    for name in ("titles.parquet", "missing.csv"):
        with pytest.raises(LabError, match=f"{name} cannot be read as a table of titles"):
            prior_for(tmp_path / name, lab)


def test_rows_without_a_title_or_views_are_left_out(tmp_path: Path) -> None:
    rows = observations(channels=12)
    rows.loc[rows.video_id == "t3", "title"] = None
    rows.loc[rows.video_id == "t4", "views"] = np.nan
    rows.to_csv(tmp_path / "titles.csv", index=False)
    assert len(TitleTable.of(read_observations(tmp_path / "titles.csv")).titles) == 358
