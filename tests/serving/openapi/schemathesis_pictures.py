"""Draw pictures for the requests of Schemathesis, which runs in a process without the fixtures of the tests."""

import io

import numpy as np
from PIL import Image


def drawn_pictures(count: int) -> list[bytes]:
    """Return different JPEG files."""
    files = []
    for seed in range(count):
        out = io.BytesIO()
        noise = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((320, 180)).save(out, "JPEG")
        files.append(out.getvalue())
    return files
