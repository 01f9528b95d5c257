"""Read the text in a picture. The neural networks come from PP-OCR, and the package RapidOCR runs them on OpenVINO.

One network, the detector, finds lines of text. A second network, the recogniser, reads the lines. RapidOCR also
searches for upside-down lines and enlarges small pictures. These steps are left out, because thumbnails do not need
them. The lab also leaves out a line if its letters cannot be read when the picture is 120 pixels wide.
benchmarks/sub_scores.py measures how long reading takes and how accurate it is.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box, Line, TextLine, UnreadLine
from thumblab_core.sub_scores.scripts import is_misread

MISSING = "no text reader: install the lab again with pip (it needs rapidocr and openvino)"

DETECTION_SIDE = 512
"""Number of pixels of the longer side of the scaled copy in which text is detected."""
LINES = 12
"""Maximum number of lines that are read. If there are more, the largest lines are read.

Without this limit, a picture of a page full of text would take too long.
"""
CONFIDENCE, CONFIDENCE_LONG = 0.6, 0.8
"""Minimum mean confidence of the recogniser for a word, and for a line of about four letters or more.

A long line in an alphabet that the recogniser was not trained for is read wrongly. Its confidence can still be 0.6 or
0.7. The confidence of a line that was read correctly is rarely below 0.8.
"""
_LONG = 2.0
"""A box is a long line if its width, divided by its height, is at least this number."""
_LIKE_TEXT = 0.6
"""Minimum score of the detector at which a long box counts as text, although the recogniser could not read it.

If the recogniser could not read a short box, or a box with a lower score, the box counts as texture of the picture.
"""
_WIDEST = 1.3
"""Maximum mean width of the letters of a long line, divided by the height of the line.

The mean width is the line's width divided by the number of characters that were read. If the mean width is larger, the
recogniser probably left out letters for which it was not trained.
"""
_CHARACTERS = 2
"""Minimum number of letters and digits of a word. A single letter is usually an icon that looks like a letter."""
_LOWEST = 3.0
"""The least height of a line that is read, in pixels, when the picture is 120 pixels wide."""
_STRIDE = 32
"""The sides of a picture for the detector must be multiples of this number of pixels."""
_CROP_ASPECT = 16.0
"""Maximum width divided by height of a line that goes to the recogniser. Longer lines are squeezed."""
_SHORTEST = 96
"""Minimum width of a line in pixels. A narrower line is padded to this width.

RapidOCR's default of 320 would double the time for the few short words of a thumbnail.
"""

_Quads = npt.NDArray[np.float32]


class TextReader:
    """A text reader for use by one thread at a time.

    Raises `ImportError` if RapidOCR or OpenVINO is not installed.
    """

    def __init__(self, side: int = DETECTION_SIDE) -> None:
        import thumblab_core.encoders.openvino_runtime  # noqa: F401, I001  must come before the import of RapidOCR
        import rapidocr  # noqa: F401  raises ImportError here and not at the first picture

        self._side = side

    def read(self, image: Pixels) -> tuple[Line, ...]:
        """Return the lines of text in a picture, uint8 [h, w, 3] RGB, from top to bottom.

        A line that looks like text, but that could not be read reliably, is returned as an `UnreadLine`.
        """
        import cv2

        picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        with _borrowed(self._side) as engine:
            return self._read(engine, picture)

    def _read(self, engine: Any, picture: Any) -> tuple[Line, ...]:
        height, width = picture.shape[:2]
        quads, scores = self._detect(engine, picture)
        heights = np.linalg.norm(quads[:, 0] - quads[:, 3], axis=1)
        shapes = np.linalg.norm(quads[:, 0] - quads[:, 1], axis=1) / np.maximum(heights, 1e-6)
        at_120 = heights * 120 / width
        large = np.flatnonzero(at_120 >= _LOWEST)
        kept = np.sort(large[np.argsort(-heights[large], kind="stable")][:LINES])
        if not len(kept):
            return ()
        crops = engine.crop_text_regions(picture, quads[kept])
        recognised = engine.recognize_txt([_shortened(crop) for crop in crops])
        lines = (
            _line(
                TextLine(_box(quads[row], width, height), text.strip(), float(confidence), float(at_120[row])),
                float(shapes[row]),
                float(scores[row]),
            )
            for row, text, confidence in zip(kept, recognised.txts, recognised.scores, strict=True)
        )
        return tuple(line for line in lines if line is not None)

    def _detect(self, engine: Any, picture: Any) -> tuple[_Quads, npt.NDArray[np.float32]]:
        """Return the corners of the lines and their scores [n].

        The corners are float32 [n, 4, 2] in pixels, clockwise from the upper left.
        """
        import cv2
        from rapidocr.main import RapidOCRError

        height, width = picture.shape[:2]
        scale = self._side / max(height, width)
        size = [max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in (width, height)]
        shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        try:
            _, detected = engine.detect_and_crop(cv2.resize(picture, size, interpolation=shrinking), {})
        except RapidOCRError:  # RapidOCR raises this error if there is no text.
            return np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float32)
        corners = np.asarray(detected.boxes, np.float32) * np.array([width / size[0], height / size[1]], np.float32)
        return corners, np.asarray(detected.scores, np.float32)


_idle: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
"""The engines of RapidOCR that no thread uses now. All text readers of a process share them.

