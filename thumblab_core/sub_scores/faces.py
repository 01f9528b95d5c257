"""Run the face detector on a picture, for the sub-scores that measure faces."""

from pathlib import Path

from thumblab_core.faces.detector import FaceDetector
from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box, Face

_SIDE = 320
"""Number of pixels of the longer side of the scaled copy in which faces are detected."""
_MOST = 50
"""Maximum number of boxes that go into non-maximum suppression."""


class FaceFinder:
    """A face detector for the sub-scores. Several threads may use it at the same time.

    Raises `LabError` if the model file is not a YuNet model.
    """

    def __init__(self, model: Path) -> None:
        self._detector = FaceDetector(model)

    def find(self, image: Pixels) -> tuple[Face, ...]:
        """Return the faces of a picture, uint8 [h, w, 3] RGB, largest first."""
        faces = [
            Face(Box.within(face.left, face.top, face.right, face.bottom), face.confidence)
            for face in self._detector.look(image, _SIDE, _MOST)
        ]
        # If a face reaches beyond the picture, only the part inside the picture counts for its size.
        return tuple(sorted(faces, key=lambda face: -face.box.area))
