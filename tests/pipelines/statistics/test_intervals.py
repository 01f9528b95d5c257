"""Tests of the confidence intervals of means over pairs, such as the AUC.

In simulations, an interval at the 95 % level must contain the true mean in about 95 % of the samples.
"""

import numpy as np
import pytest

from thumblab_core.arrays import Float64s, Rows
from thumblab_pipelines.statistics.intervals import (
    DIFFERENCE,
    SHARE,
    ChannelMeans,
    between_channels,
    interval,
    interval_of_channels,
)
from thumblab_pipelines.statistics.metrics import pair_wins

SAMPLES = 150
"""The number of simulated samples. A test counts the samples in which the interval contains the true mean.

If an interval contains the true mean with a probability of 95 %, the counted share has a standard error of 1.8
percentage points.
"""

Sample = tuple[Float64s, Rows, Rows, Rows]
"""Four arrays with one value for each pair.

The first array has 1 if the scores rank the pair right, and 0 if they rank it wrong. The other arrays have the indices
of the winning video, of the losing video and of the channel.
"""


def sample(random: np.random.Generator, sizes: Rows, skill: float, spread: float) -> Sample:
    """Draw a channel with n random videos for each n in `sizes`. Pair each video with the channel's next 12 videos.

    Each channel has its own correlation between the scores of its videos and the results that determine which video
    wins. The correlation is drawn from a normal distribution with the mean `skill` and the standard deviation `spread`.
    Values outside -0.95 to 0.95 are clipped.
    """
    wins, winners, losers, channels = [], [], [], []
    start = 0
    for channel, size in enumerate(sizes.tolist()):
        correlation = correlations(random, skill, spread, 1)[0]
        outcome = random.standard_normal(size)
        score = correlation * outcome + np.sqrt(1 - correlation**2) * random.standard_normal(size)
        first, second = np.triu_indices(size, 1)
        near = second - first <= 12
        first, second = first[near], second[near]
        ahead = outcome[first] > outcome[second]
        winner, loser = np.where(ahead, first, second), np.where(ahead, second, first)
        wins.append(pair_wins(score, winner, loser))
        winners.append(winner + start)
        losers.append(loser + start)
        channels.append(np.full(len(winner), channel))
        start += size
    return np.concatenate(wins), np.concatenate(winners), np.concatenate(losers), np.concatenate(channels)


def correlations(random: np.random.Generator, skill: float, spread: float, count: int) -> Float64s:
    return np.asarray(np.clip(random.normal(skill, spread, count), -0.95, 0.95))


def true_auc(skill: float, spread: float) -> float:
    """Return the mean AUC of 200,000 channels that are drawn with the mean `skill` and the standard deviation `spread`.

    Sheppard's formula turns the correlation of a channel into its AUC.
    """
    of_channels = correlations(np.random.default_rng(0), skill, spread, 200_000)
    return float((0.5 + np.arcsin(of_channels) / np.pi).mean())


SIZES = {
    "3 equal": [60] * 3,
    "5 equal": [60] * 5,
    "10 equal": [60] * 10,
    "30 equal": [60] * 30,
    "3 unequal": [150, 40, 15],
    "5 unequal": [150, 80, 40, 20, 12],
    "10 unequal": [150, 150, 80, 60, 40, 30, 20, 15, 12, 12],
    "30 unequal": [150, 100, 60, 40, 30, 20] * 5,
    "most in 1 of 3": [300, 15, 15],
    "most in 1 of 10": [300] + [12] * 9,
}


@pytest.mark.slow
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(("skill", "spread"), [(0.35, 0.15), (0.8, 0.05)], ids=["channels differ", "high AUC"])
def test_intervals_cover_the_true_mean_in_at_least_90_percent_of_samples(
    sizes: list[int], skill: float, spread: float
) -> None:
    random = np.random.default_rng(len(sizes))
    truth = true_auc(skill, spread)
    covered = covered_by_channels = 0
    for _ in range(SAMPLES):
        by_channel = ChannelMeans.of(*sample(random, np.array(sizes), skill, spread), SHARE)
        low, high = by_channel.interval(by_channel.over_pairs())
        covered += low <= truth <= high
        low, high = by_channel.interval(by_channel.over_channels())
        covered_by_channels += low <= truth <= high
    assert covered / SAMPLES >= 0.90
    assert covered_by_channels / SAMPLES >= 0.90


@pytest.mark.slow
def test_intervals_are_not_wider_than_their_level_needs() -> None:
    """Compare the mean width of 100 intervals with the width of an ideal interval.

    Each of the intervals is computed from one sample. The ideal width is 2 * 1.96 times the standard deviation of the
    means of these 100 samples. A single sample contains less information than all samples. Its interval may therefore
    be up to `most` times as wide as the ideal interval.
    """
    random = np.random.default_rng(0)
    for channels, most in ((3, 3.2), (5, 1.9), (10, 1.5), (30, 1.3)):
        means, widths = [], []
        for _ in range(100):
            by_channel = ChannelMeans.of(*sample(random, np.full(channels, 60), 0.35, 0.15), SHARE)
            low, high = by_channel.interval(by_channel.over_pairs())
            means.append(by_channel.means.mean())
            widths.append(high - low)
        assert np.mean(widths) < most * 2 * 1.96 * np.std(means)


@pytest.mark.parametrize("pairs", [10, 20, 100])
def test_pairs_that_are_all_right_leave_room_for_doubt(pairs: int) -> None:
    """Compare the lower end of the interval with the lower end of the exact interval of Clopper and Pearson.

    For n independent pairs that are all ordered correctly, the exact lower end is 0.025 to the power of 1 / n.
    """
    rows = np.arange(pairs)
    low, high = interval(np.ones(pairs), rows, rows + pairs, np.zeros(pairs, int), SHARE)
    assert low == pytest.approx(0.025 ** (1 / pairs), abs=0.09)
    assert high == 1.0