Loading an engine takes a second. The key of the dictionary is the id of the process and the side of the picture in
which text is detected. A forked process inherits the engines of its parent, but must not use them, because the threads
of the engines were not forked.
"""


@contextmanager
def _borrowed(side: int) -> Iterator[Any]:
    """Yield an engine for this thread alone. A new engine is loaded if all engines are in use."""
    idle = _idle[os.getpid(), side]
    try:
        engine = idle.pop()
    except IndexError:
        engine = _loaded(side)
    try:
        yield engine
    finally:
        idle.append(engine)


def _loaded(side: int) -> Any:
    from rapidocr import EngineType, RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "Global.use_preprocess_img": False,
            "Global.use_vertical_padding": False,
            "Det.engine_type": EngineType.OPENVINO,
            "Rec.engine_type": EngineType.OPENVINO,
            "Det.limit_type": "max",
            "Det.limit_side_len": side,
            "Rec.rec_img_shape": [3, 48, _SHORTEST],
            # Each picture uses one core, so that threads can read pictures in parallel.
            "EngineConfig.openvino.inference_num_threads": 1,
        }
    )


def _line(recognised: TextLine, shape: float, score: float) -> Line | None:
    """Return the recognised line if its text was read reliably. If the text was not read reliably, return an unread
    line. Return None if the line probably shows no text at all, but a texture.

    `shape`: the line's width divided by its height. `score`: the detector's score that the line is text, 0 to 1.
    """
    long = shape >= _LONG
    is_word = recognised.letters >= _CHARACTERS and recognised.confidence >= CONFIDENCE
    unread = UnreadLine(recognised.box, recognised.height_at_120)
    if is_word and is_misread(recognised.text, recognised.confidence):
        return unread
    if not long:
        return recognised if is_word else None
    if is_word and recognised.confidence >= CONFIDENCE_LONG and shape <= _WIDEST * len(recognised.text):
        return recognised
    return unread if is_word or score >= _LIKE_TEXT else None


def _shortened(crop: Any) -> Any:
    """Return the crop of a line. A very long crop is squeezed, so that the recogniser needs less time."""
    import cv2

    height, width = crop.shape[:2]
    longest = round(height * _CROP_ASPECT)
    return crop if width <= longest else cv2.resize(crop, (longest, height), interpolation=cv2.INTER_AREA)


def _box(quad: npt.NDArray[np.float32], width: int, height: int) -> Box:
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    return Box.within(float(left / width), float(top / height), float(right / width), float(bottom / height))
