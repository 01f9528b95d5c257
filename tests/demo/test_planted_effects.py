"""Test the effects that can be planted in a synthetic catalogue.

The effect of a picture may depend on the title, topics may have an effect, and channels may have tastes of their own.
"""

import dataclasses
import hashlib
import itertools
import math
import re

import cv2
import numpy as np
import pytest
from planted_pairs import auc_by_channel, channels_of, corrected_views, regress

from demo.catalogues.ceilings import best_auc, sheppard
from demo.catalogues.drawing import ATTRIBUTES
from demo.catalogues.effects import CONFOUNDED, NO_EFFECTS, ONE_TITLE, TOPIC_SIGNS, PlantedEffects, topic_of
from demo.catalogues.formula import PICTURE_SHARE, PICTURE_WEIGHTS, SIGMA_N, SIGMA_Q
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.catalogues.titles import VOCABULARY, title_facts
from thumblab_core.arrays import Float64s
from thumblab_core.images import decode
from thumblab_core.sub_scores.text import TextLine, TextReader

BOTH = dataclasses.replace(CONFOUNDED, interaction=0.5)


@pytest.fixture(scope="module")
def confounded() -> SyntheticCatalogue:
    return synthetic_catalogue(5_400, 11, CONFOUNDED)


@pytest.fixture(scope="module")
def both() -> SyntheticCatalogue:
    return synthetic_catalogue(5_400, 11, BOTH)


@pytest.fixture(scope="module")
def one_title() -> SyntheticCatalogue:
    return synthetic_catalogue(5_400, 11, ONE_TITLE)


def popularity(catalogue: SyntheticCatalogue) -> Float64s:
    return np.array([catalogue.popularity(video_id) for video_id in catalogue.videos])


def attributes(catalogue: SyntheticCatalogue) -> Float64s:
    return np.array([catalogue.attributes(video_id) for video_id in catalogue.videos])


def own_pictures(catalogue: SyntheticCatalogue) -> Float64s:
    """Return for each video the quality of its own picture under its own title, float64 (n,)."""
    return np.array([catalogue.one_title_quality(video_id, video_id) for video_id in catalogue.videos])


def repeats(catalogue: SyntheticCatalogue) -> Float64s:
    """Return for each video the share of the words in its picture that are in its title too, float64 (n,)."""
    shares = []
    for video_id, video in catalogue.videos.items():
        in_title = set(re.findall(r"\w+", video.title.upper()))
        shares.append(np.mean([word in in_title for word in catalogue.words(video_id)]))
    return np.array(shares)


def without_title(catalogue: SyntheticCatalogue) -> Float64s:
    """Return ln views without the effects of age and of the title, float64 (n,)."""
    titles = np.array([catalogue.title_quality(video_id) for video_id in catalogue.videos])
    return corrected_views(catalogue) - SIGMA_Q * titles


