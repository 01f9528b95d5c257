"""Test the encoding of a stream of pictures.

The vectors come in the order of the pictures. Only a few pictures are in memory at the same time. A picture that cannot
be read does not affect the other pictures.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.encoders.stream import BatchSize, encode_stream
from thumblab_core.images import ImageError, Pixels, decode

Draw = Callable[..., bytes]


@pytest.fixture(scope="module")
def files(drawn: Draw) -> list[bytes]:
    return [drawn(seed) for seed in range(30)]


def reading(files: Sequence[bytes]) -> Iterator[tuple[int, Callable[[], bytes]]]:
    return ((place, lambda data=data: data) for place, data in enumerate(files))


def test_every_picture_is_returned_once_in_order_with_its_own_vector(files: list[bytes]) -> None:
    encoder = BuiltinEncoder()
    batches = list(encode_stream(encoder, reading(files)))
    assert [key for batch in batches for key in batch.keys] == list(range(30))
    vectors = np.concatenate([batch.vectors for batch in batches])
    expected = encoder.encode_images([decode(data, encoder.decode_size).pixels for data in files])
    np.testing.assert_array_equal(vectors, expected)


def test_an_unreadable_picture_is_reported_and_the_others_are_encoded(files: list[bytes]) -> None:
    def missing() -> bytes:
        raise ImageError("the image store has no such picture")

    pictures = [(place, lambda data=data: data) for place, data in enumerate(files)]
    pictures[3] = (3, lambda: b"not a picture")
    pictures[7] = (7, missing)
    batches = list(encode_stream(BuiltinEncoder(), pictures))
    unreadable = dict(pair for batch in batches for pair in batch.unreadable)
    assert unreadable == {
        3: "not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP picture",
        7: "the image store has no such picture",
    }
    assert [key for batch in batches for key in batch.keys] == [n for n in range(30) if n not in (3, 7)]
    assert sum(map(len, batches)) == 30
    assert sum(len(batch.vectors) for batch in batches) == 28


def test_pictures_that_are_all_unreadable_give_no_vectors() -> None:
    batches = list(encode_stream(BuiltinEncoder(), [(n, lambda: b"x") for n in range(5)]))
    assert sum(len(batch.unreadable) for batch in batches) == 5
    assert all(batch.vectors.shape == (0, 768) for batch in batches)
    assert list(encode_stream(BuiltinEncoder(), [])) == []


class Slow(BuiltinEncoder):
    """An encoder with a slow model.

    The attribute `ahead` is the number of pictures that are prepared but not yet encoded.
    """

    largest_batch = 8

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ahead = self.most_ahead = self.prepared_while_encoding = 0
        self.encoding = False

    def prepare(self, image: Pixels) -> Vectors:
        with self.lock:
            self.ahead += 1
            self.most_ahead = max(self.most_ahead, self.ahead)
            self.prepared_while_encoding += self.encoding
        return super().prepare(image)

    def encode_prepared(self, prepared: Sequence[Vectors]) -> Vectors:
        self.encoding = True
        time.sleep(0.05)
        self.encoding = False
        with self.lock:
            self.ahead -= len(prepared)
        return super().encode_prepared(prepared)


def test_pictures_are_prepared_while_the_model_runs_at_most_two_batches_ahead(
    files: list[bytes],
) -> None:
    encoder = Slow()
    list(encode_stream(encoder, reading(files * 4)))
    assert encoder.prepared_while_encoding >= Slow.largest_batch, (
        "some pictures must be prepared ahead; on a busy machine, it may be less than all"
    )
    assert encoder.most_ahead <= 3 * Slow.largest_batch


def test_closing_the_stream_stops_the_work(files: list[bytes]) -> None:
    drawn: list[int] = []

    def pictures() -> Iterator[tuple[int, Any]]:
        for place in range(1_000):
            drawn.append(place)
            yield place, lambda: files[0]

    stream = encode_stream(BuiltinEncoder(), pictures())
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    assert len(drawn) < 40


def test_an_error_of_the_encoder_ends_the_stream(files: list[bytes]) -> None:
    class Broken(BuiltinEncoder):
        def encode_prepared(self, prepared: Sequence[Vectors]) -> Vectors:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(encode_stream(Broken(), reading(files)))


@pytest.mark.parametrize(("fastest", "expected"), [(1, 4), (8, 8), (16, 16), (1_000, 64)])
def test_the_batch_grows_as_long_as_that_is_faster(fastest: int, expected: int) -> None:
    size = BatchSize(largest=64)
    for _ in range(20):
        size.took(size.now, size.now / min(size.now, fastest))
    assert size.now == expected


def test_a_batch_that_is_not_full_is_ignored() -> None:
    size = BatchSize(largest=64)
    size.took(3, 1e9)
    assert size.now == 4
    assert BatchSize(largest=1).now == 1


MEASURE = """
import sys
from pathlib import Path
from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.encoders.stream import encode_stream
encoder = named_image_encoder(sys.argv[1], Path("nowhere"))
files = sorted(Path(sys.argv[2]).rglob("*.jpg"))[: int(sys.argv[3])]
counts = [len(batch.keys) for batch in encode_stream(encoder, ((file, file.read_bytes) for file in files))]
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(sum(counts), int(peak.split()[1]) / 2**20)
"""
"""A script that prints the number of encoded pictures and its peak memory in GiB.

The line VmHWM of /proc/self/status contains the peak of this process only. `ru_maxrss` would start at the value of the
parent process, and could therefore be too high.
"""


@pytest.mark.slow
@pytest.mark.parametrize(("count", "most"), [(400, 0.12), pytest.param(2_252, 2, marks=pytest.mark.heavy)])
def test_the_memory_for_encoding_many_thumbnails_stays_small(shared_data: Path, count: int, most: float) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, "builtin", shared_data / "thumbnails" / "images", str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    pictures, gib = done.stdout.split()
    print(f"{pictures} thumbnails, peak {float(gib):.2f} GiB")
    assert int(pictures) == count
    assert float(gib) < most


FIRST_USE = """
import faulthandler, sys, threading
import numpy as np
faulthandler.dump_traceback_later(60, exit=True)
from thumblab_core.encoders.openvino_runtime import ov
from openvino import opset13
given = opset13.parameter([1, 3, 64, 64], np.float32)
model = ov.Model([opset13.relu(given)], [given])
requests = [ov.Core().compile_model(model, "CPU").create_infer_request() for _ in range(4)]
together, picture = threading.Barrier(4), np.zeros((1, 3, 64, 64), np.float32)
sys.setswitchinterval(1e-6)
def first(request):
    together.wait()
    request.infer(picture)
threads = [threading.Thread(target=first, args=(request,)) for request in requests]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_first_use_openvino_at_the_same_time_do_not_deadlock() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
