"""Decode AVIF and HEIC files, each in its own process (`heif_process`).

Both are HEIF files: the same container, with pictures compressed as AV1 in an AVIF and as HEVC in a HEIC. The header of
such a file states the size of the picture. But the encoded pictures inside the file have their own sizes. The decoder
allocates memory for these sizes, and only then compares the sizes with the header. So no check of the file can limit
the memory and the time that the decoder takes. The decoder therefore runs in a process with limits. These limits apply:

    memory             768 MiB of address space for the process; one such process at a time
    time               10 seconds of CPU time, and 60 seconds in all
    ICC profile        at most 4 MiB (`MAX_PROFILE`); a longer profile is ignored
"""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thumblab_core.images import limits
from thumblab_core.images.limits import ImageError
from thumblab_core.images.parsed_file import ParsedFile, Raster
from thumblab_core.images.profiles import MAX_PROFILE

MAX_PIXELS = {"AVIF": 16_000_000, "HEIC": 25_000_000}
"""Maximum number of pixels. Both decoders need more memory per pixel than the decoders of the other formats.

The decoder of AVIF needs about 40 bytes per pixel. Phones take pictures of 24 million pixels in HEIC.
"""
_MEMORY = 768 * 2**20
_CPU_S, _WALL_S = 10, 60
_SCRIPT = Path(__file__).with_name("heif_process.py")
_one_at_a_time = threading.Lock()
_LONGEST_HEADER = 2 * MAX_PROFILE + 2**20


def parse_avif(data: bytes) -> ParsedFile:
    """Parse and decode an AVIF file. Only the first frame of an image sequence is read.

    Raises `ImageError` if the file exceeds a limit or is damaged.
    """
    return _parse(data, "AVIF")


def parse_heic(data: bytes) -> ParsedFile:
    """Parse and decode a HEIC file. If the file has several pictures, only its main picture is read.

    Raises `ImageError` if the file exceeds a limit or is damaged.
    """
    return _parse(data, "HEIC")


def _parse(data: bytes, kind: str) -> ParsedFile:
    most = MAX_PIXELS[kind]
    too_costly = ImageError(f"the {kind} file needs too much memory or time to decode; save the picture as PNG")
    numbers = (most, MAX_PROFILE, _MEMORY, _CPU_S)
    command = [sys.executable, "-I", str(_SCRIPT), kind, *map(str, numbers)]
    try:
        with _one_at_a_time:
            done = subprocess.run(command, input=data, capture_output=True, timeout=_WALL_S, check=False, env={})
    except subprocess.TimeoutExpired:
        raise ImageError(f"the {kind} file could not be decoded within {_WALL_S} s; save the picture as PNG") from None
    line_end = done.stdout.find(b"\n") + 1
    facts, pixels = _facts(done.stdout[:line_end]), np.frombuffer(done.stdout, np.uint8, offset=line_end)
    if facts is None:
        raise too_costly
    if "error" in facts:
        raise limits.damaged(facts["error"])
    size: tuple[int, int] = (facts["width"], facts["height"])
    limits.check_size(*size)
    if size[0] * size[1] > most:
        article = "an" if kind == "AVIF" else "a"
        raise ImageError(
            f"the picture has {size[0]}x{size[1]} pixels; {article} {kind} file may have at most {most / 1e6:.0f} million"
        )
    if len(pixels) != size[0] * size[1] * len(facts["mode"]):
        raise too_costly
    image = Image.frombuffer(facts["mode"], size, pixels, "raw", facts["mode"], 0, 1)
    raster = Raster(size, lambda top, bottom: image.crop((0, top, image.width, bottom)))
    profile, exif = bytes.fromhex(facts["profile"]), bytes.fromhex(facts["exif"])
    return ParsedFile(size, profile or None, exif, lambda _: raster, animated=facts["frames"] > 1)


def _facts(head: bytes) -> dict[str, Any] | None:
    """Return what the process wrote about the picture, or None if the process was stopped before it wrote anything."""
    try:
        facts: dict[str, Any] | None = json.loads(head) if len(head) <= _LONGEST_HEADER else None
    except ValueError:
        return None
    return facts