def test_without_effects_the_catalogue_is_the_same_as_before_effects_could_be_planted() -> None:
    """Check that a catalogue without effects is the same as before the demo could plant effects.

    The test contains a digest of the videos of the old catalogue, and the grey levels of three of its pictures. A
    digest of the pictures would be useless, because the bytes of a compressed picture may depend on the processor.
    """
    catalogue = synthetic_catalogue(videos=140, seed=7)
    digest = hashlib.sha256()
    for video_id, video in catalogue.videos.items():
        attributes = [round(float(value), 9) for value in catalogue.attributes(video_id)]
        quality = round(catalogue.planted_quality(video_id), 9)
        digest.update(repr((video, catalogue.words(video_id), attributes, quality)).encode())
    assert digest.hexdigest() == "f3547b81291de5a02eb6a5e0a157e1bbd7642c73c2d1d4d36e38eca7f70c32c4"
    greys = {
        "ndUCVVhOyrP": [110, 99, 97, 96, 111, 97, 121, 106, 88, 88, 152, 129],
        "nIO72AIveOZ": [129, 136, 133, 128, 115, 122, 139, 128, 126, 115, 148, 130],
        "vdkbogz7xuv": [124, 126, 122, 125, 118, 108, 108, 105, 113, 104, 146, 135],
    }
    for video_id, grey in greys.items():
        pixels = cv2.imdecode(np.frombuffer(catalogue.image(video_id), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert pixels is not None
        small = cv2.resize(pixels, (4, 3), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(small.ravel(), grey, atol=1)
    assert catalogue.effects == NO_EFFECTS and catalogue.swaps == ()


def test_the_same_seed_and_effects_give_the_same_catalogue() -> None:
    first, second = (synthetic_catalogue(140, 7, ONE_TITLE) for _ in range(2))
    assert first.videos == second.videos and first.swaps == second.swaps
    video_id = next(iter(first.videos))
    assert first.image(video_id) == second.image(video_id) != first.new_picture(video_id, "a").image
    assert first.new_picture(video_id, "a") == second.new_picture(video_id, "a") != first.new_picture(video_id, "b")
    assert first.new_title(video_id, "a") == second.new_title(video_id, "a") != first.new_title(video_id, "b")


@pytest.mark.parametrize(
    ("field", "value"),
    [("interaction", -0.1), ("topic_effect", math.inf), ("taste", math.nan), ("topic_correlation", 1), ("swaps", 1.1)],
)
def test_a_size_outside_its_range_is_an_error(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}; use a"):
        PlantedEffects(**{field: value})


def test_every_title_has_one_topic_and_every_topic_one_niche(confounded: SyntheticCatalogue) -> None:
    topics = [topic for words in VOCABULARY.values() for topic in words.topics]
    assert len(set(topics)) == len(topics)
    for video in confounded.videos.values():
        assert topic_of(video.title) in VOCABULARY[video.niche].topics
    assert topic_of("Nothing of interest") is None
    assert abs(popularity(confounded).mean()) < 0.05 and abs(popularity(confounded).std() - 1) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("effects", ["confounded", "both"])
def test_a_regression_finds_the_planted_effect_sizes(effects: str, request: pytest.FixtureRequest) -> None:
    catalogue: SyntheticCatalogue = request.getfixturevalue(effects)
    facts = np.stack([title_facts(video.title) for video in catalogue.videos.values()])
    columns = [attributes(catalogue), popularity(catalogue), facts]
    sizes = [*math.sqrt(PICTURE_SHARE) * PICTURE_WEIGHTS, catalogue.effects.topic_effect]
    if catalogue.effects.interaction:
        columns.append(1 - 2 * repeats(catalogue))
        sizes.append(catalogue.effects.interaction)
    found, error = regress(catalogue, corrected_views(catalogue) / SIGMA_Q, *columns)
    # The test does not compare the coefficients of the title facts, because `sizes` does not contain the title facts.
    found, error = np.delete(found, slice(7, 10)), np.delete(error, slice(7, 10))
    assert (np.abs(found - sizes) < 3.5 * error).all(), (found, sizes)
    assert error.max() < 0.02


def test_a_model_that_ignores_the_topic_credits_the_picture_for_it(confounded: SyntheticCatalogue) -> None:
    """Compare two regressions of views on the pictures' attributes: `naive` ignores the topic, and `aware` includes it.

    `naive` gives contrast a weight below 0.1, and prefers cluttered pictures to calm pictures. In the catalogue,
    contrast and calm both raise the views. The test divides the AUC minus 0.5 by the best possible AUC minus 0.5. This
    ratio is about 0.70 for `naive`, and more than 0.97 for `aware`.
    """
    pictures, views = attributes(confounded), corrected_views(confounded)
    naive, error = regress(confounded, views / SIGMA_Q, pictures)
    weights = dict(zip(ATTRIBUTES, naive, strict=True))
    assert weights["contrast"] < 0.1 and weights["calm"] < -5 * error.max(), weights
    aware = regress(confounded, views, pictures, popularity(confounded))[0][: len(ATTRIBUTES)]
    labels = without_title(confounded)
    ways = [
        float(auc_by_channel(confounded, pictures @ weights, labels).mean() - 0.5)
        / (confounded.one_title_ceiling() - 0.5)
        for weights in (naive, aware)
    ]
    assert ways[0] == pytest.approx(0.70, abs=0.04)
    assert ways[1] > 0.97


def test_the_topic_tilts_the_pictures_as_planted(confounded: SyntheticCatalogue) -> None:
    tilts = [np.corrcoef(column, popularity(confounded))[0, 1] for column in attributes(confounded).T]
    np.testing.assert_allclose(tilts, 0.6 * TOPIC_SIGNS, atol=0.05)
    np.testing.assert_allclose(attributes(confounded).std(axis=0), 1, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("effects", ["confounded", "both", "one_title"])
def test_the_truth_reaches_its_ceilings_and_not_more(effects: str, request: pytest.FixtureRequest) -> None:
    catalogue: SyntheticCatalogue = request.getfixturevalue(effects)
    quality = np.array([catalogue.planted_quality(video_id) for video_id in catalogue.videos])
    pictures, labels = own_pictures(catalogue), without_title(catalogue)
    expected = expected_pictures(catalogue)
    for score, truth, ceiling in (
        (quality, corrected_views(catalogue), catalogue.ceiling()),
        (pictures, labels, catalogue.one_title_ceiling()),
        (pictures - expected, labels - SIGMA_Q * expected, catalogue.fitted_one_title_ceiling()),
    ):
        auc = auc_by_channel(catalogue, score, truth)
        error = auc.std(ddof=1) / math.sqrt(len(auc))
        assert abs(auc.mean() - ceiling) < 3 * error, (auc.mean(), ceiling)
        assert error < 0.005


def expected_pictures(catalogue: SyntheticCatalogue) -> Float64s:
    """For each video, return how much pictures of its topic and channel add to the quality on average, float64 (n,)."""
    channels, topics = channels_of(catalogue), popularity(catalogue)
    terms = np.array([catalogue.planted_picture(video_id) for video_id in catalogue.videos])
    pictures, expected = attributes(catalogue), np.zeros(len(topics))
    for channel in catalogue.channels:
        rows = channels == channel
        weights = np.linalg.lstsq(pictures[rows], terms[rows], rcond=None)[0]
        tilt = catalogue.effects.topic_correlation * float(weights @ TOPIC_SIGNS)
        expected[rows] = math.sqrt(PICTURE_SHARE) * tilt * topics[rows]
    return expected


def test_the_simulated_ceiling_agrees_with_the_closed_form() -> None:
    noise = (SIGMA_N / SIGMA_Q) ** 2
    assert sheppard(1.0, noise) == pytest.approx(0.80, abs=1e-12)
    assert best_auc([1.0], noise, 1e-9, 0.5) == pytest.approx(0.80, abs=1e-3)
    assert best_auc([0.4, 1.6], noise, 1e-9, 0.5) == pytest.approx(best_auc([0.4, 1.6], noise, 0, 0.5), abs=1e-3)
    assert best_auc([1e-12], noise, 0.5, 0.0) == pytest.approx(0.5, abs=1e-3)


def test_a_picture_repeats_both_words_of_its_title_or_none_and_half_of_them_do(both: SyntheticCatalogue) -> None:
    shares = repeats(both)
    assert set(shares) == {0.0, 1.0}
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    for video_id, share in zip(both.videos, shares, strict=True):
        plain = math.sqrt(PICTURE_SHARE) * both.planted_picture(video_id)
        assert both.one_title_quality(video_id, video_id) == pytest.approx(plain + (-0.5 if share else 0.5))


@pytest.mark.slow
def test_the_words_can_be_read_in_the_picture(both: SyntheticCatalogue) -> None:
    reader, read = TextReader(), []
    for video_id in np.random.default_rng(0).choice(list(both.videos), 20, replace=False).tolist():
        lines = reader.read(decode(both.image(video_id)).pixels)
        text = " ".join(line.text for line in lines if isinstance(line, TextLine)).upper().split()
        read += [word in text for word in both.words(video_id)]
    assert np.mean(read) > 0.9


@pytest.mark.parametrize("effects", ["both", "one_title"])
def test_the_winner_changes_with_the_title_for_the_planted_share_of_pairs(
    effects: str, request: pytest.FixtureRequest
) -> None:
    catalogue: SyntheticCatalogue = request.getfixturevalue(effects)
    quality = catalogue.one_title_quality
    changed = []
    for channel in catalogue.channels.values():
        videos = [video.video_id for video in channel.videos[:30]]
        for first, second in itertools.combinations(videos, 2):
            gaps = [quality(first, title) - quality(second, title) for title in (first, second)]
            changed.append(gaps[0] * gaps[1] < 0)
    assert catalogue.changed_winners() == pytest.approx(0.26, abs=0.005)
    assert np.mean(changed) == pytest.approx(catalogue.changed_winners(), abs=0.025)


def test_without_an_interaction_no_winner_changes(confounded: SyntheticCatalogue) -> None:
    first, second, title = list(confounded.videos)[:3]
    gap = confounded.one_title_quality(first, first) - confounded.one_title_quality(second, first)
    assert gap == confounded.one_title_quality(first, title) - confounded.one_title_quality(second, title)
    assert confounded.changed_winners() == 0


def test_channels_have_tastes_of_their_own(one_title: SyntheticCatalogue, confounded: SyntheticCatalogue) -> None:
    """Compare the weights of the picture attributes in each channel with `PICTURE_WEIGHTS`.

    With planted tastes, the cosine of the two vectors of weights has a mean over all channels from 0.80 to 0.95.
    Without planted tastes, the cosine is 1 in each channel.
    """

    def cosines(catalogue: SyntheticCatalogue) -> Float64s:
        channels, pictures = channels_of(catalogue), attributes(catalogue)
        terms = np.array([catalogue.planted_picture(video_id) for video_id in catalogue.videos])
        weights = [
            np.linalg.lstsq(pictures[channels == channel], terms[channels == channel], rcond=None)[0]
            for channel in catalogue.channels
        ]
        np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1)
        return np.array(weights) @ PICTURE_WEIGHTS

    assert 0.80 < cosines(one_title).mean() < 0.95
    np.testing.assert_allclose(cosines(confounded), 1)


@pytest.mark.parametrize("effects", ["both", "one_title"])
def test_candidates_still_have_their_qualities(effects: str, request: pytest.FixtureRequest) -> None:
    catalogue: SyntheticCatalogue = request.getfixturevalue(effects)
    candidates = catalogue.candidates("tech", seed=1)
    assert sorted(candidate.quality for candidate in candidates) == [-1.5, 0.0, 1.5]
    assert len({candidate.image for candidate in candidates}) == 3
