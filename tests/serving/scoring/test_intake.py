"""Test how the service fetches the pictures of a request.

The number of pictures in memory is bounded. Pictures that arrive after the deadline are not examined.
"""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from thumblab_core.images import decode
from thumblab_serving.loading import sent_picture
from thumblab_serving.loading.cache import Cache
from thumblab_serving.scoring import intake
from thumblab_serving.scoring.intake import Intake, Source

FETCHES = 4


class Lab:
    """A replacement for the image host and the encoders.

    `held` is the number of pictures that were fetched but not yet examined.
    """

    def __init__(self, body):
        self.body, self.held, self.most, self.examined = body, 0, 0, 0
        self.may_arrive, self.may_examine, self.lock = threading.Event(), threading.Event(), threading.Lock()

    def download(self, url, file, max_bytes, within_s):
        assert self.may_arrive.wait(30)
        with self.lock:
            self.held += 1
            self.most = max(self.most, self.held)
            if self.held == FETCHES:
                self.may_examine.set()
        file.write(self.body)

    def picture(self, name, sent):
        assert self.may_examine.wait(30)
        with self.lock:
            self.held -= 1
            self.examined += 1
        return None

    def measure(self, *_):
        return None

    def close(self):
        pass


@pytest.fixture
def lab(draw, monkeypatch):
    monkeypatch.setattr(intake, "_FETCHES", FETCHES)
    return Lab(draw(1))


def test_the_number_of_fetched_pictures_in_memory_is_bounded(lab):
    reader = Intake(lab, lab, patience=30)
    lab.may_arrive.set()
    candidates = reader.examine([Source(str(n), url="u") for n in range(40)], "t", lab, ["e"])
    reader.close()
    assert [candidate.error for candidate in candidates] == [None] * 40
    assert lab.most == FETCHES


def test_a_picture_that_arrives_after_the_deadline_is_not_examined(lab):
    reader = Intake(lab, lab, patience=0.01)
    [late] = reader.examine([Source("a", url="u")], "t", lab, ["e"])
    assert late.error == "the picture did not arrive within 0.01 s"
    lab.may_examine.set()
    lab.may_arrive.set()
    reader._fetching.shutdown(wait=True)
    reader.close()
    assert lab.held == 1
    assert lab.examined == 0


class SlowAvifs:
    """A replacement for the image host and the encoders, in which no AVIF picture is finished until `go_on` is set."""

    def __init__(self, bodies):
        self.bodies, self.go_on = bodies, threading.Event()

    def download(self, url, file, max_bytes, within_s):
        file.write(self.bodies[url])

    def picture(self, name, sent):
        assert sent.decoded.format != "AVIF" or self.go_on.wait(60)
        return None

    def measure(self, *_):
        return None

    def close(self):
        self.go_on.set()


@pytest.fixture
def slow(draw):
    return SlowAvifs({"jpeg": draw(1), "avif": draw(2, kind="AVIF")})


def of_each_kind(name, body):
    return [
        Source("sent", data=body),
        Source("base64", base64=base64.b64encode(body).decode()),
        Source("fetched", url=name),
    ]


@pytest.mark.slow
def test_slow_avifs_hold_up_no_other_picture(slow):
    reader = Intake(slow, slow, patience=30)
    with ThreadPoolExecutor(1) as other:
        avifs = of_each_kind("avif", slow.bodies["avif"]) * 20
        waiting = other.submit(reader.examine, avifs, "t", slow, ["e"])
        try:
            with ThreadPoolExecutor(1) as person:
                jpegs = of_each_kind("jpeg", slow.bodies["jpeg"]) * 20
                candidates = person.submit(reader.examine, jpegs, "t", slow, ["e"])
                assert [candidate.error for candidate in candidates.result(30)] == [None] * 60
                assert not waiting.done()
        finally:
            slow.go_on.set()
        assert [candidate.error for candidate in waiting.result(60)] == [None] * 60
    reader.close()


class Forgetful:
    """A replacement for the image host and the encoders. The caches of both have just evicted a picture of the request.

    `threads` are the names of the threads in which pictures were decoded.
    """

    def __init__(self):
        self.threads = []

    def picture(self, name, sent):
        assert sent.decoded.width
        self.threads.append(threading.current_thread().name)

    def measure(self, *_):
        return None

    def close(self):
        pass


@pytest.mark.parametrize("evicted", ["facts", "vector"])
def test_a_picture_that_a_cache_has_just_evicted_is_decoded_in_an_examining_thread(draw, evicted):
    caches, body = Forgetful(), draw(1)
    reader = Intake(caches, caches, patience=30)
    reader.examine([Source("a", data=body)], "t", caches, ["e"])
    if evicted == "facts":
        reader.facts = Cache(1)
    [candidate] = reader.examine([Source("a", data=body)], "t", caches, ["e"])
    reader.close()
    assert candidate.picture is not None
    assert [name[:7] for name in caches.threads] == ["examine", "examine"]


class SlowHost(Forgetful):
    """A replacement for the image host and the encoders. Each fetch calls `meanwhile`. Vectors are always cached."""

    def __init__(self, body, meanwhile):
        super().__init__()
        self.body, self.meanwhile = body, meanwhile

    def download(self, url, file, max_bytes, within_s):
        self.meanwhile()
        file.write(self.body)

    def picture(self, name, sent):
        return None


def test_a_known_picture_is_examined_before_a_slow_fetch_that_outlasts_its_cache_entry(draw, monkeypatch):
    fetched, known = draw(1), draw(2)
    host = SlowHost(fetched, lambda: setattr(reader, "facts", Cache(1)))
    reader = Intake(host, host, patience=30)
    reader.examine([Source("known", data=known)], "t", host, ["e"])
    decoded = []
    monkeypatch.setattr(sent_picture, "decode", lambda data: decoded.append(data) or decode(data))
    candidates = reader.examine([Source("slow", url="u"), Source("known", data=known)], "t", host, ["e"])
    reader.close()
    assert [candidate.error for candidate in candidates] == [None, None]
    assert decoded == [fetched]


def test_avifs_wait_for_a_limited_time_in_a_limited_queue(slow, monkeypatch):
    monkeypatch.setattr(intake, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(intake, "_MOST_APART", 3)
    reader = Intake(slow, slow, patience=30)
    threading.Timer(1, slow.go_on.set).start()
    avif = slow.bodies["avif"]
    errors = [c.error for c in reader.examine([Source(str(n), data=avif) for n in range(5)], "t", slow, ["e"])]
    assert errors.count(None) == 1
    assert sum("other AVIF or HEIC files took more than 0.2 s" in str(error) for error in errors) == 2
    assert sum("3 AVIF or HEIC files wait already" in str(error) for error in errors) == 2
    assert [c.error for c in reader.examine([Source("a", data=avif)], "t", slow, ["e"])] == [None]
    reader.close()
