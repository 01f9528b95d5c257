"""Define the class `Meter`, which measures the six sub-scores of one picture, or of many pictures on all cores."""

import hashlib
import importlib.metadata
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from queue import LifoQueue

from thumblab_core.computing.cores import usable_cores
from thumblab_core.encoders.protocol import CrossModalEncoder, TextEncoder, Vectors
from thumblab_core.errors import LabError
from thumblab_core.images import Pixels
from thumblab_core.sub_scores import title_match
from thumblab_core.sub_scores.evidence import Evidence, Measurement, SubScore, UnreadLine
from thumblab_core.sub_scores.explanations import explain
from thumblab_core.sub_scores.faces import FaceFinder
from thumblab_core.sub_scores.picture_measurement import Engines, PictureMeasurement, measure_picture
from thumblab_core.sub_scores.text import DETECTION_SIDE, TextReader

FORMULAS = "4"
"""Version of the sub-scores' formulas. If it changes, the asset `visual_features` measures every thumbnail again."""

_ENCODED = 64
"""Number of pictures whose texts and titles go to the title encoder in one call."""

NO_TITLE = "not measured: no title was given"
NO_TEXT = "not measured: no readable text, and the image encoder has no text tower"
UNREAD = "not measured: text was found that this reader cannot read, and the image encoder has no text tower"
NOT_LATIN = "not measured: title and text are compared in Latin letters only, and the image encoder has no text tower"
NO_READER = "not measured: no text reader, and the image encoder has no text tower"
NO_ENCODER = "not measured: no title encoder, and the image encoder has no text tower"


@dataclass(frozen=True)
class Title:
    """The title with which a picture is compared.

    `image_vector` and `title_vector`, float32 [d], are given together if the image encoder has a text tower, the part
    that encodes texts. `title_match` then compares these two vectors. Without the vectors, `title_match` compares the
    text in the picture with `text`.
    """

    text: str | None = None
    image_vector: Vectors | None = None
    title_vector: Vectors | None = None

    @property
    def has_vectors(self) -> bool:
        return self.image_vector is not None and self.title_vector is not None


@dataclass(frozen=True)
class Sample:
    """A picture to measure. `load` returns its pixels, uint8 [h, w, 3] RGB, or raises `LabError`."""

    load: Callable[[], Pixels]
    title: Title = Title()


