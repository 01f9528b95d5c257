"""Attack the service with pictures that cost much memory or time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hostile_pictures import REFUSED, avif_with_a_larger_picture_inside, encoded, largest, png, png_that_states
from PIL import Image

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def at_the_limits():
    return largest()


@pytest.mark.parametrize("kind", list(REFUSED))
def test_a_picture_bomb_takes_little_memory_and_the_other_pictures_are_ranked(under_attack, draw, kind):
    make, reason = REFUSED[kind]
    answer = under_attack.upload(draw(1), make(), draw(2)).json()
    bad = answer["thumbnails"].pop(1)
    assert bad["error"]
    assert reason in bad["error"]
    assert [thumbnail["error"] for thumbnail in answer["thumbnails"]] == [None, None]


def test_an_avif_with_a_much_larger_picture_inside_stays_in_the_budget(under_attack, draw):
    bomb = avif_with_a_larger_picture_inside(64, 12_000)
    answer = under_attack.upload(draw(1), bomb, draw(2)).json()
    # The decoder process either reduces the large picture to the stated size, or reaches its memory limit. The test
    # therefore checks only the other two pictures.
    assert [thumbnail["error"] for thumbnail in answer["thumbnails"]][::2] == [None, None]


def test_clients_that_send_the_largest_pictures_of_each_format_stay_in_the_budget(under_attack, at_the_limits):
    pictures = list(at_the_limits.values())
    with ThreadPoolExecutor(3) as clients:
        replies = list(clients.map(lambda _: under_attack.upload(*pictures), range(3)))
    for reply in replies:
        assert reply.status_code == 200
        assert [thumbnail["error"] for thumbnail in reply.json()["thumbnails"]] == [None] * len(pictures)


def test_twelve_large_pictures_in_one_request_stay_in_the_budget(under_attack):
    # Each picture has a comment of a different length, so that no cached result is used.
    note = [b"tEXtComment\0" + bytes([65]) * number for number in range(12)]
    whole = png(6_320, 6_320, 8, 6, 4)
    pictures = [whole + number for number in note]
    answer = under_attack.upload(*pictures).json()
    assert [thumbnail["error"] for thumbnail in answer["thumbnails"]] == [None] * 12


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