def test_one_more_win_changes_an_interval_only_a_little() -> None:
    """Begin with two channels that have the same number of wins. At each step, move one win to the second channel.

    At first, the estimated variance between channels is 0. At some step, this variance becomes positive. The interval
    must not jump at this step.
    """
    rows = np.arange(400)
    ends = []
    for more in range(20):
        wins = np.concatenate([np.arange(200) < 130 - more, np.arange(200) < 130 + more]).astype(float)
        ends.append(interval(wins, rows, rows + 400, np.repeat([0, 1], 200), SHARE)[0])
    assert np.abs(np.diff(ends)).max() < 0.06


def test_the_interval_within_one_channel_depends_on_its_videos_not_on_its_pairs() -> None:
    """Compare the interval of 402 pairs of 40 videos with the interval of 402 independent pairs.

    Two pairs that share a video are not independent. The interval of the 40 videos must therefore be more than twice as
    wide.
    """
    random = np.random.default_rng(3)
    truth = true_auc(0.5, 0.0)
    covered, widths = 0, []
    for _ in range(SAMPLES):
        wins, winners, losers, channel = sample(random, np.array([40]), 0.5, 0.0)
        low, high = interval(wins, winners, losers, channel, SHARE)
        covered += low <= truth <= high
        widths.append(high - low)
    assert 0.90 <= covered / SAMPLES <= 0.99
    as_if_independent = 2 * 1.96 * np.sqrt(0.67 * 0.33 / len(wins))
    assert np.mean(widths) > 2 * as_if_independent


@pytest.mark.parametrize("channels", [1, 3, 10])
def test_intervals_of_pairs_of_one_video_cover_the_true_mean(channels: int) -> None:
    """Draw channels with 20 videos. Each video has one to five pairs of pictures that it showed in experiments.

    The model orders a pair correctly with a random probability, which is the same for all pairs of one video. The pairs
    of one video are therefore not independent.
    """
    random = np.random.default_rng(channels)
    covered = 0
    for _ in range(SAMPLES):
        video = np.repeat(np.arange(20 * channels), random.integers(1, 6, 20 * channels))
        right = random.beta(3, 2, 20 * channels)[video]
        wins = (random.random(len(video)) < right).astype(np.float64)
        low, high = interval(wins, video, video, video // 20, SHARE)
        covered += low <= 0.6 <= high
    assert 0.90 <= covered / SAMPLES <= 1.0


def test_few_channels_that_disagree_have_a_wide_interval() -> None:
    wins, winners, losers, channel = sample(np.random.default_rng(1), np.array([60, 60, 60]), 0.3, 0.0)
    narrow = interval(wins, winners, losers, channel, SHARE)
    disagreeing = np.where(channel == 0, 1.0, wins)
    wide = interval(disagreeing, winners, losers, channel, SHARE)
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_the_ends_stay_within_the_possible_values() -> None:
    one_pair = (np.array([1.0]), np.array([3]), np.array([9]), np.array(["c"]))
    assert interval(*one_pair, SHARE) == (0.0, 1.0), "a single pair must give the widest interval"
    assert interval(*one_pair, DIFFERENCE) == (-1.0, 1.0)


def test_names_and_numbers_of_channels_give_the_same_interval() -> None:
    wins, winners, losers, channel = sample(np.random.default_rng(2), np.array([20, 30, 40]), 0.3, 0.1)
    named = np.array(["UCb", "UCa", "UCc"])[channel]
    assert interval(wins, winners, losers, named, SHARE) == pytest.approx(
        interval(wins, winners, losers, channel, SHARE)
    )
    assert interval(wins, winners, losers, channel * 7 + 2, SHARE) == pytest.approx(
        interval(wins, winners, losers, channel, SHARE)
    )


def test_the_ends_are_numbers_that_dagster_can_store() -> None:
    pairs = sample(np.random.default_rng(2), np.array([20, 30]), 0.3, 0.1)
    ends = (*interval(*pairs, SHARE), *interval_of_channels(np.array([0.1, 0.3]), DIFFERENCE))
    assert [type(end) for end in ends] == [float] * 4


def test_a_lower_level_gives_a_narrower_interval() -> None:
    pairs = sample(np.random.default_rng(2), np.array([50, 50, 50, 50]), 0.3, 0.1)
    low, high = interval(*pairs, SHARE)
    low_90, high_90 = interval(*pairs, SHARE, 0.90)
    assert low < low_90 < pairs[0].mean() < high_90 < high


def test_the_variance_between_channels_is_recovered() -> None:
    random = np.random.default_rng(4)
    errors = random.uniform(0.01, 0.05, 4_000) ** 2
    means = 0.6 + 0.08 * random.standard_normal(4_000) + np.sqrt(errors) * random.standard_normal(4_000)
    assert between_channels(means, errors) == pytest.approx(0.08**2, rel=0.1)
    agreeing = 0.6 + 0.5 * np.sqrt(errors) * random.standard_normal(4_000)
    assert between_channels(agreeing, errors) == 0.0
    assert between_channels(means[:1], errors[:1]) == 0.0


def test_the_interval_of_one_value_per_channel_covers_the_true_mean() -> None:
    random = np.random.default_rng(6)
    for channels in (3, 30):
        covered = 0
        for _ in range(SAMPLES):
            low, high = interval_of_channels(random.normal(0.2, 0.3, channels), DIFFERENCE)
            covered += low <= 0.2 <= high
        assert 0.90 <= covered / SAMPLES <= 0.99
