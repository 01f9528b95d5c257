"""Test that the caches of the service change no bit of an answer about pictures that it has scored before."""

import gc
import io
import threading
import weakref

import pytest
from PIL import Image, ImageDraw, ImageFont

from thumblab_serving.scoring.intake import EXAMINING


def lettered(words):
    """Return a picture that shows `words`. The service reads words in pictures and compares them with the title."""
    image, out = Image.new("RGB", (640, 360), (20, 60, 160)), io.BytesIO()
    ImageDraw.Draw(image).text((50, 120), words, fill="white", font=ImageFont.load_default(size=90))
    image.save(out, "PNG")
    return out.getvalue()


def test_known_pictures_get_every_bit_of_the_answer_that_a_new_service_gives(changing, run, draw):
    first, second, third, fourth = lettered("PHONES"), *(draw(seed) for seed in range(501, 504))
    requests = [
        ((first, second), {}),
        ((first, second, third), {"title": "Why 3 phones FAILED | A longer story…"}),
        ((second, first), {"title": "Why 3 phones FAILED | A longer story…"}),
        ((third,), {}),
        ((first, first, fourth), {"title": "?!"}),
    ]
    new = [changing.upload(*pictures, **fields).text for pictures, fields in requests]
    known = [changing.upload(*pictures, **fields).text for pictures, fields in requests]
    with run(changing.lab.settings) as other:
        # The requests come in reverse order, so the caches may first get a picture with another title than before.
        others = [other.upload(*pictures, **fields).text for pictures, fields in reversed(requests)]
    assert all('"thumbnails":[{' in text for text in new)
    assert known == new
    assert others == new[::-1]


def test_known_pictures_are_scored_while_all_examining_threads_are_busy(changing, draw):
    pictures, intake = [draw(511), draw(512)], changing.app.state.scorer.intake
    expected, free = changing.score(*pictures), threading.Event()
    busy = [intake._examining.submit(free.wait, 60) for _ in range(EXAMINING)]
    try:
        files = [("thumbnails", (f"p{n}.jpg", data, "image/jpeg")) for n, data in enumerate(pictures)]
        title = {"title": expected["thumbnails"][0]["title"]}
        reply = changing.client.post("/v1/score", data=title, files=files, timeout=20)
    finally:
        free.set()
    assert [thread.result() for thread in busy] == [True] * EXAMINING
    assert reply.json() == expected


@pytest.mark.parametrize("again", ["read again", "another index"])
def test_known_pictures_are_placed_again_in_an_index_that_is_loaded_later(changing, draw, again):
    pictures, scorer = [draw(521), draw(522)], changing.app.state.scorer
    before, lookups = changing.score(*pictures), scorer.caches["placements"].lookups
    made = lookups["made"]
    assert changing.score(*pictures) == before
    assert lookups["made"] == made
    if again == "read again":
        assert scorer.releases.forget_indices() == ["tech"]
        assert changing.score(*pictures) == before
    else:
        changing.lab.promote(changing.lab.index("tech", seed=5))
        after = changing.score(*pictures)
        assert after["thumbnails"][0]["neighbours"] != before["thumbnails"][0]["neighbours"]
    assert lookups["made"] == made + 2


@pytest.mark.parametrize("how", ["withdrawn", "replaced", "cache cleared"])
def test_nothing_of_an_index_that_is_no_longer_served_stays_in_memory(new_lab, run, draw, how):
    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings) as service:
        service.score(draw(531))
        scorer = service.app.state.scorer
        old = [weakref.ref(item) for item in scorer.releases.indices["tech"].loaded.value.items]
        assert scorer.caches["placements"].used > 0
        if how == "withdrawn":
            lab.store.serving.withdraw("index", "tech")
        elif how == "replaced":
            lab.promote(lab.index("tech", seed=5))
        else:
            assert scorer.releases.forget_indices() == ["tech"]
        service.score(draw(532))
        gc.collect()
        assert [item().title for item in old if item() is not None] == []
        assert (scorer.caches["placements"].used > 0) == (how != "withdrawn")
