"""Test how the service fetches the pictures of a request.

The number of pictures in memory is bounded. Pictures that arrive after the deadline are not examined.
"""

import threading

import pytest

from thumblab_serving.scoring import intake
from thumblab_serving.scoring.intake import Intake, Source

FETCHES = 4


class Lab:
    """A replacement for the image host and the encoders.

    `held` is the number of pictures that are fetched and not yet examined.
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

    def picture(self, name, picture, data):
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
