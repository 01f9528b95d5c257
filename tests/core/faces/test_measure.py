"""Test that faces of several pictures are measured in one batch, and that each face is returned with its picture."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from thumblab_core.computing.cores import usable_cores
from thumblab_core.encoders.protocol import NO_VECTOR, Vectors
from thumblab_core.errors import LabError
from thumblab_core.faces.alignment import TEMPLATE
from thumblab_core.faces.detector import Detection, FaceDetector
from thumblab_core.faces.embedder import BATCH, OnnxFaceEmbedder
from thumblab_core.faces.measure import FORGOTTEN, find_faces, find_faces_in
from thumblab_core.images import Pixels


class Planted(FaceDetector):
    """A detector that finds N faces. N is the red value of the picture's first pixel. If the green value of this pixel
    is 9, the landmarks of each face lie almost at one point.
    """

    def __init__(self) -> None:
        pass

    def find(self, image: Pixels) -> list[Detection]:
        spread = 0.001 if image[0, 0, 1] == 9 else 1
        landmarks = tuple((float(x), float(y)) for x, y in TEMPLATE / 112 * spread)
        return [Detection(0, 0, 1, 1, landmarks, 0.9)] * int(image[0, 0, 0])  # type: ignore[arg-type]


class Middle:
    """An embedder whose vector depends on the blue value in the middle of a crop: NaN for 13, and zeros for 14."""

    fingerprint = "middle"
    dimension = 2

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, crops: np.ndarray) -> Vectors:
        self.batches.append(len(crops))
        angles = crops[:, 56, 56, 2] / 100
        vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
        vectors[crops[:, 56, 56, 2] == 13] = np.nan
        vectors[crops[:, 56, 56, 2] == 14] = 0
        return vectors


def picture(faces: int, blue: int, degenerate: bool = False) -> Pixels:
    image = np.full((112, 112, 3), (0, 0, blue), np.uint8)
    image[0, 0] = faces, 9 if degenerate else 0, blue
    return image


def test_each_picture_gets_the_vectors_of_its_own_faces() -> None:
    counts = [0, 3, 1, 0, 40, 2, 0, *[1] * 50, 5]
    embedder = Middle()
    images = [picture(count, 20 + number) for number, count in enumerate(counts)]
    found = list(find_faces_in(images, Planted(), embedder))
    assert [len(faces) for faces in found] == counts
    for number, faces in enumerate(found):
        for face in faces:
            assert face.vector is not None
            assert np.arctan2(face.vector[1], face.vector[0]) == pytest.approx((20 + number) / 100, abs=1e-5)
            assert face.problem is None
    assert len(embedder.batches) < 6
    alone = [find_faces(image, Planted(), Middle()) for image in images]
    assert [len(faces) for faces in alone] == counts


@pytest.mark.parametrize("blue", [13, 14])
def test_a_face_without_a_vector_says_why_and_the_other_faces_have_vectors(blue: int) -> None:
    found = list(find_faces_in([picture(1, 20), picture(2, blue), picture(1, 30)], Planted(), Middle()))
    assert [[face.vector is None for face in faces] for faces in found] == [[False], [True, True], [False]]
    assert [face.problem for face in found[1]] == [NO_VECTOR, NO_VECTOR]
    assert found[1][0].crop is not None


def test_a_forgotten_face_is_neither_cut_out_nor_embedded() -> None:
    embedder = Middle()
    seen = Counter[int]()

    def is_forgotten(number: int, face: Detection) -> bool:
        seen[number] += 1
        return number == 1 and seen[number] == 1

    found = list(find_faces_in([picture(2, 20), picture(2, 25)], Planted(), embedder, is_forgotten))
    assert seen == {0: 2, 1: 2}
    assert [[face.problem for face in faces] for faces in found] == [[None, None], [FORGOTTEN, None]]
    assert (found[1][0].crop, found[1][0].vector, found[1][0].quality) == (None, None, 0)
    assert found[1][1].vector is not None
    assert sum(embedder.batches) == 3


def test_a_face_that_cannot_be_aligned_says_why_and_has_no_quality() -> None:
    found = list(find_faces_in([picture(1, 20), picture(1, 25, degenerate=True), picture(1, 30)], Planted(), Middle()))
    (face,) = found[1]
    assert (face.crop, face.vector, face.quality) == (None, None, 0)
    assert "too close together" in str(face.problem)
    assert all(faces[0].vector is not None for faces in (found[0], found[2]))


def test_pictures_are_not_read_far_ahead() -> None:
    read = 0

    def pictures() -> Iterator[Pixels]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield picture(0, 0)

    results = find_faces_in(pictures(), Planted(), Middle())
    next(results)
    assert read <= BATCH + 2 * usable_cores()


class Meeting(Planted):
    """A detector that finds no face, and that waits until two threads search at the same time."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2, timeout=30)

    def find(self, image: Pixels) -> list[Detection]:
        self.both.wait()
        return []


def test_two_cores_search_two_pictures_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert list(find_faces_in([picture(0, n) for n in range(8)], Meeting(), Middle())) == [[]] * 8


def test_threads_that_share_a_detector_find_the_same_faces_as_one_thread(
    detector: FaceDetector, stills: dict[str, Pixels]
) -> None:
    images = [*stills.values()] * 3
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(detector.find, images))
    assert found == [detector.find(image) for image in images]


def test_a_picture_that_cannot_be_searched_ends_the_search_with_its_error() -> None:
    class Broken(Planted):
        def find(self, image: Pixels) -> list[Detection]:
            raise LabError("broken network")

    with pytest.raises(LabError, match="broken network"):
        list(find_faces_in([picture(1, 20)] * 50, Broken(), Middle()))


def test_no_pictures_give_nothing() -> None:
    assert list(find_faces_in([], Planted(), Middle())) == []


def test_two_people_of_one_still_are_less_alike_than_one_person_in_two_stills(
    detector: FaceDetector, embedder: OnnxFaceEmbedder, stills: dict[str, Pixels]
) -> None:
    found = dict(zip(stills, find_faces_in(stills.values(), detector, embedder), strict=True))
    vectors = {
        name: np.stack([face.vector for face in faces if face.vector is not None]) for name, faces in found.items()
    }
    assert {name: len(rows) for name, rows in vectors.items()} == {name: len(faces) for name, faces in found.items()}
    within = [value for rows in vectors.values() for value in (rows @ rows.T)[np.triu_indices(len(rows), 1)]]
    # The stills bbt3 and bbt5 show the same five actors, so each face of bbt3 has a face of the same person in bbt5.
    across = (vectors["bbt3"] @ vectors["bbt5"].T).max(1)
    assert max(within) < np.median(across)
