"""Measure how long the lab needs to find and embed the faces of pictures, compared with the bare networks.

    python -m benchmarks.people.detection DIR --detector YUNET.onnx --embedder EMBEDDER.onnx [--pictures 2252]

DIR contains pictures. First, the pictures are stored in a lab in a temporary folder, with an embedded database. This
step is not measured. Then the lab and the bare networks search the pictures for faces. They take turns after each block
of pictures, so that other programs on the machine slow down both equally. Three durations are measured, in seconds on
the clock:
- the time in which `detect_faces` reads and decodes the pictures, finds and embeds their faces, and records the
  results;
- the time inside the calls of the two networks, when the pictures are searched in one thread without the lab;
- the time of a last call of `detect_faces`, which finds nothing to do.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thumblab_core.encoders.tower import CompiledTower
from thumblab_core.faces.alignment import UnalignableError, aligned
from thumblab_core.faces.detector import FaceDetector
from thumblab_core.images import decode
from thumblab_core.people.pictures import scope_of, wanted_pictures
from thumblab_core.recognition.networks import FaceNetworks, load_networks
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.detect import Detected, detect_faces
from thumblab_pipelines.people.folder import add_folder

_BLOCK = 256
"""The number of pictures in a block. Both the lab and the bare networks search a block before the next block begins."""


class _Timed:
    """An object that behaves like `inner`, but measures the time of each call of `method`."""

    def __init__(self, inner: Any, method: str, seconds: list[float]) -> None:
        self._inner, self._method, self._seconds = inner, method, seconds

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return _timed(value, self._seconds) if name == self._method else value


def _timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            seconds.append(time.perf_counter() - start)

    return call


@contextmanager
def timed_networks(detector: list[float], embedder: list[float]) -> Iterator[None]:
    """Measure the calls of the two networks inside the `with` block.

    The seconds of each call of YuNet are added to `detector`. The seconds of each call of the face embedder are added
    to `embedder`.
    """
    load, towered = FaceDetector._load, CompiledTower.__call__

    with (
        patch.object(FaceDetector, "_load", lambda self: _Timed(load(self), "detect", detector)),
        patch.object(CompiledTower, "__call__", lambda self, pixels: _timed(towered, embedder)(self, pixels)),
    ):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--detector", type=Path, required=True, help="the file of YuNet")
    parser.add_argument("--embedder", type=Path, required=True, help="the file of a face embedder")
    parser.add_argument("--pictures", type=int, help="search only so many pictures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            _env_file=None,
            data_dir=Path(folder) / "lab",
            image_encoder="builtin",
            people="all",
            face_model=given.detector,
            face_embedder=given.embedder,
        )
        lab = Lab.open(settings)
        add_folder(lab, given.folder)
        detector: list[float] = []
        embedder: list[float] = []
        with timed_networks(detector, embedder):
            lab_s, networks_s, first = _both(lab, detector, embedder, given.pictures)
            second, again = _run(lab, None if given.pictures is None else 0)
        lab.engine.dispose()
    Console(width=120).print(_table(first, lab_s, networks_s, second, again))


def _both(
    lab: Lab, detector: list[float], embedder: list[float], limit: int | None
) -> tuple[float, tuple[float, float], Detected]:
    """Search all pictures, block by block, by the lab and by the bare networks.

    Return the seconds that the lab took, the seconds inside the detector and inside the embedder, the number of
    pictures that the lab searched, and the number of faces that it found. Before the measurement, the bare networks
    search the first block once, because the networks are slower until they have run once.
    """
    networks = load_networks(lab.settings)
    with lab.engine.connect() as connection:
        scope = scope_of(lab.settings.people, lab.releases)
        names = networks.detector.fingerprint, networks.embedder.fingerprint
        pictures = wanted_pictures(connection, *names, scope, limit)
    _bare(lab, networks, pictures[:_BLOCK])
    total, lab_s, networks_s = Detected(), 0.0, [0.0, 0.0]
    for start in range(0, len(pictures), _BLOCK):
        block = pictures[start : start + _BLOCK]
        for by_lab in (True, False) if start // _BLOCK % 2 else (False, True):
            if by_lab:
                found, seconds = _run(lab, len(block))
                lab_s += seconds
                total.searched += found.searched
                total.faces += found.faces
            else:
                detector.clear()
                embedder.clear()
                _bare(lab, networks, block)
                networks_s[0] += sum(detector)
                networks_s[1] += sum(embedder)
    return lab_s, (networks_s[0], networks_s[1]), total


def _bare(lab: Lab, networks: FaceNetworks, pictures: Sequence[str]) -> None:
    """Search the pictures for faces in one thread, embed the faces together, and keep nothing.

    Each network may use all cores.
    """
    crops = []
    for sha256 in pictures:
        image = decode(lab.images.get(sha256)).pixels
        for face in networks.detector.find(image):
            with suppress(UnalignableError):
                crops.append(aligned(image, face.landmarks))
    if crops:
        networks.embedder.embed(np.stack(crops))


def _run(lab: Lab, limit: int | None) -> tuple[Detected, float]:
    start = time.perf_counter()
    return detect_faces(lab, limit=limit), time.perf_counter() - start


def _table(first: Detected, seconds: float, networks: tuple[float, float], second: Detected, again: float) -> Table:
    table = Table(title="find and embed faces", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("what")
    table.add_column("figure", justify="right")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    for what, figure in (
        ("pictures", f"{first.searched:,}"),
        ("faces", f"{first.faces:,}"),
        ("seconds", f"{seconds:.1f}"),
        ("pictures per second", f"{first.searched / seconds:.1f}"),
        ("seconds in the face detector alone", f"{networks[0]:.1f}"),
        ("seconds in the face embedder alone", f"{networks[1]:.1f}"),
        ("seconds of the bare networks, divided by the seconds", f"{sum(networks) / seconds:.2f}"),
        ("peak memory", f"{memory:,.0f} MB"),
        ("a second run", f"{second.searched} pictures, {again:.1f} s"),
    ):
        table.add_row(what, figure)
    return table


if __name__ == "__main__":
    main()
