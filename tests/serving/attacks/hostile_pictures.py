"""Build small picture files that need as much memory or time as their format allows."""

import io
import struct
import zlib

from PIL import Image

SIDE = 6_320
"""The width and height of a square picture of just less than 40 million pixels, which is the limit."""


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colours: int, channels: int, *notes: bytes) -> bytes:
    """Return a PNG whose pixels are all 0. The file is a thousand times smaller than its pixels. `notes` come before
    the pixels.
    """
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    pack = zlib.compressobj(9)
    row = bytes(1 + width * channels * depth // 8)
    pixels = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(notes) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def png_that_states(side: int) -> bytes:
    """Return a PNG of a hundred bytes. Its header states a square picture whose sides have `side` pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


def gif_that_states(width: int, height: int) -> bytes:
    """Return a small GIF whose canvas and frame state `width` x `height` pixels."""
    data = bytearray(encoded(Image.new("P", (64, 64)), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    frame = data.index(b",")
    data[frame + 5 : frame + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def gif_of_blocks(count: int) -> bytes:
    """Return a GIF whose comment has `count` blocks of one byte."""
    data = encoded(Image.new("P", (64, 64)), "GIF")
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:at] + b"!\xfe" + b"\1x" * count + b"\0" + data[at:]


def avif_with_a_larger_picture_inside(stated: int, inside: int) -> bytes:
    """Return an AVIF whose header states too few pixels: a square with sides of `stated` pixels."""
    data = bytearray(encoded(Image.new("RGB", (inside, inside), "red"), "AVIF", speed=10))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", stated, stated)
    return bytes(data)


def jpeg_of_scans(count: int, side: int) -> bytes:
    """Return a progressive JPEG with `count` scans. According to its header, the picture is a square of `side` by
    `side` pixels.
    """
    data = encoded(Image.linear_gradient("L").resize((64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    data = data[:last] + data[last:-2] * (count - data[:last].count(b"\xff\xda")) + b"\xff\xd9"
    size = data.index(b"\xff\xc2") + 5
    return data[:size] + struct.pack(">HH", side, side) + data[size + 4 :]


def largest() -> dict[str, bytes]:
    """Return pictures that are as large as the limits allow. The service scores these pictures."""
    square = (SIDE, SIDE)
    return {
        "png-rgba": png(SIDE, SIDE, 8, 6, 4),
        "png-rgba-16": png(SIDE, SIDE, 16, 6, 4),
        "jpeg-progressive-cmyk": encoded(Image.new("CMYK", square), "JPEG", progressive=True),
        "webp-alpha": encoded(Image.new("RGBA", square, (9, 8, 7, 6)), "WEBP", lossless=True, method=0, exact=True),
        "gif": encoded(Image.new("P", square), "GIF"),
        "avif": encoded(Image.new("RGB", (4_000, 4_000), "red"), "AVIF", speed=10),
        "bmp": encoded(Image.new("1", square), "BMP"),
    }


# Decompression bombs. The first value is a function that makes the file. The second value is a part of the expected
# error.
REFUSED = {
    "png that states 900 million pixels": (lambda: png_that_states(30_000), "at most 40 million"),
    "png of a million chunks": (
        lambda: png_that_states(64)[:33] + chunk(b"tEXt", b"") * 1_000_000,
        "more than 100,000 chunks",
    ),
    "gif that states 4 billion pixels": (lambda: gif_that_states(65_535, 65_535), "at most 40 million"),
    "gif without the pixels that it states": (lambda: gif_that_states(6_000, 6_000), "damaged"),
    "gif of 20 million blocks": (lambda: gif_of_blocks(20_000_000), "more than 300,000 blocks"),
    "jpeg of 400 scans": (lambda: jpeg_of_scans(400, SIDE), "at most 20 of this size"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG file"),
}
