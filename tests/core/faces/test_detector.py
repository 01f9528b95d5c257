"""Test on real pictures that the detector finds every visible face, at the right place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thumblab_core.errors import LabError
from thumblab_core.faces.alignment import SIDE, TEMPLATE
from thumblab_core.faces.detector import FaceDetector
from thumblab_core.images import Pixels

# The number of faces in each still, counted by eye. In bbt2, one of the three people sits in the background at the left
# edge. All other people in the background show only the backs of their heads.
FACES = {"bbt1": 4, "bbt2": 3, "bbt3": 5, "bbt4": 6, "bbt5": 5}


def test_exactly_the_visible_faces_of_the_stills_are_found(detector: FaceDetector, stills: dict[str, Pixels]) -> None:
    assert {name: len(detector.find(image)) for name, image in stills.items()} == FACES


def test_faces_are_found_in_stills_of_any_size(detector: FaceDetector, stills: dict[str, Pixels]) -> None:
    large = np.repeat(np.repeat(stills["bbt4"], 3, 0), 3, 1)
    assert len(detector.find(large)) == FACES["bbt4"]
    small = np.ascontiguousarray(stills["bbt4"][::3, ::3])
    assert len(detector.find(small)) == FACES["bbt4"]


@pytest.mark.slow
def test_faces_that_fill_their_picture_are_found(detector: FaceDetector, people: dict[str, list[Pixels]]) -> None:
    found = [detector.find(image) for images in people.values() for image in images]
    assert len(found) == 240
    assert [len(faces) for faces in found] == [1] * 240
    distances = [np.hypot(*(np.array(face.landmarks) * SIDE - TEMPLATE).T).mean() for (face,) in found]
    assert np.median(distances) < 4


def test_the_search_with_a_border_gives_the_same_place(
    detector: FaceDetector, people: dict[str, list[Pixels]], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [images[0] for images in people.values()]
    plain = [detector.find(image)[0] for image in images]
    monkeypatch.setattr(detector, "look", lambda *_: [])
    bordered = [detector.find(image) for image in images]
    assert [len(faces) for faces in bordered] == [1] * len(images)
    shifts = [np.array(a.landmarks) - np.array(b[0].landmarks) for a, b in zip(plain, bordered, strict=True)]
    assert np.abs(np.median(shifts, 0)).max() < 0.05
    boxes = [(abs(a.left - b[0].left), abs(a.bottom - b[0].bottom)) for a, b in zip(plain, bordered, strict=True)]
    assert np.median(boxes) < 0.08


def test_the_search_with_a_border_finds_only_faces_that_fill_the_picture(
    detector: FaceDetector, stills: dict[str, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "look", lambda *_: [])
    assert detector.find(stills["bbt4"]) == []


def test_the_eye_at_the_left_comes_first(detector: FaceDetector, stills: dict[str, Pixels]) -> None:
    for face in detector.find(stills["bbt3"]):
        left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert left_eye[1] < nose[1] < left_mouth[1]
        assert face.left < nose[0] < face.right
        assert face.top < nose[1] < face.bottom


def test_the_largest_face_comes_first(detector: FaceDetector, stills: dict[str, Pixels]) -> None:
    faces = detector.find(stills["bbt2"])
    areas = [(face.right - face.left) * (face.bottom - face.top) for face in faces]
    assert areas == sorted(areas, reverse=True)


def test_a_picture_without_a_face_gives_no_faces(detector: FaceDetector, noise: Pixels) -> None:
    assert detector.find(noise) == []
    assert detector.find(np.zeros((90, 160, 3), np.uint8)) == []


def test_a_file_that_is_not_a_face_detector_is_reported(face_files: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"\x08nothing")
    with pytest.raises(LabError, match="could not be loaded"):
        FaceDetector(tmp_path / "other.onnx")
