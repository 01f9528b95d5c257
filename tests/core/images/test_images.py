"""Test the decoding of pictures, and the image store."""

import io
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thumblab_core.image_store import ImageFolder
from thumblab_core.images import MAX_BYTES, ImageError, decode, digest

Draw = Callable[..., bytes]


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header states `width` and `height`. The file always contains only 1,000 bytes of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "BMP"])
def test_each_format_is_recognised_by_its_bytes(drawn: Draw, kind: str) -> None:
    data = drawn(1, kind=kind)
    picture = decode(data)
    assert (picture.format, picture.width, picture.height) == (kind, 320, 180)
    assert picture.sha256 == digest(data)
    assert picture.pixels.dtype == np.uint8
    assert np.abs(picture.pixels.astype(int) - decode(drawn(1, kind="PNG")).pixels).mean() < 4


@pytest.mark.parametrize("kind", ["TIFF", "ICO"])
def test_other_formats_are_refused(drawn: Draw, kind: str) -> None:
    with pytest.raises(ImageError, match="not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"):
        decode(drawn(1, kind=kind))


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' width='400' height='300'><rect/></svg>",
        b"<!doctype html><title>404</title>",
        b"%PDF-1.7",
        os.urandom(2_000),
        b"\0" * 2_000,
    ],
)
def test_bytes_that_are_not_a_picture_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"):
        decode(data)


def test_the_error_of_an_empty_file_says_that_it_is_empty() -> None:
    with pytest.raises(ImageError, match="empty"):
        decode(b"")


def test_a_file_that_is_too_long_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ImageError, match=r"has 50\.1 MiB; at most 50 MiB"):
        decode(b"\xff\xd8" + b"\0" * MAX_BYTES)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_file_is_damaged_wherever_it_is_cut(drawn: Draw, kind: str) -> None:
    data = drawn(2, kind=kind)
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError):
            decode(data[: int(len(data) * share)])


def test_no_flipped_byte_raises_anything_but_an_image_error(drawn: Draw) -> None:
    random = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP"):
        data = drawn(3, size=(64, 48), kind=kind)
        for place in random.integers(0, len(data), 80):
            bad = bytearray(data)
            bad[place] ^= 0xFF
            try:
                decode(bytes(bad))
            except ImageError:
                continue


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_header_without_using_memory(width: int, height: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match="at most 40 million are decoded"):
        decode(png_header(width, height))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_a_narrow_strip_is_refused() -> None:
    with pytest.raises(ImageError, match="at most 10 times the other"):
        decode(png_header(32, 1_000_000))
    with pytest.raises(ImageError, match="at most 10 times the other"):
        decode(encoded(Image.new("RGB", (400, 39))))
    assert decode(encoded(Image.new("RGB", (400, 40)))).width == 400


def test_a_picture_below_the_smallest_size_is_refused() -> None:
    with pytest.raises(ImageError, match="at least 32"):
        decode(encoded(Image.new("RGB", (31, 200))))
    assert decode(encoded(Image.new("RGB", (32, 32)))).height == 32


def test_a_picture_is_turned_upright_by_its_exif_orientation() -> None:
    image = Image.new("RGB", (60, 40), "black")
    image.paste("white", (0, 0, 60, 10))  # The upper edge is white.
    exif = Image.Exif()
    exif[0x0112] = 6  # This orientation means that a viewer must turn the picture clockwise by 90 degrees.
    upright = decode(encoded(image, "JPEG", exif=exif, quality=95)).pixels
    assert upright.shape == (60, 40, 3)
    assert upright[:, -8:].mean() > 240
    assert upright[:, :8].mean() < 15


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparent_pixels_are_white(kind: str) -> None:
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 20, 40))
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode(encoded(image, kind, **options)).pixels
    assert pixels[20, 30].tolist() == [255, 255, 255]
    assert pixels[20, 10].tolist() == [0, 0, 255]


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (0, 0, 20, 40))
    pixels = decode(encoded(image, "PNG", transparency=0)).pixels
    assert pixels[20, 30].tolist() == [255, 255, 255]
    assert pixels[20, 10].tolist() == [0, 255, 0]


