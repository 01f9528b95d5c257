"""Load the two networks that find people: one network detects faces, and one embeds the detected faces."""

from dataclasses import dataclass
from pathlib import Path

from thumblab_core import model_files
from thumblab_core.errors import LabError
from thumblab_core.faces.detector import FaceDetector
from thumblab_core.faces.embedder import FaceEmbedder, OnnxFaceEmbedder
from thumblab_core.settings import Settings

NO_EMBEDDER = "there is no face embedder; run `thumblab models pull sface`, or set THUMBLAB_FACE_EMBEDDER"


@dataclass(frozen=True)
class FaceNetworks:
    """The networks that find and embed faces.

    Attributes:
        detector: finds the faces of a picture. Several threads may use it at the same time.
        embedder: turns an aligned face into a unit vector. One thread at a time may use it.
    """

    detector: FaceDetector
    embedder: FaceEmbedder


def load_networks(settings: Settings) -> FaceNetworks:
    """Load both networks.

    Raises `LabError` if the setting `people` is `off`, or if a network is missing. No face is embedded in either case.
    """
    detector, embedder = require_networks(settings)
    return FaceNetworks(FaceDetector(detector), OnnxFaceEmbedder(embedder))


def require_networks(settings: Settings) -> tuple[Path, Path]:
    """Return the files of the detector and of the embedder, without loading them.

    Raises `LabError` if the setting `people` is `off`, or if a file is missing.
    """
    require_people(settings)
    detector, embedder = model_files.face_model(settings), model_files.face_embedder(settings)
    if detector is None:
        raise LabError("there is no face detector; run `thumblab models pull`, or set THUMBLAB_FACE_MODEL")
    if embedder is None:
        raise LabError(NO_EMBEDDER)
    return detector, embedder


def require_people(settings: Settings) -> None:
    """Raise `LabError` if the setting `people` is `off`."""
    if settings.people == "off":
        raise LabError(
            "the lab looks for no faces; set THUMBLAB_PEOPLE=own for the thumbnails of your own channels, or "
            "THUMBLAB_PEOPLE=all, and read docs/people.md about consent first"
        )
