"""Compare decoding JPEG files at a reduced scale with decoding them at full scale.

The output says how much faster the reduced scale is, and how much the image vectors change.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.encoding import synthetic_files
from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.images import decode

_PICTURES = 200


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reduced_decode", description=__doc__)
    parser.add_argument(
        "--encoder", default="builtin", help="use builtin, onnx:PATH or open_clip:MODEL/WEIGHTS (default: %(default)s)"
    )
    parser.add_argument("--pictures", type=Path, help="a folder of JPEG files (default: synthetic files of 1280x720)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.pictures is None:
            files = synthetic_files(Path(name), _PICTURES)
        else:
            files = sorted(options.pictures.rglob("*.jpg"))
            np.random.default_rng(0).shuffle(files)  # type: ignore[arg-type]
        data = [file.read_bytes() for file in files[:_PICTURES]]
    encoder = named_image_encoder(options.encoder, Path(name))
    times, vectors = [], []
    for size in (None, encoder.decode_size):
        start = time.perf_counter()
        pictures = [decode(jpeg, size).pixels for jpeg in data]
        times.append(time.perf_counter() - start)
        vectors.append(encoder.encode_images(pictures))
    cosines = (vectors[0] * vectors[1]).sum(axis=1)
    reduced = sum(decode(jpeg, encoder.decode_size).pixels.size < decode(jpeg).pixels.size for jpeg in data)
    Console().print(
        f"{options.encoder}: {reduced} of {len(data)} JPEG files decoded at a reduced scale, "
        f"{times[0] / times[1]:.2f} times as fast as at full scale; "
        f"cosine of the vectors at both scales: mean {cosines.mean():.5f}, least {cosines.min():.5f}"
    )


if __name__ == "__main__":
    main()