def test_a_picture_of_16_bits_keeps_its_tones() -> None:
    ramp = np.linspace(0, 65_535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(ramp))).pixels
    assert len(np.unique(pixels)) == 256
    assert abs(float(pixels.mean()) - 127.5) < 1


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode(data).pixels[0, 0].tolist() == [255, 0, 0]


def test_a_picture_stored_twice_is_kept_once_and_can_be_read(tmp_path: Path, drawn: Draw) -> None:
    store = ImageFolder(tmp_path)
    data = drawn(1)
    name = store.put(data)
    written = store.path(name).stat()
    assert store.put(data) == name == digest(data)
    assert store.path(name).stat().st_ino == written.st_ino
    assert store.get(name) == data
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [store.path(name)]


def test_storing_a_picture_again_restarts_its_age_for_retention(tmp_path: Path, drawn: Draw) -> None:
    store = ImageFolder(tmp_path)
    path = store.path(store.put(drawn(1)))
    os.utime(path, (0, 0))
    (path.parent / ".new-dead").touch()
    os.utime(path.parent / ".new-dead", (0, 0))
    store.put(drawn(2))
    store.put(drawn(1))
    assert store.remove_unnamed((), 3_600) == 0
    os.utime(path, (0, 0))
    assert store.remove_unnamed({digest(drawn(1))}, 3_600) == 0
    assert store.remove_unnamed((), 3_600) == 1
    assert [stored.sha256 for stored in store.stored()] == [digest(drawn(2))]
    assert (path.parent / ".new-dead").exists()


def test_a_removed_picture_is_gone_and_removing_it_again_is_not_an_error(tmp_path: Path, drawn: Draw) -> None:
    store = ImageFolder(tmp_path)
    kept, name = store.put(drawn(1)), store.put(drawn(2))
    assert store.remove(name)
    assert not store.remove(name)
    assert not store.path(name).exists()
    assert store.get(kept) == drawn(1)
    assert store.put(drawn(2)) == name


def test_a_sweep_deletes_files_of_killed_writers_but_not_of_running_ones(tmp_path: Path, drawn: Draw) -> None:
    store = ImageFolder(tmp_path)
    path = store.path(store.put(drawn(1)))
    dead, living = path.parent / ".new-dead", path.parent / ".new-living"
    for file in (dead, living):
        file.write_bytes(b"half a pict")
    for file in (dead, path):
        os.utime(file, (time.time() - 3_700,) * 2)
    assert store.sweep() == 1
    assert [dead.exists(), living.exists(), path.exists()] == [False, True, True]
    assert store.sweep() == 0
    assert ImageFolder(tmp_path / "none").sweep() == 0


