"""Decode AVIF files, each in a process of its own (`avif_process`).

The header of an AVIF file states the size of the picture, but the encoded pictures inside the file have sizes of their
own, which libavif allocates before it compares them. So no check of the file can limit the memory and the time that the
decoder takes. The decoder therefore runs in a process with limits. These checks are made:
    memory             768 MiB of addresses for the process; one such process at a time
    time               10 seconds of one core, and 60 seconds in all
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

MAX_PIXELS = 16_000_000
"""Maximum number of pixels. The decoder needs about 40 bytes a pixel, more than those of the other formats."""
_MEMORY = 768 * 2**20
_CPU_S, _WALL_S = 10, 60
_SCRIPT = Path(__file__).with_name("avif_process.py")
_one_at_a_time = threading.Lock()
_LONGEST_HEADER = 2 * MAX_PROFILE + 2**20


def parse_avif(data: bytes) -> ParsedFile:
    """Parse and decode an AVIF file. Only the first frame of an image sequence is read.

    Raises `ImageError` if the file exceeds a limit or is damaged.
    """
    command = [sys.executable, "-I", str(_SCRIPT), str(MAX_PIXELS), str(MAX_PROFILE), str(_MEMORY), str(_CPU_S)]
    try:
        with _one_at_a_time:
            done = subprocess.run(command, input=data, capture_output=True, timeout=_WALL_S, check=False, env={})
    except subprocess.TimeoutExpired:
        raise ImageError(f"the AVIF file could not be decoded within {_WALL_S} s; save the picture as PNG") from None
    line_end = done.stdout.find(b"\n") + 1
    facts, pixels = _facts(done.stdout[:line_end]), np.frombuffer(done.stdout, np.uint8, offset=line_end)
    if facts is None:
        raise ImageError("the AVIF file needs too much memory or time to decode; save the picture as PNG")
    if "error" in facts:
        raise limits.damaged(facts["error"])
    size: tuple[int, int] = (facts["width"], facts["height"])
    limits.check_size(*size)
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(
            f"the picture has {size[0]}x{size[1]} pixels; an AVIF file may have at most {MAX_PIXELS / 1e6:.0f} million"
        )
    if len(pixels) != size[0] * size[1] * len(facts["mode"]):
        raise ImageError("the AVIF file needs too much memory or time to decode; save the picture as PNG")
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
