"""Attack the service with pictures that cost much memory or time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hostile_pictures import REFUSED, encoded, largest, png, png_that_states
from PIL import Image


@pytest.fixture(scope="module")
def at_the_limits():
    return largest()


@pytest.mark.parametrize("kind", list(REFUSED))
def test_a_picture_bomb_costs_little_and_the_other_pictures_are_ranked(under_attack, draw, kind):
    make, reason = REFUSED[kind]
    answer = under_attack.upload(draw(1), make(), draw(2)).json()
    bad = answer["thumbnails"].pop(1)
    assert bad["error"]
    assert reason in bad["error"]
    assert [thumbnail["error"] for thumbnail in answer["thumbnails"]] == [None, None]


def test_eight_clients_that_send_the_largest_pictures_of_each_format_stay_in_the_budget(under_attack, at_the_limits):
    pictures = list(at_the_limits.values())
    with ThreadPoolExecutor(8) as clients:
        replies = list(clients.map(lambda _: under_attack.upload(*pictures), range(8)))
    for reply in replies:
        assert reply.status_code == 200
        assert [thumbnail["error"] for thumbnail in reply.json()["thumbnails"]] == [None] * len(pictures)


def test_twenty_large_pictures_in_one_request_stay_in_the_budget(under_attack):
    # Each picture has another length of comment, so that no cache answers.
    note = [b"tEXtComment\0" + bytes([65]) * number for number in range(20)]
    whole = png(6_320, 6_320, 8, 6, 4)
    pictures = [whole + number for number in note]
    answer = under_attack.upload(*pictures).json()
    assert [thumbnail["error"] for thumbnail in answer["thumbnails"]] == [None] * 20


def test_a_4k_picture_of_nearly_50_mb_is_scored(under_attack, draw):
    noise = np.random.default_rng(0).integers(0, 256, (2_160, 3_840, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "PNG", compress_level=0)
    data += bytes(50_000_000 - len(data))
    answer = under_attack.upload(data, draw(1)).json()
    assert [thumbnail["error"] for thumbnail in answer["thumbnails"]] == [None, None]
    assert answer["thumbnails"][0]["evidence"]["width"] == 3_840


def test_a_canary_is_scored_after_a_failure_and_health_says_so(attacked, draw):
    before = attacked.client.get("/health").json()["canary"]["checks"]
    attacked.upload(png_that_states(30_000), draw(1))
    canary = attacked.client.get("/health").json()["canary"]
    assert canary["state"] in ("checking", "fine")
    assert canary["checks"] >= before
