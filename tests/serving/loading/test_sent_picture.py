"""Test that the decoding of one picture never waits for the decoding of another picture."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from thumblab_core.images import Picture, decode
from thumblab_serving.loading import sent_picture
from thumblab_serving.loading.sent_picture import SentPicture


def test_a_slow_decoding_delays_no_other_picture(draw: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    slow, other, started, go_on = draw(1), draw(2), threading.Event(), threading.Event()

    def decode_one_slowly(data: bytes) -> Picture:
        if data == slow:
            started.set()
            assert go_on.wait(60)
        return decode(data)

    monkeypatch.setattr(sent_picture, "decode", decode_one_slowly)
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(lambda: SentPicture(slow).decoded)
        try:
            assert started.wait(30)
            assert threads.submit(lambda: SentPicture(other).decoded).result(10).width == decode(other).width
            assert not waiting.done()
        finally:
            go_on.set()
        assert waiting.result(30).width == decode(slow).width


def test_a_picture_is_decoded_once(draw: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr(sent_picture, "decode", lambda data: decoded.append(data) or decode(data))
    sent = SentPicture(draw(1))
    assert sent.decoded is sent.decoded
    assert len(decoded) == 1