def letterboxed(image: Image.Image, size: tuple[int, int] = (640, 480), quality: int = 75) -> bytes:
    """Return a JPEG of `size` that shows the 16:9 picture between a black bar above and a black bar below.

    YouTube's thumbnails in 4:3 sizes have such bars.
    """
    height = round(size[0] * 9 / 16)
    frame = Image.new("RGB", size)
    frame.paste(image.convert("RGB").resize((size[0], height)), (0, (size[1] - height) // 2))
    return encoded(frame, "JPEG", quality=quality)


@pytest.mark.slow
def test_the_bars_of_real_letterboxed_pictures_are_cropped_and_no_other_picture_is(shared_data: Path) -> None:
    bare = {"2Vv-BfVoq4g", "astISOttCQ0"}  # A person has checked that these two pictures fill their 4:3 frame.
    cropped = 0
    for path in sorted((shared_data / "thumbnails" / "images").iterdir()):
        with Image.open(path) as image:
            width, height = image.size
        picture = decode(path.read_bytes())
        if width * 9 == height * 16 or path.stem in bare:
            assert (picture.width, picture.height) == (width, height), path.stem
        else:
            assert (picture.width, picture.height) == (width, round(width * 9 / 16)), path.stem
            assert picture.sha256 == digest(path.read_bytes())
            cropped += 1
    assert cropped == 25


@pytest.mark.parametrize(("size", "quality"), [((640, 480), 20), ((640, 480), 90), ((480, 360), 50), ((120, 90), 90)])
def test_the_letterbox_of_youtube_is_removed_at_any_size_and_quality(
    drawn: Draw, size: tuple[int, int], quality: int
) -> None:
    for seed in range(8):
        original = Image.open(io.BytesIO(drawn(seed, size=(640, 360), kind="PNG")))
        pixels = decode(letterboxed(original, size, quality)).pixels
        height = round(size[0] * 9 / 16)
        assert pixels.shape == (height, size[0], 3)
        expected = np.asarray(original.resize((size[0], height)), dtype=int)
        assert np.abs(pixels[2:-2] - expected[2:-2]).mean() < 8


def test_dark_pictures_without_clean_bars_are_not_cropped() -> None:
    random = np.random.default_rng(0)
    scene = random.integers(0, 256, (480, 640, 3)).astype(np.uint8)

    def shape(top: object, bottom: object, height: int = 480) -> tuple[int, ...]:
        pixels = scene[:height].copy()
        pixels[:60], pixels[height - 60 :] = top, bottom
        return decode(encoded(Image.fromarray(pixels), "JPEG", quality=90)).pixels.shape[:2]

    night = random.integers(0, 12, (60, 640, 3))
    lettering = np.zeros((60, 640, 3))
    lettering[20:30, 300:320] = 255
    assert shape(0, 0) == (360, 640)
    for top, bottom in ((night, night), (0, night), (0, lettering), (0, 30), (lettering, 0), (20, 20)):
        assert shape(top, bottom) == (480, 640)
    assert shape(0, 0, height=470) == (470, 640)  # The ratio 1.36 is not 4:3.
    assert shape(0, 0, height=360) == (360, 640)  # This picture is 16:9. Its bars are a part of the picture and stay.


def test_bars_at_the_sides_are_kept() -> None:
    pixels = np.full((480, 640, 3), 200, np.uint8)
    pixels[:, :80] = pixels[:, -80:] = 0
    assert decode(encoded(Image.fromarray(pixels))).pixels.shape == (480, 640, 3)


def test_a_file_that_was_damaged_in_the_store_is_not_returned(tmp_path: Path, drawn: Draw) -> None:
    store = ImageFolder(tmp_path)
    name = store.put(drawn(1))
    bad = bytearray(drawn(1))
    bad[len(bad) // 2] ^= 1
    store.path(name).write_bytes(bad)
    with pytest.raises(ImageError, match="damaged"):
        store.get(name)
    with pytest.raises(ImageError, match="has no"):
        store.get(digest(b"never stored"))


def test_a_failed_write_leaves_no_file(tmp_path: Path, drawn: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    store = ImageFolder(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.put(drawn(1))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_kill_while_writing_leaves_no_partial_picture_and_the_next_write_succeeds(
    tmp_path: Path, drawn: Draw, step: str
) -> None:
    data = drawn(4)
    (tmp_path / "picture").write_bytes(data)
    script = f"""
import os, pathlib, signal
from thumblab_core.image_store import ImageFolder
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if {step!r} == "fsync":
    os.fsync = die
else:
    pathlib.Path.replace = die
ImageFolder(pathlib.Path({str(tmp_path / "store")!r})).put(pathlib.Path({str(tmp_path / "picture")!r}).read_bytes())
"""
    done = subprocess.run([sys.executable, "-c", script])
    assert done.returncode == -signal.SIGKILL
    store = ImageFolder(tmp_path / "store")
    assert not store.path(digest(data)).exists()
    assert store.get(store.put(data)) == data
