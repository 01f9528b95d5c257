"""What is written in a picture: PP-OCR, detection and recognition, through RapidOCR on OpenVINO.

Everything in RapidOCR that thumbnails do not need is left out: the classifier of upside-down lines, upscaling, and the
recognition of lines so low that nobody reads them 120 pixels wide. benchmarks/sub_scores.py shows what that costs and loses.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box, TextLine

MISSING = "no text reader: install the lab again with pip (it needs rapidocr and openvino)"

DETECTION_SIDE = 512
"""Pixels of the longer side in which text is looked for."""
LINES = 12
"""At most so many lines are read, the largest first: a page of a document is not read to its end."""
CONFIDENCE = 0.6
"""Lines that the recogniser is less sure of are taken for texture."""
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

    def read(self, image: Pixels) -> tuple[TextLine, ...]:
        """The lines of a picture, uint8 [h, w, 3] RGB, from top to bottom."""
        import cv2

        height, width = image.shape[:2]
        picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        quads = self._detect(picture)
        heights = np.linalg.norm(quads[:, 0] - quads[:, 3], axis=1)
        at_120 = heights * 120 / width
        large = np.flatnonzero(at_120 >= _LOWEST)
        kept = np.sort(large[np.argsort(-heights[large], kind="stable")][:LINES])
        if not len(kept):
            return ()
        found = self._engine.recognize_txt(
            [_shortened(c) for c in self._engine.crop_text_regions(picture, quads[kept])]
        )
        return tuple(
            TextLine(_box(quads[at], width, height), text.strip(), float(confidence), float(at_120[at]))
            for at, text, confidence in zip(kept, found.txts, found.scores, strict=True)
            if confidence >= CONFIDENCE and sum(character.isalnum() for character in text) >= _CHARACTERS
        )

    def _detect(self, picture: Any) -> _Quads:
        """Corners of the lines, float32 [n, 4, 2] in pixels, clockwise from the upper left."""
        import cv2
        from rapidocr.main import RapidOCRError

        height, width = picture.shape[:2]
        scale = self._side / max(height, width)
        size = [max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in (width, height)]
        shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        try:
            _, found = self._engine.detect_and_crop(cv2.resize(picture, size, interpolation=shrinking), {})
        except RapidOCRError:  # its way of saying that there is no text
            return np.zeros((0, 4, 2), np.float32)
        return np.asarray(found.boxes, np.float32) * np.array([width / size[0], height / size[1]], np.float32)


def _shortened(crop: Any) -> Any:
    """A line squeezed to the longest shape that is worth its time."""
    import cv2

    height, width = crop.shape[:2]
    longest = round(height * _CROP_ASPECT)
    return crop if width <= longest else cv2.resize(crop, (longest, height), interpolation=cv2.INTER_AREA)


def _box(quad: npt.NDArray[np.float32], width: int, height: int) -> Box:
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    return Box.within(float(left / width), float(top / height), float(right / width), float(bottom / height))
