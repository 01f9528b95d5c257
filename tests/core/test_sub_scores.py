"""Promises of the six sub-scores: each moves as its name says when the picture is changed on purpose."""

import numpy as np
import pytest

from demo.synthetic import synthetic_catalogue
from thumblab_core.encoders.protocol import unit
from thumblab_core.images import Pixels, decode
from thumblab_core.sub_scores import NAMES, measure

Values = dict[str, float | None]


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    catalogue = synthetic_catalogue(videos=42)
    return [decode(catalogue.image(video_id)).pixels for video_id in list(catalogue.videos)[:40]]


def values(picture: Pixels) -> Values:
    return {name: found.value for name, found in measure(picture).items()}


def falls(name: str, before: list[Pixels], after: list[Pixels]) -> float:
    """The share of the pictures whose sub-score fell."""
    return float(np.mean([values(b)[name] > values(a)[name] for b, a in zip(before, after, strict=True)]))


def test_every_sub_score_lies_between_0_and_1_and_has_a_reason(pictures: list[Pixels]) -> None:
    random = np.random.default_rng(0)
    odd = [np.full((90, 160, 3), value, np.uint8) for value in (0, 127, 255)]
    odd += [random.integers(0, 256, (90, 160, 3), np.uint8), np.zeros((32, 320, 3), np.uint8)]
    checks = (np.indices((180, 320)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for picture in [*pictures, *odd, np.repeat(checks[..., None], 3, axis=2)]:
        found = measure(picture)
        assert tuple(found) == NAMES
        for name, score in found.items():
            assert score.name == name
            assert score.reason
            if name != "title_match":
                assert score.value is not None
                assert 0 <= score.value <= 1


def test_measuring_twice_gives_the_same(pictures: list[Pixels]) -> None:
    assert measure(pictures[0]) == measure(pictures[0].copy())


def test_blurring_lowers_clarity(pictures: list[Pixels]) -> None:
    import cv2

    assert falls("clarity", pictures, [cv2.GaussianBlur(p, (0, 0), 3) for p in pictures]) == 1


def test_fading_lowers_contrast(pictures: list[Pixels]) -> None:
    faded = [(p.astype(float) * 0.5 + p.mean() * 0.5).astype(np.uint8) for p in pictures]
    assert falls("contrast", pictures, faded) == 1


def test_small_detail_all_over_lowers_hierarchy(pictures: list[Pixels]) -> None:
    random = np.random.default_rng(0)
    littered = []
    for picture in pictures:
        copy = picture.copy()
        for _ in range(900):
            y, x = (int(random.integers(0, size - 4)) for size in copy.shape[:2])
            copy[y : y + 3, x : x + 3] = random.integers(0, 256, 3)
        littered.append(copy)
    assert falls("hierarchy", pictures, littered) == 1


def test_taking_the_colour_away_lowers_emotion_and_contrast(pictures: list[Pixels]) -> None:
    grey = [np.repeat(p.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8) for p in pictures]
    assert falls("emotion", pictures, grey) > 0.9
    assert falls("contrast", pictures, grey) > 0.9


def test_one_subject_on_a_calm_ground_is_more_prominent_than_texture_everywhere() -> None:
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (180, 320, 3), np.uint8)
    calm = np.full_like(texture, 90)
    calm[60:110, 60:110] = texture[60:110, 60:110]
    assert values(calm)["prominence"] > values(texture)["prominence"] + 0.2


def test_the_size_of_the_file_says_little(pictures: list[Pixels]) -> None:
    import cv2

    for picture in pictures[:10]:
        large = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for name in ("contrast", "emotion", "prominence"):
            assert values(large)[name] == pytest.approx(values(picture)[name], abs=0.08)


def test_a_weak_score_comes_with_a_reason_and_a_fix_and_a_strong_one_with_neither() -> None:
    found = measure(np.full((180, 320, 3), 128, np.uint8))
    assert found["clarity"].value == 0
    assert (found["clarity"].reason, bool(found["clarity"].fix)) == ("edges are soft", True)
    sharp = measure(np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8))["clarity"]
    assert (sharp.reason, sharp.fix) == ("fine", None)


def test_title_match_is_not_invented_without_a_text_tower(pictures: list[Pixels]) -> None:
    alone = measure(pictures[0])["title_match"]
    assert alone.value is None
    assert "no text tower" in alone.reason
    assert measure(pictures[0], unit(np.ones(4)))["title_match"].value is None


def test_title_match_rises_with_the_cosine_of_picture_and_title(pictures: list[Pixels]) -> None:
    def match(cosine: float) -> float | None:
        title = np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)
        return measure(pictures[0], np.array([1, 0], np.float32), title)["title_match"].value

    assert match(0.05) == 0
    assert match(0.225) == pytest.approx(0.5, abs=1e-5)
    assert match(0.4) == 1
