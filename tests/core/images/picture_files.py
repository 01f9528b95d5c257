"""Build unusual picture files from PNG chunks and JPEG segments. Image libraries cannot write such files."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(row: bytes, width: int, height: int, depth: int, colours: int, *notes: bytes) -> bytes:
    """Return a PNG in which every row of pixels consists of the bytes `row`.

    `notes` are further chunks of the PNG. The notes come before the chunk with the pixels.
    """
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    pack = zlib.compressobj(1)
    pixels = b"".join(pack.compress(b"\0" + row) for _ in range(height)) + pack.flush()
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(notes) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def with_chunks(data: bytes, *notes: bytes) -> bytes:
    """Return the PNG with the chunks `notes` directly after its header."""
    return data[:33] + b"".join(notes) + data[33:]


def segment(kind: int, body: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """Return the JPEG with `segments` directly after its start marker."""
    return data[:2] + b"".join(segments) + data[2:]


# The colorants of a colour space are the XYZ values of its red, green and blue, adapted to the white point D50. The
# colorants of sRGB and of the spaces in `SPACES` are from the published ICC profile of each space.
# `SPACES` maps each colour space to its colorants and to the gamma that is closest to the curve in its profile.
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
SPACES = {
    "Display P3": (((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)), 2.2),
    "Adobe RGB": (((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 2.19921875),
    "ProPhoto": (((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)), 1.8),
}


def rgb_profile(name: str) -> bytes:
    """Return an ICC profile of version 2 with a matrix and a gamma, like the profiles of displays and cameras."""
    colorants, gamma = SPACES[name]
    tags = {key: _xyz(xyz) for key, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)}
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(gamma)))


def grey_profile(gamma: float) -> bytes:
    return profile(b"GRAY", {b"kTRC": _gamma(gamma)})


def cmyk_profile(lab: tuple[int, int, int]) -> bytes:
    """Return the ICC profile of a printing press that prints the colour `lab` for any input.

    `lab` is a colour in L*a*b*, with 8 bits for each value.
    """
    curve = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    return profile(b"CMYK", {b"A2B0": table + curve * 4 + bytes(lab) * 16 + curve * 3}, b"prtr", b"Lab ")


def profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    tags = {b"wtpt": _xyz((0.9642, 1.0, 0.8249)), **tags}
    at = 132 + 12 * len(tags)
    table = b""
    for name, body in tags.items():
        table += name + struct.pack(">II", at, len(body))
        at += len(body)
    head = struct.pack(">I4xI", at, 0x02400000) + kind + space + connection + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + b"".join(tags.values())


def as_if_in(srgb: np.ndarray, name: str) -> np.ndarray:  # type: ignore[type-arg]
    """Convert sRGB pixels to the colour space `name`. The input and the result are uint8 [h, w, 3]."""
    values = srgb / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    colorants, gamma = SPACES[name]
    other = light @ np.array(SRGB) @ np.linalg.inv(np.array(colorants))
    return np.rint(np.clip(other, 0, 1) ** (1 / gamma) * 255).astype(np.uint8)


def _xyz(xyz: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65_536) for value in xyz))


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
