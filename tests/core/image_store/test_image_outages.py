"""Test that single failed requests for pictures are tolerated, and that many failed requests in a row end the work."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.image_store.reading_ahead import read_ahead
from thumblab_core.images import ImageError
from thumblab_core.object_store.bucket import Bucket, StoreAwayError, StoreError
from thumblab_core.object_store.outage import Outage

Host = Callable[..., ImageObjects]


def test_requests_that_fail_together_are_no_outage() -> None:
    outage, together = Outage(), threading.Barrier(16)

    def fail(_: int) -> type[StoreError]:
        with pytest.raises(StoreError) as raised, outage.watched():
            together.wait(20)
            raise StoreError("s3://lab cannot be used (no answer in time)")
        return raised.type

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(fail, range(16))) == {StoreError}
    with outage.watched():
        pass


def test_many_failures_in_a_row_are_an_outage_that_ends_with_the_first_answer() -> None:
    outage = Outage(most=3, rest_s=0.2)

    def fail() -> None:
        with outage.watched():
            raise StoreError("s3://lab cannot be used (no connection)")

    errors = []
    for _ in range(3):
        with pytest.raises(StoreError) as raised:
            fail()
        errors.append(type(raised.value))
    assert errors == [StoreError, StoreError, StoreAwayError]
    with pytest.raises(StoreAwayError, match=r"no connection.*3 requests in a row have failed"), outage.watched():
        pytest.fail("a request was sent during the outage")
    time.sleep(0.25)
    with outage.watched():
        pass
    with pytest.raises(StoreError) as raised:
        fail()
    assert not isinstance(raised.value, StoreAwayError)


def test_one_failed_read_does_not_stop_the_others_and_an_outage_does(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = host("writer"), host("reader")
    names = [writer.put(bytes([number]) * 99) for number in range(60)]
    real, failing = Bucket.read, {f"{names[3][:2]}/{names[3][2:]}"}
    lock = threading.Lock()

    def read(bucket: Bucket, key: str) -> object:
        with lock:
            if key in failing:
                raise StoreError(f"{bucket} cannot be used for {key} (no answer in time)")
        return real(bucket, key)

    monkeypatch.setattr(Bucket, "read", read)
    good, bad = [], []
    for name, content in read_ahead(reader, names, str):
        try:
            content()
            good.append(name)
        except ImageError as error:
            assert "cannot be read now" in str(error)
            bad.append(name)
    assert (len(good), bad) == (59, [names[3]])
    failing.update(f"{name[:2]}/{name[2:]}" for name in names)
    seen = 0
    with pytest.raises(StoreAwayError):
        for _, content in read_ahead(host("third"), names, str):
            try:
                content()
            except ImageError:
                seen += 1
    assert seen < 32  # The 16 requests that were in flight at the first failure count as one failure.
