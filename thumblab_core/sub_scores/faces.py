"""Detect faces with the network YuNet, which OpenCV runs (Wu, Peng & Yu, Machine Intelligence Research 2023)."""

import threading
from pathlib import Path

import numpy as np

from thumblab_core.errors import LabError
from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box, Face

MISSING = "no face model: run `thumblab models pull`"

_SIDE = 320
"""Longer side in pixels of the picture in which faces are detected."""
_CONFIDENCE = 0.7
_OVERLAP = 0.3
"""Overlap (intersection over union) above which non-maximum suppression drops the less confident face."""
_MOST = 50
"""Maximum number of boxes that go into non-maximum suppression."""
_LOADING = threading.Lock()  # Only one thread at a time may change OpenCV's log level, which all threads share.


class FaceFinder:
    """A face detector for use by one thread at a time.

    Raises `LabError` if the model file is not a YuNet model.
    """

    def __init__(self, model: Path) -> None:
        import cv2
        from cv2.utils import logging

        with _LOADING:
            level = logging.getLogLevel()
            # Without this line, OpenCV would warn about the backend that it chose itself to run the model.
            logging.setLogLevel(logging.LOG_LEVEL_SILENT)
            try:
                self._detector = cv2.FaceDetectorYN.create(str(model), "", (_SIDE, _SIDE), _CONFIDENCE, _OVERLAP, _MOST)
            except cv2.error as error:
                raise LabError(
                    f"the face model {model} could not be loaded ({str(error).splitlines()[0][:120]}); "
                    "run `thumblab models pull` again"
                ) from error
            finally:
                logging.setLogLevel(level)

    def find(self, image: Pixels) -> tuple[Face, ...]:
        """Return the faces of a picture, uint8 [h, w, 3] RGB, largest first."""
        import cv2

        scale = _SIDE / max(image.shape[:2])
        width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        self._detector.setInputSize((width, height))
        _, rows = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if rows is None:
            return ()
        faces = [
            Face(Box.within(x / width, y / height, (x + w) / width, (y + h) / height), float(np.clip(row[14], 0, 1)))
            for row in rows.astype(float)
            for x, y, w, h in [row[:4]]
            if np.isfinite(row).all()
        ]
        return tuple(sorted(faces, key=lambda face: -face.box.area))