class Meter:
    """The meter of sub-scores. Many threads may use it at the same time.

    The meter keeps sets of engines. A set consists of a text reader and a face detector, and is used by one thread at a
    time. Sets are loaded on first use, at most one per core. The text readers of all meters share their networks.
    `face_model`: a YuNet file for OpenCV. Without this file, no faces are found, and the evidence reports that the
    model is missing. `title_encoder`: compares the text in a picture with the title if the image encoder has no text
    tower.
    """

    def __init__(self, face_model: Path | None, title_encoder: TextEncoder | None = None) -> None:
        self._face_model = face_model
        self._title_encoder = title_encoder
        self._workers = usable_cores()
        self._engines: LifoQueue[Engines | None] = LifoQueue()
        for _ in range(self._workers):
            self._engines.put(None)
        self._encoding = threading.Lock()

    @cached_property
    def version(self) -> str:
        """The version of the formulas, the text reader, the face model and the title encoder.

        Stored sub-scores that were measured with another version are measured again.
        """
        faces = "none" if self._face_model is None else _digest(self._face_model)
        title = "none" if self._title_encoder is None else self._title_encoder.fingerprint
        return f"{FORMULAS}/text-{_reader_version()}-{DETECTION_SIDE}/faces-{faces}/title-{title}"

    def version_with(self, tower: CrossModalEncoder | None) -> str:
        """Return `version`, followed by the fingerprint of `tower`.

        `tower` is the part of the image encoder that encodes texts, or None if the image encoder has no such part.
        """
        return self.version if tower is None else f"{self.version}/{tower.fingerprint}"

    def measure(self, image: Pixels, title: Title = Title()) -> Measurement:
        """Measure a picture, uint8 [h, w, 3] RGB. Raises `LabError` if the face model cannot be loaded."""
        return self.with_title(self.measure_picture(image), title)

    def measure_picture(self, image: Pixels) -> PictureMeasurement:
        """Measure everything that does not depend on the title. This is nearly all of the work.

        `with_title` then adds `title_match`.
        """
        with self._borrowed() as engines:
            return measure_picture(image, engines)

    def with_title(self, result: PictureMeasurement, title: Title) -> Measurement:
        """Return the measurement of a picture that has the title `title`.

        `result` comes from `measure_picture`, and can be used for any number of titles.
        """
        return self._match_titles([(title, result)])[0]

    def measure_many(self, samples: Iterable[Sample]) -> Iterator[Measurement | LabError]:
        """Measure pictures on all cores and yield the results in order.

        If a picture cannot be read or measured, its error is yielded as its result. Samples are taken only when they
        are needed, so at most two pictures per core are in memory.
        """
        waiting: deque[tuple[Title, Future[PictureMeasurement | LabError]]] = deque()
        done: list[tuple[Title, PictureMeasurement | LabError]] = []
        with ThreadPoolExecutor(self._workers, "measure") as pool:
            for sample in samples:
                waiting.append((sample.title, pool.submit(self._attempt, sample)))
                if len(waiting) >= 2 * self._workers:
                    title, future = waiting.popleft()
                    done.append((title, future.result()))
                if len(done) >= _ENCODED:
                    yield from self._finish(done)
                    done = []
            done.extend((title, future.result()) for title, future in waiting)
        yield from self._finish(done)

    def _attempt(self, sample: Sample) -> PictureMeasurement | LabError:
        # If an engine cannot be loaded, this line raises the error, which ends the whole measurement. The errors of
        # single pictures are returned and not raised.
        with self._borrowed() as engines:
            try:
                return measure_picture(sample.load(), engines)
            except LabError as error:
                return error
            except Exception as error:  # noqa: BLE001  OpenCV, numpy and OpenVINO have error types of their own
                return LabError(f"the picture could not be measured ({type(error).__name__}: {str(error)[:120]})")

    def _finish(self, done: Sequence[tuple[Title, PictureMeasurement | LabError]]) -> list[Measurement | LabError]:
        good = [(title, result) for title, result in done if isinstance(result, PictureMeasurement)]
        measured = iter(self._match_titles(good))
        return [next(measured) if isinstance(result, PictureMeasurement) else result for _, result in done]

    def _match_titles(self, results: Sequence[tuple[Title, PictureMeasurement]]) -> list[Measurement]:
        results = [(title, replace(r, evidence=_without_misread(title, r.evidence))) for title, r in results]
        vectors = self._vectors(results)
        return [self._measurement(title, result, vectors) for title, result in results]

    def _vectors(self, results: Sequence[tuple[Title, PictureMeasurement]]) -> dict[str, Vectors]:
        """Return the vectors of all texts and titles that are compared, by text. The encoder is called only once."""
        wanted: dict[str, None] = {}
        for title, result in results:
            text = _compared_text(title, result.evidence)
            if text is not None:
                wanted |= {text: None, str(title.text): None}
        if not wanted or self._title_encoder is None:
            return {}
        with self._encoding:  # Fast tokenizers raise "Already borrowed" if two threads use one tokenizer at once.
            return dict(zip(wanted, self._title_encoder.encode_texts(list(wanted)), strict=True))

    def _measurement(self, title: Title, result: PictureMeasurement, vectors: dict[str, Vectors]) -> Measurement:
        evidence = result.evidence
        match = self._title_match(title, result, vectors)
        if not isinstance(match, str):
            evidence = replace(evidence, title_match_by=match[1])
        scores = {name: explain(name, value, evidence) for name, value in result.values.items()}
        scores["title_match"] = (
            SubScore("title_match", None, match, None)
            if isinstance(match, str)
            else explain("title_match", match[0], evidence)
        )
        return Measurement(scores, evidence)

    def _title_match(
        self, title: Title, result: PictureMeasurement, vectors: dict[str, Vectors]
    ) -> tuple[float, str] | str:
        """Return the value of `title_match`, and `PICTURE` or `TEXT` for what was compared with the title.

        If there is no value, return the reason instead.
        """
        if title.image_vector is not None and title.title_vector is not None:
            return title_match.by_picture(title.image_vector, title.title_vector), title_match.PICTURE
        if not title.text:
            return NO_TITLE
        if result.evidence.texts is None:
            return NO_READER
        text = title_match.words(result.evidence.texts)
        if title_match.unread_outweighs(result.evidence.texts, result.evidence.unread):
            return UNREAD
        if text is None:
            return NO_TEXT
        if not (title_match.latin(title.text) and title_match.latin(text)):
            return NOT_LATIN
        if self._title_encoder is None:
            return NO_ENCODER
        return title_match.by_text(vectors[text], vectors[title.text]), title_match.TEXT

    @contextmanager
    def _borrowed(self) -> Iterator[Engines]:
        """Yield a set of engines for this thread alone. Wait while all sets are in use."""
        engines = self._engines.get()
        try:
            engines = engines or self._opened()
            yield engines
        finally:
            self._engines.put(engines)

    def _opened(self) -> Engines:
        try:
            reader = TextReader()
        except ImportError:
            reader = None
        return Engines(reader, None if self._face_model is None else FaceFinder(self._face_model))


def _without_misread(title: Title, evidence: Evidence) -> Evidence:
    """Return the evidence, in which each probably misread line is moved from `texts` to `unread`.

    The function `title_match.doubtful` says whether a line was probably misread.
    """
    misread = [line for line in evidence.texts or () if title.text and title_match.doubtful(line, title.text)]
    if not misread:
        return evidence
    unread = tuple(UnreadLine(line.box, line.height_at_120, line.contrast) for line in misread)
    texts = tuple(line for line in evidence.texts or () if line not in misread)
    return replace(evidence, texts=texts, unread=(*evidence.unread, *unread))


def _compared_text(title: Title, evidence: Evidence) -> str | None:
    """Return the text in the picture that is compared with the title, or None if no text is compared."""
    texts = evidence.texts or ()
    text = title_match.words(texts)
    if text is None or not title.text or title.has_vectors or title_match.unread_outweighs(texts, evidence.unread):
        return None
    return text if title_match.latin(title.text) and title_match.latin(text) else None


def _reader_version() -> str:
    try:
        return importlib.metadata.version("rapidocr")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
