"""Detect faces with the network YuNet, which OpenCV runs (Wu, Peng & Yu, Machine Intelligence Research 2023).

YuNet gives a box, a confidence and five landmarks for each face. `look` runs YuNet once, at a given size of the
picture. `find` looks for all faces in a picture at the picture's own size. If `find` finds no face, it searches the
picture a second time, with a border around the picture.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.weights import weights_digest
from thumblab_core.errors import LabError
from thumblab_core.images import Pixels

MISSING = "no face model: run `thumblab models pull`"

Point = tuple[float, float]

_SMALLEST_SIDE, _LARGEST_SIDE = 320, 640
"""Limits of the longer side of a picture in pixels. `find` scales a picture whose longer side is outside these limits.
YouTube's own thumbnails of 640 pixels are not scaled.
"""
_CONFIDENCE = 0.7
_OVERLAP = 0.3
"""Overlap (intersection over union) above which non-maximum suppression drops the less confident face."""
_MOST = 5000
"""Maximum number of boxes that go into non-maximum suppression. The suppression keeps about one in ten boxes."""
_BORDER = 0.5
"""`find` puts a border around a picture for its second search. This number is the width of the border on each side, as
a share of the picture's width and height.

YuNet needs surroundings to recognise a face. A face that fills its picture has no surroundings, so the border adds
some.
"""
_FILLS = 0.5
"""A face fills its picture if its box has at least this share of the picture's height or width.

