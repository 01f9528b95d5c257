"""Test the planted quality, a number that the synthetic catalogue assigns to each video.

Pixels, titles and views all depend on the planted quality.
"""

import math
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from planted_pairs import auc_by_channel, corrected_views
from sklearn.linear_model import RidgeCV

from demo.catalogues.drafts import CLOCK
from demo.catalogues.formula import PICTURE_SHARE
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.catalogues.titles import title_facts
from thumblab_core.arrays import Float64s
from thumblab_core.niches import DEFAULT_NAMES


@pytest.fixture(scope="module")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue()


def look(jpeg: bytes) -> Float64s:
    """Return statistics of a picture, float64 (200,).

    The statistics are the CIELAB colour and the strength of edges in each cell of an 8x5 grid, and four histograms.
    """
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_COLOR_2)
    assert pixels is not None and pixels.shape == (180, 320, 3)
    lab, hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2LAB), cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    edges = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    grids = [cv2.resize(plane, (8, 5), interpolation=cv2.INTER_AREA).ravel() for plane in (lab, edges)]
    planes = ((hsv, 1, 8), (grey, 0, 8), (lab, 2, 12), (lab, 1, 12))
    histograms = [cv2.calcHist([image], [plane], None, [bins], [0, 256]) for image, plane, bins in planes]
    return np.concatenate([*grids, *(np.sqrt(histogram).ravel() for histogram in histograms)]).astype(np.float64)


class Probe:
    """A ridge regression that predicts a value of a picture from the statistics that `look` returns."""

    def __init__(self, looks: Float64s, target: Float64s) -> None:
        self.mean, self.spread = looks.mean(axis=0), looks.std(axis=0) + 1e-6
        self.ridge = RidgeCV(np.logspace(0, 4, 9)).fit((looks - self.mean) / self.spread, target)

    def __call__(self, looks: Float64s) -> Float64s:
        return np.asarray(self.ridge.predict((looks - self.mean) / self.spread), dtype=np.float64)


@pytest.fixture(scope="module")
def looks(catalogue: SyntheticCatalogue) -> tuple[Float64s, Float64s]:
    """Choose every fourth video, and return the statistics and the quality of their pictures, in a random order.

    The first array has the statistics of `look`, float64 (450, 200). The second array has the planted picture quality,
    float64 (450,).
    """
    video_ids = np.random.default_rng(0).permutation(list(catalogue.videos)[::4])
    statistics = np.stack([look(catalogue.image(video_id)) for video_id in video_ids])
    return statistics, np.array([catalogue.planted_picture(video_id) for video_id in video_ids])


def test_the_planted_quality_orders_views_as_well_as_the_stated_ceiling(catalogue: SyntheticCatalogue) -> None:
    quality = np.array([catalogue.planted_quality(video_id) for video_id in catalogue.videos])
    auc = auc_by_channel(catalogue, quality, corrected_views(catalogue))
    error = auc.std(ddof=1) / math.sqrt(len(auc))
    assert catalogue.ceiling() == pytest.approx(0.80, abs=1e-12)
    assert abs(auc.mean() - catalogue.ceiling()) < 3 * error
    assert error < 0.01


def test_quality_is_standard_normal_with_70_percent_of_it_in_the_picture(catalogue: SyntheticCatalogue) -> None:
    quality = np.array([catalogue.planted_quality(video_id) for video_id in catalogue.videos])
    picture = np.array([catalogue.planted_picture(video_id) for video_id in catalogue.videos])
    assert abs(quality.mean()) < 0.1 and abs(quality.std() - 1) < 0.06
    assert np.corrcoef(quality, picture)[0, 1] ** 2 == pytest.approx(PICTURE_SHARE, abs=0.05)


@pytest.mark.slow
def test_pixels_predict_the_picture_quality(looks: tuple[Float64s, Float64s]) -> None:
    seen, picture = looks

    def explained(target: Float64s) -> float:
        error = picture[330:] - Probe(seen[:330], target)(seen[330:])
        return 1 - float(np.mean(error**2) / picture[330:].var())

    assert explained(picture[:330]) > 0.65
    assert explained(np.random.default_rng(1).permutation(picture[:330])) < 0.05


def test_words_predict_the_title_quality(catalogue: SyntheticCatalogue) -> None:
    quality = np.array([catalogue.planted_quality(video_id) for video_id in catalogue.videos])
    picture = np.array([catalogue.planted_picture(video_id) for video_id in catalogue.videos])
    facts = np.stack([title_facts(video.title) for video in catalogue.videos.values()])
    rest = quality - math.sqrt(PICTURE_SHARE) * picture
    design = np.column_stack([facts, np.ones(len(facts))])
    left = rest - design @ np.linalg.lstsq(design, rest, rcond=None)[0]
    assert np.abs(left).max() < 1e-9
    assert title_facts("7 Insane Bosses").tolist() == [1, -3, 1]
    assert title_facts("Ranking Bosses: Quiet Maps").tolist() == [0, -4, 0]
    good, bad = (np.array(fact) for fact in ([1.0, -3.0, 1.0], [0.0, -14.0, 0.0]))
    weights = np.linalg.lstsq(design, rest, rcond=None)[0][:3]
    assert (good - bad) @ weights > 1.5 and (weights > 0).all()


