"""Test that decoding never takes more memory or time than docs/pictures.md states, whatever the file contains."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_files import RGB, RGBA, chunk, encoded, png
from PIL import Image

from thumblab_core.images import ImageError, decode

SIDE = 6_320
"""The width and height of a large square picture. Such a picture has just less than the 40 million pixels that are
allowed.
"""

MEASURE = """
import json, resource, sys
import cv2
from PIL import Image, ImageCms
from thumblab_core.images import decode
decode(open(sys.argv[1], "rb").read())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
picture = decode(open(sys.argv[2], "rb").read())
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([grown // 1024, picture.width, picture.height, *picture.pixels.shape]))
"""


def large(kind: str) -> bytes:
    if kind == "png-rgba":
        return png(bytes(4 * SIDE), SIDE, SIDE, 8, RGBA)
    if kind == "png-rgb16-trns":
        return png(bytes(6 * SIDE), SIDE, SIDE, 16, RGB, chunk(b"tRNS", bytes(6)))
    if kind == "webp-alpha":
        return encoded(Image.new("RGBA", (SIDE, SIDE), (9, 8, 7, 6)), "WEBP", lossless=True, method=0, exact=True)
    return encoded(Image.new("CMYK", (SIDE, SIDE)), "JPEG", progressive=True)


def measured(folder: Path, data: bytes) -> tuple[int, list[int]]:
    """Decode `data` in a new process.

    Return by how many MiB the process grows, and a list of numbers. The list has the width and height of the picture,
    and then the shape of the picture's array of pixels.
    """
    (folder / "warm.png").write_bytes(encoded(Image.new("RGB", (64, 64))))
    (folder / "large").write_bytes(data)
    script = [sys.executable, "-c", MEASURE, str(folder / "warm.png"), str(folder / "large")]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown, *sizes = json.loads(done.stdout)
    return grown, sizes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png-rgba", "png-rgb16-trns", "webp-alpha", "jpeg-progressive-cmyk"])
def test_forty_megapixels_of_any_format_stay_within_400_mib(tmp_path: Path, kind: str) -> None:
    grown, sizes = measured(tmp_path, large(kind))
    assert sizes == [SIDE, SIDE, SIDE // 4, SIDE // 4, 3]
    assert grown < 400


def scans(count: int, width: int = 64, height: int = 64, between: bytes = b"") -> bytes:
    """Return a progressive JPEG with `count` scans.

    Each scan of such a JPEG adds detail to the picture. The last scan is repeated, and the bytes `between` separate the
    copies. The header states `width` and `height`.
    """
    data = encoded(Image.linear_gradient("L").resize((64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    data = data[:last] + between.join([data[last:-2]] * (count - data[:last].count(b"\xff\xda"))) + b"\xff\xd9"
    size = data.index(b"\xff\xc2") + 5
    return data[:size] + struct.pack(">HH", height, width) + data[size + 4 :]


@pytest.mark.parametrize(
    "between", [b"", b"\xff" * 99, b"\0" * 99, b"\xff\xd0\xff\xd7", b"\xff\xfe\0\4ab", b"\xff\xe1\0\6\xff\xd9\xff\xd8"]
)
def test_a_jpeg_with_hundreds_of_scans_is_refused_however_they_are_hidden(between: bytes) -> None:
    for count in (33, 400):
        with pytest.raises(ImageError, match=f"^the JPEG has {count} scans of 64x64 pixels; at most 32 of this size"):
            decode(scans(count, between=between))
    assert decode(scans(32, between=between)).width == 64


def test_scans_and_pixels_are_limited_together() -> None:
    with pytest.raises(ImageError, match=r"^the JPEG has 21 scans of 6320x6320 pixels; at most 20 of this size"):
        decode(scans(21, SIDE, SIDE))
    with pytest.raises(ImageError, match="at most 40 million are decoded"):
        decode(scans(2, 7_000, 7_000))


def test_the_recorded_picture_with_400_scans_is_refused(shared_data: Path) -> None:
    path = shared_data.parent / "cases" / "23-progressive" / "progressive_400scans.jpg"
    if not path.is_file():
        pytest.skip(f"the recorded picture file is missing ({path})")
    with pytest.raises(ImageError, match="406 scans of 6320x6320"):
        decode(path.read_bytes())


def test_the_scans_that_progressive_encoders_write_are_accepted() -> None:
    for mode in ("L", "RGB", "CMYK"):
        for options in ({}, {"quality": 100}, {"restart_marker_blocks": 1}):
            data = encoded(Image.new(mode, (320, 180)), "JPEG", progressive=True, **options)
            assert decode(data).width == 320


def test_a_file_of_a_million_parts_is_refused_early() -> None:
    plain = encoded(Image.new("RGB", (64, 64)))
    with pytest.raises(ImageError, match="more than 100,000 chunks or segments"):
        decode(plain[:33] + chunk(b"tEXt", b"") * 1_000_000 + plain[33:])
    plain = encoded(Image.new("RGB", (64, 64)), "JPEG")
    with pytest.raises(ImageError, match="more than 100,000 chunks or segments"):
        decode(plain[:2] + b"\xff\xe5\0\2" * 1_000_000 + plain[2:])
    plain = encoded(Image.new("RGB", (64, 64)), "WEBP")
    with pytest.raises(ImageError, match="more than 100,000 chunks or segments"):
        decode(plain[:12] + b"none\0\0\0\0" * 1_000_000 + plain[12:])


def test_compressed_data_after_the_last_pixel_is_never_inflated() -> None:
    endless = zlib.compress(bytes(2**26), 9)
    head = png(bytes(192), 64, 64, 8, RGB)
    bomb = head[:33] + chunk(b"IDAT", endless) + chunk(b"IEND", b"")
    assert (decode(bomb).pixels == 0).all()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {"compress_level": 1}), ("WEBP", {"method": 0, "quality": 90}), ("JPEG", {"quality": 95})],
)
def test_a_reduced_large_picture_looks_like_the_full_one_and_keeps_its_stated_size(
    kind: str, options: dict[str, int]
) -> None:
    small = np.random.default_rng(1).integers(0, 256, (27, 48, 3), dtype=np.uint8)
    full = Image.fromarray(small).resize((3_841, 2_161), Image.Resampling.BICUBIC)
    picture = decode(encoded(full, kind, **options))
    assert (picture.width, picture.height) == (3_841, 2_161)
    assert picture.pixels.shape == (1_081, 1_921, 3)
    assert np.abs(picture.pixels.astype(int) - np.asarray(full.reduce(2))).mean() < 3
    assert decode(encoded(full.crop((0, 0, 3_838, 2_158)), kind, **options)).pixels.shape == (2_158, 3_838, 3)


def test_a_large_picture_with_transparency_has_no_dark_edges() -> None:
    image = Image.new("RGBA", (4_000, 2_400), (0, 0, 0, 0))
    image.paste((250, 250, 250, 255), (1_001, 0, 4_000, 2_400))
    assert decode(encoded(image)).pixels.min() >= 249


def test_a_large_letterboxed_picture_is_cropped_and_states_the_cropped_size() -> None:
    full = Image.new("RGB", (4_000, 3_000))
    full.paste((200, 60, 60), (0, 375, 4_000, 2_625))
    picture = decode(encoded(full, "JPEG", quality=90))
    assert (picture.width, picture.height) == (4_000, 2_250)
    assert picture.pixels.shape == (1_125, 2_000, 3)


def test_a_picture_has_at_least_the_requested_size_in_every_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = encoded(Image.new("RGB", (1_920, 1_080)), "JPEG", exif=exif)
    height, width = decode(sideways, (540, 400)).pixels.shape[:2]
    assert (width, height) == (540, 960)
    for kind in ("PNG", "JPEG"):
        height, width = decode(encoded(Image.new("RGB", (6_000, 1_000)), kind), (5_000, 900)).pixels.shape[:2]
        assert (width, height) == (6_000, 1_000)
    assert Image.open(io.BytesIO(sideways)).size == (1_920, 1_080)