Without this limit, the search of a picture with a border (`_look_with_border`) detects the wheels of a car as faces.
"""
_LOOKS = "1"
"""Version of the way in which `find` searches a picture. If the version changes, every picture is searched again."""
_LOADING = threading.Lock()  # All threads share OpenCV's log level, so only one thread at a time may change the level.


@dataclass(frozen=True)
class Detection:
    """A face that was detected.

    All coordinates are fractions of the picture's width and height. Coordinates are below 0 or above 1 for a face that
    reaches beyond the picture.

    Attributes:
        left, top, right, bottom: the box of the face.
        landmarks: five points (x, y): the eye at the left of an upright face in the picture, the eye at the right, the
            tip of the nose, the left and the right corner of the mouth.
        confidence: the confidence of the detector, 0 to 1.
    """

    left: float
    top: float
    right: float
    bottom: float
    landmarks: tuple[Point, Point, Point, Point, Point]
    confidence: float

    def moved(self, scale: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]) -> "Detection":
        """Return the face with each point (x, y) moved to (x, y) * scale - shift."""
        points = np.array([(self.left, self.top), (self.right, self.bottom), *self.landmarks]) * scale - shift
        (left, top), (right, bottom), *landmarks = [(float(x), float(y)) for x, y in points]
        return Detection(left, top, right, bottom, _points(landmarks), self.confidence)


class FaceDetector:
    """A face detector. Several threads may use it at the same time: each call uses its own network.

    Raises `LabError` if the model file is not a YuNet model.
    """

    def __init__(self, model: Path) -> None:
        self._model = model
        try:
            self._weights = np.frombuffer(model.read_bytes(), np.uint8)
        except OSError as error:
            raise LabError(
                f"the face model {model} cannot be read ({error.strerror}); run `thumblab models pull` again"
            ) from error
        self._unused: LifoQueue[Any] = LifoQueue()
        self._unused.put(self._load())

    def _load(self) -> Any:
        """Return a new network of OpenCV."""
        import cv2
        from cv2.utils import logging

        size = (_SMALLEST_SIDE, _SMALLEST_SIDE)  # Each call of `look` sets another size.
        no_configuration = np.zeros(0, np.uint8)
        with _LOADING:
            level = logging.getLogLevel()
            # Without this line, OpenCV would warn about the backend that it chose itself to run the model.
            logging.setLogLevel(logging.LOG_LEVEL_SILENT)
            try:
                network = cv2.FaceDetectorYN.create(
                    "onnx", self._weights, no_configuration, size, _CONFIDENCE, _OVERLAP
                )
                # OpenCV loads any network. Only this call fails if the network is not YuNet.
                network.detect(np.zeros((*size, 3), np.uint8))
            except cv2.error as error:
                raise LabError(
                    f"the face model {self._model} could not be loaded ({str(error).splitlines()[0][:120]}); "
                    "run `thumblab models pull` again"
                ) from error
            finally:
                logging.setLogLevel(level)
        return network

    @contextmanager
    def _borrowed(self) -> Iterator[Any]:
        """Lend a network that no other thread uses. Load one more network if all are in use."""
        try:
            network = self._unused.get_nowait()
        except Empty:
            network = self._load()
        try:
            yield network
        finally:
            self._unused.put(network)

    @cached_property
    def fingerprint(self) -> str:
        """A name for the weights of YuNet and for the way in which `find` searches. Detectors with different
        fingerprints may find different faces.
        """
        return f"yunet-{weights_digest(self._model)}-{_LOOKS}"

    def find(self, image: Pixels) -> list[Detection]:
        """Return all faces of a picture, uint8 [h, w, 3] RGB, largest first.

        If there is no face at the picture's own size, the picture is searched again with a border around it.
        """
        side = min(max(*image.shape[:2], _SMALLEST_SIDE), _LARGEST_SIDE)
        return self.look(image, side) or self._look_with_border(image)

    def look(self, image: Pixels, side: int, most: int = _MOST) -> list[Detection]:
        """Return the faces of a picture, uint8 [h, w, 3] RGB, largest first. The longer side of the picture is first
        scaled to `side`.

        `most`: the maximum number of boxes that go into non-maximum suppression.
        """
        return self._detect(_scaled(image, side), most)

    def _look_with_border(self, image: Pixels) -> list[Detection]:
        """Put a border around a picture, search it again, and return the faces that fill the picture.

        Smaller detections are left out. The first search, without a border, would have found a real face of this size.
        So a smaller detection is an object that only resembles a face.
        """
        inner = _scaled(image, round(_SMALLEST_SIDE / (1 + 2 * _BORDER)))
        dy, dx = (round(length * _BORDER) for length in inner.shape[:2])
        bordered = np.pad(inner, ((dy, dy), (dx, dx), (0, 0)))
        size = np.array((inner.shape[1], inner.shape[0]))
        outer, shift = np.array((bordered.shape[1], bordered.shape[0])) / size, np.array((dx, dy)) / size
        faces = [face.moved(outer, shift) for face in self._detect(bordered, _MOST)]
        return [face for face in faces if max(face.right - face.left, face.bottom - face.top) >= _FILLS]

    def _detect(self, scaled: Pixels, most: int) -> list[Detection]:
        import cv2

        height, width = scaled.shape[:2]
        with self._borrowed() as network:
            network.setInputSize((width, height))
            network.setTopK(most)
            _, rows = network.detect(cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        faces = [_detection(row, width, height) for row in rows.astype(float) if np.isfinite(row).all()]
        return sorted(faces, key=lambda face: (face.right - face.left) * (face.bottom - face.top), reverse=True)


def _scaled(image: Pixels, side: int) -> Pixels:
    """Return the picture, scaled so that its longer side has `side` pixels."""
    import cv2

    scale = side / max(image.shape[:2])
    width, height = (max(1, round(length * scale)) for length in (image.shape[1], image.shape[0]))
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(scaled, np.uint8)


def _detection(row: npt.NDArray[np.float64], width: int, height: int) -> Detection:
    """Return the face of one row of YuNet's output: x, y, width, height, five landmarks (x, y), confidence."""
    x, y, w, h = (float(value) for value in row[:4])
    points = [(float(px) / width, float(py) / height) for px, py in row[4:14].reshape(5, 2)]
    confidence = float(np.clip(row[14], 0, 1))
    return Detection(x / width, y / height, (x + w) / width, (y + h) / height, _points(points), confidence)


def _points(points: list[Point]) -> tuple[Point, Point, Point, Point, Point]:
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    return left_eye, right_eye, nose, left_mouth, right_mouth
