"""Find the faces of pictures, and measure each face: its place, its quality and its vector."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from thumblab_core.computing.cores import usable_cores
from thumblab_core.encoders.protocol import NO_VECTOR, usable
from thumblab_core.faces.alignment import UnalignableError, aligned
from thumblab_core.faces.detector import Detection, FaceDetector, Point
from thumblab_core.faces.embedder import BATCH, FaceEmbedder
from thumblab_core.faces.quality import quality
from thumblab_core.images import Pixels

FORGOTTEN = "a person told the lab to forget this face"
"""The text of `problem` for a forgotten face. Such a face is not cut out and not embedded."""

IsForgotten = Callable[[int, Detection], bool]
"""A function that says whether a face was forgotten. Its arguments are the index of the picture (0 for the first) and
the detection.
"""


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a picture.

    Attributes:
        detection: its box, its landmarks and the confidence of the detector.
        quality: how well the face can be recognised, 0 to 1, see `thumblab_core.faces.quality`.
        crop: the aligned face, uint8 [112, 112, 3] RGB. None if its landmarks cannot belong to a face.
        vector: the unit vector of the face, float32 [d]. None if there is no crop, or if the embedder failed on it.
        problem: why there is no vector. None if there is a vector.
    """

    detection: Detection
    quality: float = 0.0
    crop: npt.NDArray[np.uint8] | None = None
    vector: npt.NDArray[np.float32] | None = None
    problem: str | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The left, upper, right and lower edge, as fractions of the picture. The edges may lie beyond the picture."""
        return self.detection.left, self.detection.top, self.detection.right, self.detection.bottom

    @property
    def landmarks(self) -> tuple[Point, Point, Point, Point, Point]:
        """The five landmarks of the detection."""
        return self.detection.landmarks

    @property
    def confidence(self) -> float:
        """The confidence of the detector, 0 to 1."""
        return self.detection.confidence


def _nobody(_picture: int, _face: Detection) -> bool:
    return False


def find_faces(
    image: Pixels, detector: FaceDetector, embedder: FaceEmbedder, is_forgotten: IsForgotten = _nobody
) -> list[FoundFace]:
    """Return the faces of one picture, uint8 [h, w, 3] RGB, largest first. The `problem` of a face says why it has no
    vector.
    """
    return next(_embedded([_cut_out(image, detector, partial(is_forgotten, 0))], embedder))


def find_faces_in(
    images: Iterable[Pixels], detector: FaceDetector, embedder: FaceEmbedder, is_forgotten: IsForgotten = _nobody
) -> Iterator[list[FoundFace]]:
    """Yield the faces of each picture as `find_faces` does, in the order of the pictures.

    Each core searches another picture, which takes less time than searching one picture with all cores. The pictures
    are taken from `images` in the calling thread, while the other threads search.

    The faces of several pictures are embedded together, which takes less time. So pictures are read ahead of the
    results, but only the crops of their faces are kept. A batch contains all faces of its pictures.

    A face for which `is_forgotten` returns True has the problem `FORGOTTEN`, and gets neither a crop nor a vector.
    `is_forgotten` is called by several threads.
    """
    waiting: list[list[FoundFace]] = []
    crops = 0
    with closing(_cut_out_of_all(images, detector, is_forgotten)) as all_faces:
        for faces in all_faces:
            waiting.append(faces)
            crops += sum(face.crop is not None for face in faces)
            if crops >= BATCH or len(waiting) >= BATCH:
                yield from _embedded(waiting, embedder)
                waiting, crops = [], 0
        yield from _embedded(waiting, embedder)


def _cut_out_of_all(
    images: Iterable[Pixels], detector: FaceDetector, is_forgotten: IsForgotten
) -> Generator[list[FoundFace]]:
    """Yield the faces of each picture with their crops, and without vectors, in the order of the pictures.

    At most two pictures per core are in memory.
    """
    cores = usable_cores()
    searched: deque[Future[list[FoundFace]]] = deque()
    with ThreadPoolExecutor(cores, "faces") as threads:
        try:
            for number, image in enumerate(images):
                searched.append(threads.submit(_cut_out, image, detector, partial(is_forgotten, number)))
                if len(searched) >= 2 * cores:
                    yield searched.popleft().result()
            while searched:
                yield searched.popleft().result()
        finally:
            for future in searched:
                future.cancel()


def _cut_out(image: Pixels, detector: FaceDetector, is_forgotten: Callable[[Detection], bool]) -> list[FoundFace]:
    """Return the faces of a picture with their crops, and without vectors."""
    size = (image.shape[1], image.shape[0])
    faces = []
    for detection in detector.find(image):
        if is_forgotten(detection):
            faces.append(FoundFace(detection, problem=FORGOTTEN))
            continue
        try:
            crop = aligned(image, detection.landmarks)
        except UnalignableError as error:
            faces.append(FoundFace(detection, problem=str(error)))
        else:
            faces.append(FoundFace(detection, quality(detection, crop, size), crop))
    return faces


def _embedded(pictures: Iterable[list[FoundFace]], embedder: FaceEmbedder) -> Iterator[list[FoundFace]]:
    """Yield the faces of each picture with their vectors. The crops of all pictures are embedded together."""
    pictures = list(pictures)
    crops = [face.crop for faces in pictures for face in faces if face.crop is not None]
    if not crops:
        yield from pictures
        return
    vectors = embedder.embed(np.stack(crops))
    rows = iter(zip(vectors, usable(vectors), strict=True))
    for faces in pictures:
        yield [face if face.crop is None else _with_vector(face, *next(rows)) for face in faces]


def _with_vector(face: FoundFace, vector: npt.NDArray[np.float32], is_unit: np.bool_) -> FoundFace:
    return replace(face, vector=vector) if is_unit else replace(face, problem=NO_VECTOR)
