"""Test the canary: after a failure, the service scores drawn pictures and reports whether scoring worked."""

import json
import subprocess
import sys
import time

import pytest

from thumblab_serving.scoring import canary

DRAWING = """
import hashlib, json, sys
from pathlib import Path
from thumblab_core.images import ImageError
from thumblab_serving.loading import sent_picture
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.shared_values import shared_facts
from thumblab_serving.scoring.canary import drawn_thumbnail
from thumblab_serving.workers.shared_cache import SharedCache

def broken(data):
    raise ImageError("the decoder is broken")

if sys.argv[2] == "broken":
    sent_picture.decode = broken
facts = Cache(10, shared=shared_facts(SharedCache(Path(sys.argv[1]))))
digests, failures = [], 0
for _ in range(3):
    sent = sent_picture.SentPicture(drawn_thumbnail())
    digests.append(sent.sha256)
    try:
        facts.get((sent.sha256,), sent.facts)
    except ImageError:
        failures += 1
print(json.dumps({"digests": digests, "failures": failures}))
"""
"""A process that draws three pictures and decodes them, with a shared cache in the file that its first argument names.
If the second argument is "broken", no picture can be decoded.
"""


def draw_in_a_process(file, decoder):
    process = subprocess.run(
        [sys.executable, "-c", DRAWING, str(file), decoder], capture_output=True, text=True, check=True
    )
    return json.loads(process.stdout)


@pytest.fixture
def short_pause(monkeypatch):
    monkeypatch.setattr(canary, "PAUSE_S", 0.05)


def wait_for(service, state):
    deadline = time.monotonic() + 60
    while service.health()["canary"]["state"] != state:
        assert time.monotonic() < deadline, service.health()["canary"]
        time.sleep(0.02)


@pytest.mark.usefixtures("short_pause")
def test_a_bad_picture_is_followed_by_a_check_that_succeeds(lab, run, draw):
    with run(lab.settings) as service:
        assert service.health()["canary"] == {"state": "unused", "checks": 0, "reason": None}
        assert service.score(draw(1), b"no picture")["thumbnails"][1]["error"]
        wait_for(service, "fine")
        assert service.health()["canary"]["checks"] >= 1
        assert service.client.get("/ready").status_code == 200


@pytest.mark.usefixtures("short_pause")
def test_while_good_pictures_fail_the_service_is_not_ready_and_says_why(lab, run, draw, monkeypatch):
    def broken(*_):
        raise RuntimeError("the runtime of the encoder does not respond")

    with run(lab.settings) as service:
        with monkeypatch.context() as patched:
            patched.setattr(service.app.state.scorer.measuring, "measure", broken)
            answer = service.score(draw(1), draw(2))
            assert {t["error"] for t in answer["thumbnails"]} == {"the picture could not be examined (RuntimeError)"}
            wait_for(service, "failed")
            assert "could not be examined (RuntimeError)" in service.health()["canary"]["reason"]
            reply = service.client.get("/ready")
            assert reply.status_code == 503
            assert "a picture that the service drew for itself" in reply.json()["detail"]
            assert service.client.get("/health").status_code == 200
        wait_for(service, "fine")
        assert service.client.get("/ready").status_code == 200
        assert service.score(draw(1), draw(2))["thumbnails"][0]["error"] is None


def test_each_check_scores_pictures_that_no_cache_knows():
    assert canary.drawn_thumbnail() != canary.drawn_thumbnail()


def test_a_worker_with_a_broken_decoder_fails_although_other_workers_have_drawn_pictures(tmp_path):
    file = tmp_path / "cache" / "values"
    one, other = draw_in_a_process(file, "whole"), draw_in_a_process(file, "broken")
    assert one["failures"] == 0
    assert other["failures"] == 3
    assert len({*one["digests"], *other["digests"]}) == 6


@pytest.mark.usefixtures("short_pause")
def test_after_an_error_of_a_whole_request_there_is_a_check_too(lab, run, draw, monkeypatch):
    from thumblab_serving.scoring import scorer

    with run(lab.settings) as service:
        with monkeypatch.context() as patched:
            patched.setattr(scorer, "rank", lambda *_: 1 / 0)
            assert service.upload(draw(1)).status_code == 500
        wait_for(service, "fine")
