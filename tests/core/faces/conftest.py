"""Fixtures of the tests of faces: the real models and the real pictures of faces, which are not in the repository."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thumblab_core.faces.detector import FaceDetector
from thumblab_core.faces.embedder import OnnxFaceEmbedder
from thumblab_core.images import Pixels, decode


@pytest.fixture(scope="session")
def face_files(shared_data: Path) -> Callable[[str], Path]:
    """Return a function that returns the path of a shared file or folder. If the path does not exist, skip the test."""

    def path(name: str) -> Path:
        found = shared_data.parent / name
        if not found.exists():
            pytest.skip(f"{found} is not here")
        return found

    return path


@pytest.fixture(scope="session")
def detector(face_files: Callable[[str], Path]) -> FaceDetector:
    return FaceDetector(face_files("models/face_detection_yunet_2026may.onnx"))


@pytest.fixture(scope="session")
def embedder(face_files: Callable[[str], Path]) -> OnnxFaceEmbedder:
    return OnnxFaceEmbedder(face_files("models/mobilefacenet.onnx"))


@pytest.fixture(scope="session")
def stills(face_files: Callable[[str], Path]) -> dict[str, Pixels]:
    """The pictures of groups of people, by the name of the file without `.jpg`."""
    return {path.stem: decode(path.read_bytes()).pixels for path in face_files("data/faces/group_stills").glob("*.jpg")}


@pytest.fixture(scope="session")
def people(face_files: Callable[[str], Path]) -> dict[str, list[Pixels]]:
    """Twenty pictures of each of twelve people. A face fills each picture of 112 x 112 pixels."""
    folders = sorted(face_files("data/faces/people").iterdir())
    return {
        folder.name: [decode(path.read_bytes()).pixels for path in sorted(folder.glob("*.png"))] for folder in folders
    }


@pytest.fixture(scope="session")
def noise() -> Pixels:
    """A picture without a face."""
    return np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8)
