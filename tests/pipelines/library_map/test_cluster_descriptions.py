"""Test the labels, traits and figures of clusters on planted data.

If an effect was planted in the data, the labels, traits and figures must show it. Otherwise, they must show no effect.
"""

import numpy as np
import pandas as pd

from thumblab_pipelines.library_map.figures import growth_of, multiple_of, newest_day
from thumblab_pipelines.library_map.labels import label_clusters, words_of
from thumblab_pipelines.library_map.read import UNKNOWN_DAY
from thumblab_pipelines.library_map.traits import COMPARED, find_traits

FILLER = "the and of my this was"


def test_a_label_has_the_words_that_set_a_cluster_apart_and_no_name_of_a_channel() -> None:
    titles = [f"{FILLER} Sourdough bread {n}" for n in range(10)] + [f"{FILLER} Running shoes {n}" for n in range(10)]
    titles[:5] = [f"{title} Bakerella" for title in titles[:5]]  # Only the videos of one channel have this word.
    channels = [f"c{n // 5}" for n in range(20)]
    labels = label_clusters(titles, channels, np.repeat([0, 1], 10))
    assert set(labels[0]) == {"sourdough", "bread"}
    assert set(labels[1]) == {"running", "shoes"}


def test_words_without_a_meaning_of_their_own_are_in_no_label() -> None:
    titles = [f"why and how {n}" for n in range(8)] + [f"tools {n}" for n in range(8)]
    labels = label_clusters(titles, [f"c{n % 4}" for n in range(16)], np.repeat([0, 1], 8))
    assert labels == {0: (), 1: ("tools",)}


def test_videos_outside_clusters_give_no_label() -> None:
    assert label_clusters(["tools"] * 6, [f"c{n}" for n in range(6)], np.full(6, -1)) == {}


def planted_values(random: np.random.Generator, count: int) -> pd.DataFrame:
    return pd.DataFrame({feature.name: random.normal(0, 1, count) for feature in COMPARED})


def test_a_planted_difference_of_a_cluster_is_its_first_trait() -> None:
    random = np.random.default_rng(1)
    values, channels = planted_values(random, 600), np.arange(600) % 12
    clusters = np.where(np.arange(600) < 150, 0, -1)
    feature = next(feature for feature in COMPARED if not feature.flag)
    values.loc[clusters == 0, feature.name] += 2.0
    (first, *_) = find_traits(values, channels, clusters)[0]
    assert first.startswith(feature.more)


def test_a_difference_that_comes_from_one_channel_is_no_trait() -> None:
    random = np.random.default_rng(2)
    values, channels = planted_values(random, 600), np.arange(600) % 12
    clusters = np.where(np.arange(600) < 150, 0, -1)
    feature = next(feature for feature in COMPARED if not feature.flag)
    values.loc[(clusters == 0) & (channels == 0), feature.name] += 40.0
    assert not any(trait.startswith(feature.more) for trait in find_traits(values, channels, clusters)[0])


def test_clusters_that_are_drawn_at_random_hardly_ever_have_a_trait() -> None:
    random = np.random.default_rng(3)
    clusters = random.integers(0, 40, 4_000)
    found = find_traits(planted_values(random, 4_000), np.arange(4_000) % 50, clusters)
    assert sum(map(len, found.values())) <= 2


def test_the_outlier_multiple_of_a_cluster_counts_each_channel_once() -> None:
    multiples = np.array([4.0] * 50 + [1.0, 1.0, 2.0, np.nan])
    channels = np.array([0] * 50 + [1, 1, 2, 3])
    found = multiple_of(multiples, channels)
    assert found is not None
    # The three channels have the multiples 4, 1 and 2. Their geometric mean is the cube root of 8.
    assert found.median == 2.0
    assert found.videos == 53
    assert found.low < 2.0 < found.high
    # The first 52 videos belong to two channels, which are too few for a figure.
    assert multiple_of(multiples[:52], channels[:52]) is None


def published(random: np.random.Generator, times: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return three arrays for 1,200 videos: the day, whether the video is in a cluster, and the channel.

    In the last four weeks, the share of videos in the cluster is `times` times as high as before.
    """
    days, channels = random.integers(0, 84, 1_200), random.integers(0, 60, 1_200)
    chance = np.where(days > 83 - 28, 0.05 * times, 0.05)
    return days, random.random(1_200) < chance, channels


def test_a_cluster_that_gets_more_of_the_new_videos_is_rising() -> None:
    days, inside, channels = published(np.random.default_rng(4), 4)
    growth = growth_of(days, inside, channels, newest=83, clusters=20)
    assert growth.rising
    assert growth.ratio is not None and growth.low is not None and growth.high is not None
    assert growth.low < 4 < growth.high
    assert sum(growth.weeks[-4:]) == growth.recent
    assert sum(growth.weeks[:-4]) == growth.before


def test_of_steady_clusters_few_seem_to_rise() -> None:
    random = np.random.default_rng(5)
    grown = [growth_of(*published(random, 1), newest=83, clusters=20) for _ in range(200)]
    assert sum(growth.rising for growth in grown) <= 2
    covered = [growth.low <= 1 <= growth.high for growth in grown if growth.low is not None and growth.high is not None]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_a_difference_of_which_the_channels_show_the_opposite_is_no_trait() -> None:
    random = np.random.default_rng(6)
    values, channels = planted_values(random, 600), np.arange(600) % 12
    clusters = np.where(np.arange(600) < 150, 0, -1)
    # Most videos of the cluster are from one channel. The feature is high on this channel, and low on the other
    # channels.
    channels[10:150] = 0
    feature = next(feature for feature in COMPARED if not feature.flag)
    values.loc[:149, feature.name] = np.where(channels[:150] == 0, 3.0, -3.0)
    assert not [trait for trait in find_traits(values, channels, clusters)[0] if trait.startswith(feature.more)]


def test_words_of_any_script_are_whole_and_styled_letters_are_plain() -> None:
    assert words_of("हिन्दी में खाना") == {"हिन्दी", "में", "खाना"}
    assert words_of("مُحَمَّد 2026 x") == {"مُحَمَّد"}
    assert words_of("𝗕𝗢𝗟𝗗 Don't ps5 a_b_") == {"bold", "don't", "ps5", "a_b"}


def test_a_video_without_a_date_or_with_one_in_the_future_does_not_change_the_growth() -> None:
    days, inside, channels = published(np.random.default_rng(4), 4)
    known = growth_of(days, inside, channels, newest=83, clusters=20)
    more = [np.append(days, [UNKNOWN_DAY, 500]), np.append(inside, [True, True]), np.append(channels, [0, 0])]
    assert newest_day(more[0], today=90) == days.max()
    assert growth_of(*more, newest=83, clusters=20) == known
    without = growth_of(np.full(9, UNKNOWN_DAY), np.ones(9, bool), np.arange(9), newest=UNKNOWN_DAY, clusters=1)
    assert sum(without.weeks) == 0