def test_age_alone_orders_corrected_views_no_better_than_chance(catalogue: SyntheticCatalogue) -> None:
    age = np.array([(CLOCK - video.published_at).total_seconds() for video in catalogue.videos.values()])
    length = np.array([float(video.duration_s) for video in catalogue.videos.values()])
    for score in (age, length):
        auc = auc_by_channel(catalogue, score, corrected_views(catalogue))
        assert abs(auc.mean() - 0.5) < 3.5 * auc.std(ddof=1) / math.sqrt(len(auc))


def test_the_catalogue_has_the_documented_sizes_and_formats(catalogue: SyntheticCatalogue) -> None:
    assert len(catalogue.videos) == 1800 and len(catalogue.channels) == 6 * len(DEFAULT_NAMES)
    assert set(Counter(channel.niche for channel in catalogue.channels.values()).values()) == {6}
    sizes = [len(channel.videos) for channel in catalogue.channels.values()]
    assert max(sizes) - min(sizes) <= 1
    for channel in catalogue.channels.values():
        assert re.fullmatch(r"UC[A-Za-z0-9_-]{22}", channel.channel_id)
        assert len({video.title for video in channel.videos}) == len(channel.videos)
    for video in catalogue.videos.values():
        assert re.fullmatch(r"[A-Za-z0-9_-]{11}", video.video_id)
        assert 120 <= video.duration_s <= 1500 and video.views > 0
        assert 2 <= (CLOCK - video.published_at).days <= 87


def test_a_small_catalogue_keeps_enough_videos_in_each_channel() -> None:
    small = synthetic_catalogue(videos=150)
    assert len(small.videos) == 150 and len(small.channels) == len(DEFAULT_NAMES)
    with pytest.raises(ValueError, match="at least 7"):
        synthetic_catalogue(videos=6)


def test_only_the_seed_determines_the_catalogue() -> None:
    program = (
        "import hashlib; from demo.catalogues.synthetic import synthetic_catalogue as make; c = make(21, 5); "
        "d = hashlib.sha256(repr(list(c.videos.values())).encode()); "
        "[d.update(c.image(i)) for i in c.videos]; [d.update(x.image) for x in c.candidates('tech', 1)]; "
        "print(d.hexdigest())"
    )
    root = Path(__file__).resolve().parents[2]

    def digest(text: str, hash_seed: str) -> str:
        command = [sys.executable, "-c", text]
        env = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=root, env=env).stdout

    assert digest(program, "1") == digest(program, "2") != digest(program.replace("21, 5", "21, 6"), "1")


def test_drawing_a_picture_is_repeatable_and_pictures_of_videos_differ(catalogue: SyntheticCatalogue) -> None:
    first, second = list(catalogue.videos)[:2]
    assert catalogue.image(first) == catalogue.image(first) != catalogue.image(second)


@pytest.mark.parametrize("niche", DEFAULT_NAMES)
def test_candidates_are_new_share_a_title_and_differ_in_quality(catalogue: SyntheticCatalogue, niche: str) -> None:
    candidates = catalogue.candidates(niche, seed=4)
    assert sorted(candidate.quality for candidate in candidates) == [-1.5, 0.0, 1.5]
    assert len({candidate.title for candidate in candidates}) == 1
    assert [candidate.name for candidate in candidates] == ["candidate-a.jpg", "candidate-b.jpg", "candidate-c.jpg"]
    assert len({candidate.image for candidate in candidates}) == 3
    assert candidates == catalogue.candidates(niche, seed=4) != catalogue.candidates(niche, seed=5)


def test_the_best_candidate_can_be_chosen_from_its_pixels(
    catalogue: SyntheticCatalogue, looks: tuple[Float64s, Float64s]
) -> None:
    probe = Probe(*looks)
    sets = [catalogue.candidates(niche, seed) for niche in DEFAULT_NAMES for seed in range(4)]
    best = []
    for candidates in sets:
        statistics = np.stack([look(candidate.image) for candidate in candidates])
        best.append(candidates[int(np.argmax(probe(statistics)))])
    assert np.mean([candidate.quality == 1.5 for candidate in best]) >= 0.9


def test_an_unknown_niche_has_no_candidates(catalogue: SyntheticCatalogue) -> None:
    with pytest.raises(ValueError, match="not a niche"):
        catalogue.candidates("cooking", 1)
