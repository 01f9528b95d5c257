"""Test requests with bad pictures. A bad picture gets an error, and the other pictures are ranked without it."""

import base64
import io
import struct
import zlib

import pytest
from PIL import Image


def bomb(side: int) -> bytes:
    """Return a PNG of a hundred bytes whose header states `side` x `side` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><title>Not found</title>"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (bomb(8_000), "at most 40 million"),
        (bomb(30_000), "at most 40 million"),
        (SVG, "not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"),
        (HTML, "not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"),
        (b"\0" * 64, "not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"),
    ],
    ids=["large", "bomb", "svg", "html", "zeros"],
)
def test_a_body_that_is_not_a_picture_gets_an_error(service, draw, alike, body, sentence):
    good = [draw(1), draw(2)]
    answer = service.score(good[0], body, good[1])
    assert sentence in answer["thumbnails"][1]["error"]
    assert answer["thumbnails"][1]["rank"] is None
    alone = service.score(*good)
    assert alike(
        [t["win_probability"] for t in answer["thumbnails"] if not t["error"]],
        [t["win_probability"] for t in alone["thumbnails"]],
    )


def test_a_truncated_picture_gets_an_error(service, draw):
    data = draw(3)
    answer = service.score(draw(1), data[: len(data) // 2])
    assert "damaged" in answer["thumbnails"][1]["error"]
    assert answer["verdict"] == "only_one"


def test_an_empty_file_gets_an_error(service, draw):
    assert "empty" in service.score(draw(1), b"")["thumbnails"][1]["error"]


def test_a_file_over_the_limit_gets_an_error_with_its_size_and_the_limit(service, draw):
    answer = service.score(draw(1), b"\xff" * (50 * 2**20 + 2**18))
    assert answer["thumbnails"][1]["error"] == "the file has 50.3 MiB; at most 50 MiB are read"


def test_text_that_is_not_base64_gets_an_error(service, draw):
    good = base64.b64encode(draw(1)).decode()
    reply = service.ask(
        [
            {"id": "a", "image_base64": good},
            {"id": "b", "image_base64": "!!!"},
            {"id": "c", "image_base64": "data:image/jpeg;base64," + good},
        ]
    )
    first, second, third = reply.json()["thumbnails"]
    assert "not base64" in second["error"]
    assert first["error"] is None
    assert third["error"] is None


def test_when_no_picture_can_be_read_there_is_an_answer_without_a_winner(service):
    answer = service.score(b"x", b"y")
    assert answer["winner"] is None
    assert answer["verdict"] is None
    assert all(t["error"] for t in answer["thumbnails"])


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.jpg",
        "http://169.254.169.254/latest/meta-data/",
        "https://user:secret@i.ytimg.com/vi/a/maxresdefault.jpg",
        "http://i.ytimg.com/vi/a/maxresdefault.jpg",
        "https://i.ytimg.com.evil.example/a.jpg",
        "https://i.ytimg.com:22/a.jpg",
        "http://127.0.0.1/a.jpg",
        "http://[::1]/a.jpg",
        "file:///etc/passwd",
        "//i.ytimg.com/a.jpg",
        "http://[bad/a.jpg",
    ],
)
def test_a_url_of_a_host_that_is_not_allowed_gets_an_error(service, draw, url):
    good = base64.b64encode(draw(1)).decode()
    reply = service.ask([{"id": "bad", "url": url}, {"id": "good", "image_base64": good}])
    assert reply.status_code == 200
    bad, fine = reply.json()["thumbnails"]
    assert bad["error"]
    assert "secret" not in bad["error"]
    assert fine["rank"] == 1


def test_a_url_that_answers_404_gets_an_error(service, images):
    answer = service.ask([{"id": "a", "url": f"http://{images['host']}/missing.jpg"}]).json()
    assert "404" in answer["thumbnails"][0]["error"]


def test_the_answer_names_animations_of_which_only_the_first_frame_was_scored(service, draw):
    frames = [Image.open(io.BytesIO(draw(number))) for number in (3, 4)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    answer = service.score(draw(1), out.getvalue())
    assert [t["error"] for t in answer["thumbnails"]] == [None, None]
    assert "p1.jpg is an animation: only its first frame was scored" in answer["degraded"]
    assert not any("animation" in sentence for sentence in service.score(draw(1), draw(2))["degraded"])
