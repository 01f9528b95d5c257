"""Tests of the model that scores titles by their words, and of its benchmark.

Most tests use invented titles, in which two words have known effects on the views. One test runs the benchmark on
sixteen channels of the title panel. The title panel is a file of real titles and views of many channels.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.panel.data import FILE, KNOWN_SHARE, PairSet, Panel
from benchmarks.title_panel import BARS, FUTURE, UNSEEN, WITHOUT_MEANING, measure, table
from thumblab_core.arrays import Float64s, Rows
from thumblab_pipelines.features.hashed_titles import RARITY, HashedTitles, word_rarity
from thumblab_pipelines.training.titles import TitleInputs, TitleScores, relative_to_spread, title_scores

_CHANNELS, _VIDEOS = 30, 60
_FILLERS = [f"filler{number}" for number in range(40)]


class Planted:
    """Videos whose titles may contain "secret" and "castle", and whose views depend on these two words.

    On all channels, "secret" raises the views. "castle" raises the views on every second channel, and lowers the views
    on the other channels.
    """

    def __init__(self) -> None:
        random = np.random.default_rng(3)
        count = _CHANNELS * _VIDEOS
        self.channel: Rows = np.repeat(np.arange(_CHANNELS), _VIDEOS)
        self.published: Float64s = np.tile(np.arange(_VIDEOS, dtype=np.float64), _CHANNELS)
        self.secret, self.castle = (random.random(count) < 0.4 for _ in range(2))
        self.sign = np.where(np.arange(_CHANNELS) % 2 == 0, 1.0, -1.0)[self.channel]
        words = [list(random.choice(_FILLERS, 4)) for _ in range(count)]
        self.titles = [
            " ".join(["secret"] * int(a) + ["castle"] * int(b) + rest)
            for a, b, rest in zip(self.secret, self.castle, words, strict=True)
        ]
        self.above = 0.6 * (self.secret - 0.4) + 0.6 * self.sign * (self.castle - 0.4) + 0.3 * random.normal(size=count)
        self.known = np.flatnonzero(self.published < 48)

    def scores(self, known: Rows, above: Float64s | None = None) -> TitleScores:
        inputs = TitleInputs.of(self.titles, self.channel, self.published, known)
        return title_scores(inputs, self.above if above is None else above, known)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


def _effect(scores: Float64s, has: "np.typing.NDArray[np.bool_]", rows: Rows) -> float:
    """Return the mean score of the videos with a word, minus the mean score of the videos without this word.

    Only the videos in `rows` are used. `has` is true for the videos with the word. The unit of the result is the
    standard deviation of all scores.
    """
    values, flag = scores[rows], has[rows]
    return float((values[flag].mean() - values[~flag].mean()) / scores.std())


def test_a_word_that_works_everywhere_is_learnt_for_unseen_channels(planted: Planted) -> None:
    unseen = np.flatnonzero(planted.channel >= 20)
    scores = planted.scores(np.flatnonzero(planted.channel < 20))
    assert _effect(scores.shared, planted.secret, unseen) > 1
    assert not scores.own[unseen].any()


def test_a_word_that_channels_disagree_on_is_learnt_for_each_of_them(planted: Planted) -> None:
    scores = planted.scores(planted.known)
    later = np.flatnonzero(planted.published >= 48)
    for sign in (1.0, -1.0):
        rows = later[planted.sign[later] == sign]
        assert sign * _effect(scores.own, planted.castle, rows) > 0.25
        assert sign * _effect(scores.total, planted.castle, rows) > 0


def test_views_of_videos_that_are_not_known_change_no_score(planted: Planted) -> None:
    changed = planted.above.copy()
    changed[planted.published >= 48] = np.nan
    before, after = planted.scores(planted.known), planted.scores(planted.known, changed)
    np.testing.assert_array_equal(before.total, after.total)


def test_one_video_channels_empty_titles_and_other_scripts_get_finite_scores() -> None:
    titles = ["", "", "ฟื้นคืนชีพ", "咲き誇れアイドル", "🔥🔥", "plain words", "فورت نايت", "   "]
    channel = np.array([0, 1, 1, 2, 2, 2, 3, 4])
    published = np.arange(8.0)
    inputs = TitleInputs.of(titles, channel, published, np.arange(6))
    scores = title_scores(inputs, np.array([0.0, 0.1, -0.1, 0.5, -0.5, 0.0, np.nan, np.nan]), np.arange(6))
    assert np.isfinite(scores.total).all()
    assert scores.total[3] != scores.total[4]


def test_the_weekday_of_publication_predicts_views_and_does_not_change_the_order_of_titles_of_one_video() -> None:
    random = np.random.default_rng(3)
    n = 600
    channel, published = np.repeat(np.arange(6), n // 6), random.uniform(0, 700, n)
    titles = [f"video {random.integers(50)}" for _ in range(n)]
    above = np.where(np.floor(published) % 7 == 2, 1.0, 0.0) + random.normal(0, 0.3, n)
    known = np.flatnonzero(published < 500)
    inputs = TitleInputs.of(titles, channel, published, known)
    scores = title_scores(inputs.with_moments(published, known), above, known).total
    later = published >= 500
    on_the_day = np.floor(published) % 7 == 2
    assert scores[later & on_the_day].min() > scores[later & ~on_the_day].max()
    assert abs(np.corrcoef(title_scores(inputs, above, known).total[later], on_the_day[later])[0, 1]) < 0.3

    # All titles are scored for the same day, so their order depends only on their words and facts.
    same_day = np.where(published < 500, published, 601.0)
    one_day = title_scores(inputs.with_moments(same_day, known), above, known).total
    assert np.ptp(one_day[later]) < np.ptp(scores[later]) / 2


def test_a_drift_of_the_channels_level_raises_its_next_videos_and_leaves_the_order_of_titles() -> None:
    random = np.random.default_rng(4)
    published = np.concatenate([np.arange(100.0), np.full(2, 101.0), np.full(2, 400.0)])
    titles = [f"video {random.integers(50)}" for _ in published]
    above = np.where(published >= 80, 1.5, -0.4) + random.normal(0, 0.2, len(published))
    known, channel = np.arange(100), np.zeros(len(published), np.intp)
    scores = title_scores(TitleInputs.of(titles, channel, published, known), above, known)
    soon, much_later = scores.drift[100], scores.drift[102]
    assert soon > 0.3 and abs(much_later) < soon / 10
    assert scores.drift[100] == scores.drift[101]


def test_titles_that_mean_what_won_on_the_channel_score_higher_without_a_shared_word() -> None:
    random = np.random.default_rng(5)
    titles = ["".join(random.choice(list("abcdefghijklmnop"), 12)) for _ in range(120)]
    wins = random.random(120) < 0.5
    vectors = np.where(wins[:, None], [0.8, 0.6, 0.0], [0.8, 0.0, 0.6]).astype(np.float32)
    above = np.where(wins, 0.5, -0.5) + random.normal(0, 0.3, 120)
    known, channel, published = np.arange(80), np.zeros(120, np.intp), np.arange(120.0)
    scores = title_scores(TitleInputs.of(titles, channel, published, known, vectors), above, known).own[80:]
    assert scores[wins[80:]].mean() - scores[~wins[80:]].mean() > 0.3


def test_without_known_videos_all_titles_are_equal() -> None:
    none = np.zeros(0, np.intp)
    inputs = TitleInputs.of(["one", "two"], np.array([0, 0]), np.arange(2.0), np.arange(2))
    assert not title_scores(inputs, np.zeros(2), none).total.any()


def test_rarity_counts_only_earlier_titles() -> None:
    titles, published = ["new word", "old word", "word", "word sequel sequel"], np.array([1.0, 0.0, 2.0, 3.0])
    rarity = word_rarity(HashedTitles.of(titles, np.arange(4)), published)
    assert rarity.shape == (4, RARITY)
    assert rarity[1, 3] == 1.0  # Column 3 is the share of new words. All words are new in the earliest title.
    assert rarity[0, 3] == 0.5  # "word" was used before, and "new" was not.
    assert rarity[2, 3] == 0.0
    shorter = word_rarity(HashedTitles.of(titles[:3], np.arange(3)), published[:3])
    np.testing.assert_array_equal(rarity[:3], shorter)


def test_channels_of_different_spread_count_equally() -> None:
    random = np.random.default_rng(0)
    narrow, wide = 0.1 * random.normal(size=300), 1.0 * random.normal(size=300)
    scaled = relative_to_spread(np.concatenate([narrow, wide, [1e6]]), np.repeat([0, 1, 2], [300, 300, 1]))
    assert scaled[:300].std() == pytest.approx(scaled[300:600].std(), rel=0.4)
    assert scaled.max() == 3.0


def _panel(planted: Planted) -> Panel:
    age = 0.6 + 0.3 * np.random.default_rng(1).random(len(planted.titles))
    observed = pd.to_datetime(np.floor(planted.published + age + 20_000), unit="D").strftime("%Y-%m-%d")
    rows = pd.DataFrame(
        {
            "video_id": [f"v{number}" for number in range(len(planted.titles))],
            "channel_id": [f"c{number:02}" for number in planted.channel],
            "title": planted.titles,
            "published_at": pd.to_datetime(planted.published + 20_000.3, unit="D").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "observed_on": observed,
            "views": np.exp(10 + planted.channel % 3 + planted.above).astype(int),
        }
    )
    return Panel.of(rows)


def test_the_panel_reads_the_last_fifth_of_no_channel_for_its_future(planted: Planted) -> None:
    panel = _panel(planted)
    known = panel.place < KNOWN_SHARE
    assert known.sum() == 48 * _CHANNELS
    pairs = PairSet.of(panel, panel.views, ~known)
    assert not known[pairs.winners].any() and not known[pairs.losers].any()
    assert (panel.views[pairs.winners] > panel.views[pairs.losers]).all()
    assert (np.abs(panel.published[panel.first] - panel.published[panel.second]) <= 30).all()


@pytest.mark.slow
def test_the_benchmark_finds_planted_words_and_nothing_in_age_or_time(planted: Planted) -> None:
    figures = measure(_panel(planted), None, 0, lambda what: None)
    of = {(f.question, f.labels, f.pairs, f.scorer): f for f in figures}
    for question in (FUTURE, UNSEEN):
        recipe = of[question, "corrected", "all", WITHOUT_MEANING]
        assert recipe.low > 0.55
        assert of[question, "corrected", "all", BARS[question]].value > 0.55
        assert abs(of[question, "corrected", "all", "the later one"].value - 0.5) < 0.05
        assert recipe.channels == _CHANNELS
        table(figures, question)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_benchmark_runs_on_a_slice_of_the_panel(shared_data: Path) -> None:
    folder = shared_data / "title_panel"
    if not (folder / FILE).is_file():
        pytest.skip(f"there is no title panel in {folder}")
    rows = pd.read_parquet(folder / FILE)
    slice_of = rows[rows.channel_id.isin(sorted(rows.channel_id.unique())[:16])]
    figures = measure(Panel.of(slice_of), None, 0, lambda what: None)
    of = {(f.question, f.labels, f.pairs, f.scorer): f for f in figures}
    for question in (FUTURE, UNSEEN):
        recipe = of[question, "raw", "all", WITHOUT_MEANING]
        assert 0 < recipe.low <= recipe.value <= recipe.high < 1
        assert recipe.channels >= 10
        lead = of[question, "raw", "all", f"{WITHOUT_MEANING}: lead over the bar"]
        assert lead.value == pytest.approx(recipe.value - of[question, "raw", "all", BARS[question]].value)
