"""Test the drawing of synthetic pictures: the places of the clutter shapes, warm and cold colours, and large words."""

import numpy as np
import pytest

from demo.catalogues.drawing import ATTRIBUTES, INKS, Style, _grade, draw
from demo.catalogues.motifs import HEIGHT, WIDTH, spread
from thumblab_core.images import decode
from thumblab_core.sub_scores.text import TextLine, TextReader


@pytest.mark.parametrize("count", [2, 9, 34])
def test_shapes_are_spread_over_the_canvas_and_keep_their_distance(count: int) -> None:
    for seed in range(50):
        places = np.array(spread(count, np.random.default_rng(seed)))
        assert places.shape == (count, 2)
        assert (places >= 0).all()
        assert (places < (WIDTH, HEIGHT)).all()
        offsets = np.abs(places[:, None] - places[None]) / (WIDTH, HEIGHT)
        distance = np.hypot(*np.minimum(offsets, 1 - offsets).transpose(2, 0, 1)) + np.eye(count)
        assert distance.min() > 0.4 / np.sqrt(count)


def test_warm_pictures_are_redder_and_cold_ones_bluer_without_overflow() -> None:
    canvas = np.stack([np.arange(256, dtype=np.uint8)] * 3, axis=-1)[None]
    np.testing.assert_array_equal(_grade(canvas, 0.0), canvas)
    warm, cold = (_grade(canvas, warmth)[0].astype(int) for warmth in (1.0, -1.0))
    assert (warm[100:, 0] > warm[100:, 2]).all()
    assert (cold[100:, 0] < cold[100:, 2]).all()
    for light in (warm, cold):
        assert (np.diff(light, axis=0) >= 0).all()


@pytest.mark.parametrize("subject_right", [True, False])
def test_a_word_too_wide_for_the_picture_is_drawn_smaller_and_stays_readable(subject_right: bool) -> None:
    attributes = np.where(np.array(ATTRIBUTES) == "text_size", 2.5, -2.5)
    style = Style(0.0, "bars", subject_right, False, INKS[0])
    jpeg = draw(attributes, style, ("EXPERIMENTS", "LAMINATIONS"), np.random.default_rng(0))
    lines = TextReader().read(decode(jpeg).pixels)
    assert [line.text for line in lines if isinstance(line, TextLine)] == ["EXPERIMENTS", "LAMINATIONS"]
