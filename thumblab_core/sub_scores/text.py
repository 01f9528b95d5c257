"""What is written in a picture: PP-OCR, detection and recognition, through RapidOCR on OpenVINO.

Everything in RapidOCR that thumbnails do not need is left out: the classifier of upside-down lines, upscaling, and the
recognition of lines so low that nobody reads them 120 pixels wide. benchmarks/sub_scores.py shows what that costs and loses.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box, Line, TextLine, UnreadLine

MISSING = "no text reader: install the lab again with pip (it needs rapidocr and openvino)"

DETECTION_SIDE = 512
"""Pixels of the longer side in which text is looked for."""
LINES = 12
"""At most so many lines are read, the largest first: a page of a document is not read to its end."""
CONFIDENCE, CONFIDENCE_LONG = 0.6, 0.8
"""How sure of its letters, on average, the recogniser must be of a word, and of a line of about four letters or more: over
many letters even a misread alphabet comes to 0.6 or 0.7, and what is read well hardly ever stays below 0.8."""
_LONG = 2.0
"""Width over height from which a line is long."""
_LIKE_TEXT = 0.6
"""The detector's score from which a long line is text, though it was not read; below it, and if short, it is texture."""
_WIDEST = 1.3
"""Width of a letter over the height of the line. A line that is wider has letters that the recogniser does not know."""
_CHARACTERS = 2  # a single one is an icon that looks like a letter more often than a word
_LOWEST = 3.0
_STRIDE = 32
_CROP_ASPECT = 16.0
_SHORTEST = 96  # pixels that a line is padded to; RapidOCR's own 320 doubles the cost of a thumbnail's few short words

_Quads = npt.NDArray[np.float32]


class TextReader:
    """One reader; a thread at a time. Raises `ImportError` where RapidOCR or OpenVINO is not installed."""

    def __init__(self, side: int = DETECTION_SIDE) -> None:
        import thumblab_core.encoders.openvino_runtime  # noqa: F401, I001  RapidOCR asks for OpenVINO at the first picture
        from rapidocr import EngineType, RapidOCR

        self._side = side
        self._engine: Any = RapidOCR(
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
                "EngineConfig.openvino.inference_num_threads": 1,  # pictures share the cores, not layers
            }
        )

    def read(self, image: Pixels) -> tuple[Line, ...]:
        """The lines of a picture, uint8 [h, w, 3] RGB, from top to bottom; some of them found and not read."""
        import cv2

        height, width = image.shape[:2]
        picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        quads, scores = self._detect(picture)
        heights = np.linalg.norm(quads[:, 0] - quads[:, 3], axis=1)
        shapes = np.linalg.norm(quads[:, 0] - quads[:, 1], axis=1) / np.maximum(heights, 1e-6)
        at_120 = heights * 120 / width
        large = np.flatnonzero(at_120 >= _LOWEST)
        kept = np.sort(large[np.argsort(-heights[large], kind="stable")][:LINES])
        if not len(kept):
            return ()
        found = self._engine.recognize_txt(
            [_shortened(c) for c in self._engine.crop_text_regions(picture, quads[kept])]
        )
        lines = (
            _line(
                TextLine(_box(quads[at], width, height), text.strip(), float(confidence), float(at_120[at])),
                float(shapes[at]),
                float(scores[at]),
            )
            for at, text, confidence in zip(kept, found.txts, found.scores, strict=True)
        )
        return tuple(line for line in lines if line is not None)

    def _detect(self, picture: Any) -> tuple[_Quads, npt.NDArray[np.float32]]:
        """Corners of the lines, float32 [n, 4, 2] in pixels, clockwise from the upper left, and how sure it is [n]."""
        import cv2
        from rapidocr.main import RapidOCRError

        height, width = picture.shape[:2]
        scale = self._side / max(height, width)
        size = [max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in (width, height)]
        shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        try:
            _, found = self._engine.detect_and_crop(cv2.resize(picture, size, interpolation=shrinking), {})
        except RapidOCRError:  # its way of saying that there is no text
            return np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float32)
        corners = np.asarray(found.boxes, np.float32) * np.array([width / size[0], height / size[1]], np.float32)
        return corners, np.asarray(found.scores, np.float32)


def _line(said: TextLine, shape: float, score: float) -> Line | None:
    """The line as it was read, as one that was found and cannot be read, or None where it is texture.

    `shape`: its width over its height; `score`: how sure the detector is that it is text.
    """
    long = shape >= _LONG
    words = said.letters >= _CHARACTERS and said.confidence >= CONFIDENCE
    if not long:
        return said if words else None
    if words and said.confidence >= CONFIDENCE_LONG and shape <= _WIDEST * len(said.text):
        return said
    return UnreadLine(said.box, said.height_at_120) if words or score >= _LIKE_TEXT else None


def _shortened(crop: Any) -> Any:
    """A line squeezed to the longest shape that is worth its time."""
    import cv2

    height, width = crop.shape[:2]
    longest = round(height * _CROP_ASPECT)
    return crop if width <= longest else cv2.resize(crop, (longest, height), interpolation=cv2.INTER_AREA)


def _box(quad: npt.NDArray[np.float32], width: int, height: int) -> Box:
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    return Box.within(float(left / width), float(top / height), float(right / width), float(bottom / height))
