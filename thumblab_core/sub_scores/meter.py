"""The meter: measures the six sub-scores of one picture, or of many at the pace of all cores."""

import hashlib
import importlib.metadata
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from queue import LifoQueue

from thumblab_core.encoders.protocol import TextEncoder, Vectors
from thumblab_core.errors import LabError
from thumblab_core.images import Pixels
from thumblab_core.sub_scores import titles
from thumblab_core.sub_scores.evidence import Evidence, Measurement, SubScore, UnreadLine
from thumblab_core.sub_scores.explanations import explained
from thumblab_core.sub_scores.faces import FaceFinder
from thumblab_core.sub_scores.looking import Eyes, Look, look
from thumblab_core.sub_scores.text import DETECTION_SIDE, TextReader

FORMULAS = "3"
"""A new one makes `visual_features` measure again."""

_ENCODED = 64

NO_TITLE = "not measured: no title was given"
NO_TEXT = "not measured: no readable text, and the image encoder has no text tower"
UNREAD = "not measured: text was found that this reader cannot read, and the image encoder has no text tower"
NOT_LATIN = "not measured: title and text are compared in Latin letters only, and the image encoder has no text tower"
NO_READER = "not measured: no text reader, and the image encoder has no text tower"
NO_ENCODER = "not measured: no title encoder, and the image encoder has no text tower"


@dataclass(frozen=True)
class Title:
    """What a picture is compared with.

    `image_vector` and `title_vector`, float32 [d], are given together where they lie in one space (a text tower), and are
    then what `title_match` is measured on; else it is the text in the picture beside the `text` of the title.
    """

    text: str | None = None
    image_vector: Vectors | None = None
    title_vector: Vectors | None = None


@dataclass(frozen=True)
class Sample:
    """A picture to measure: `load` gives it, uint8 [h, w, 3] RGB, or raises `LabError`."""

    load: Callable[[], Pixels]
    title: Title = Title()


class Meter:
    """Measures pictures. Thread-safe; its engines are loaded on first use, at most one set per core.

    `face_model` is a YuNet file for OpenCV; without it no faces are found, and the evidence says so. `title_encoder`
    compares the text in a picture with the title where picture and title have no space in common.
    """

    def __init__(self, face_model: Path | None, title_encoder: TextEncoder | None = None) -> None:
        self._face_model = face_model
        self._title_encoder = title_encoder
        self._workers = max(1, os.cpu_count() or 1)
        self._eyes: LifoQueue[Eyes | None] = LifoQueue()
        for _ in range(self._workers):
            self._eyes.put(None)
        self._encoding = threading.Lock()

    @cached_property
    def version(self) -> str:
        """Of formulas, text reader, face model and title encoder: figures of another version are measured again."""
        faces = "none" if self._face_model is None else _digest(self._face_model)
        title = "none" if self._title_encoder is None else self._title_encoder.fingerprint
        return f"{FORMULAS}/text-{_reader()}-{DETECTION_SIDE}/faces-{faces}/title-{title}"

    def measure(self, image: Pixels, title: Title = Title()) -> Measurement:
        """Measure a picture, uint8 [h, w, 3] RGB. Raises `LabError` when the face model cannot be loaded."""
        return self.titled(self.look(image), title)

    def look(self, image: Pixels) -> Look:
        """All that is measured whatever the title, and nearly all of the work; for the rest see `measure`."""
        with self._borrowed() as eyes:
            return look(image, eyes)

    def titled(self, seen: Look, title: Title) -> Measurement:
        """The measurement of a picture that was looked at, under a title: another title needs no other look."""
        return self._matched([(title, seen)])[0]

    def measure_many(self, samples: Iterable[Sample]) -> Iterator[Measurement | LabError]:
        """Measure pictures on all cores, in order; one that cannot be read or measured gives its error instead.

        The samples are taken as they are needed: there are never more than two pictures per core in memory.
        """
        waiting: deque[tuple[Title, Future[Look | LabError]]] = deque()
        done: list[tuple[Title, Look | LabError]] = []
        with ThreadPoolExecutor(self._workers, "measure") as pool:
            for sample in samples:
                waiting.append((sample.title, pool.submit(self._attempt, sample)))
                if len(waiting) >= 2 * self._workers:
                    first, future = waiting.popleft()
                    done.append((first, future.result()))
                if len(done) >= _ENCODED:
                    yield from self._settled(done)
                    done = []
            done.extend((title, future.result()) for title, future in waiting)
        yield from self._settled(done)

    def _attempt(self, sample: Sample) -> Look | LabError:
        with self._borrowed() as eyes:  # engines that cannot be loaded stop everything; a bad picture stops itself
            try:
                return look(sample.load(), eyes)
            except LabError as error:
                return error
            except Exception as error:  # noqa: BLE001  OpenCV, numpy and OpenVINO each have errors of their own
                return LabError(f"the picture could not be measured ({type(error).__name__}: {str(error)[:120]})")

    def _settled(self, done: Sequence[tuple[Title, Look | LabError]]) -> list[Measurement | LabError]:
        measured = iter(self._matched([(title, seen) for title, seen in done if isinstance(seen, Look)]))
        return [next(measured) if isinstance(seen, Look) else seen for _, seen in done]

    def _matched(self, looks: Sequence[tuple[Title, Look]]) -> list[Measurement]:
        looks = [(title, replace(seen, evidence=_told_by(title, seen.evidence))) for title, seen in looks]
        vectors = self._vectors(looks)
        return [self._measurement(title, seen, vectors) for title, seen in looks]

    def _vectors(self, looks: Sequence[tuple[Title, Look]]) -> dict[str, Vectors]:
        """Of every text and title that is compared as text, in one call of the encoder."""
        wanted: dict[str, None] = {}
        for title, seen in looks:
            said = _compared(title, seen.evidence)
            if said is not None:
                wanted |= {said: None, str(title.text): None}
        if not wanted or self._title_encoder is None:
            return {}
        with self._encoding:  # fast tokenizers stop with "Already borrowed" when two threads share one
            return dict(zip(wanted, self._title_encoder.encode_texts(list(wanted)), strict=True))

    def _measurement(self, title: Title, seen: Look, vectors: dict[str, Vectors]) -> Measurement:
        evidence = seen.evidence
        match = self._title_match(title, seen, vectors)
        if not isinstance(match, str):
            evidence = replace(evidence, title_match_by=match[1])
        scores = {name: explained(name, value, evidence) for name, value in seen.values.items()}
        scores["title_match"] = (
            SubScore("title_match", None, match, None)
            if isinstance(match, str)
            else explained("title_match", match[0], evidence)
        )
        return Measurement(scores, evidence)

    def _title_match(self, title: Title, seen: Look, vectors: dict[str, Vectors]) -> tuple[float, str] | str:
        """The value and what it was measured on, or a sentence why there is none."""
        if title.image_vector is not None and title.title_vector is not None:
            return titles.by_picture(title.image_vector, title.title_vector), titles.PICTURE
        if not title.text:
            return NO_TITLE
        if seen.evidence.texts is None:
            return NO_READER
        said = titles.words(seen.evidence.texts)
        if titles.unread_outweighs(seen.evidence.texts, seen.evidence.unread):
            return UNREAD
        if said is None:
            return NO_TEXT
        if not (titles.latin(title.text) and titles.latin(said)):
            return NOT_LATIN
        if self._title_encoder is None:
            return NO_ENCODER
        return titles.by_text(vectors[said], vectors[title.text]), titles.TEXT

    @contextmanager
    def _borrowed(self) -> Iterator[Eyes]:
        """A set of engines for this thread alone; waits while all are in use."""
        eyes = self._eyes.get()
        try:
            eyes = eyes or self._opened()
            yield eyes
        finally:
            self._eyes.put(eyes)

    def _opened(self) -> Eyes:
        try:
            reader = TextReader()
        except ImportError:
            reader = None
        return Eyes(reader, None if self._face_model is None else FaceFinder(self._face_model))


def _told_by(title: Title, evidence: Evidence) -> Evidence:
    """The evidence without the words of lines that the title shows to be misread."""
    misread = [line for line in evidence.texts or () if title.text and titles.doubtful(line, title.text)]
    if not misread:
        return evidence
    more = tuple(UnreadLine(line.box, line.height_at_120, line.contrast) for line in misread)
    texts = tuple(line for line in evidence.texts or () if line not in misread)
    return replace(evidence, texts=texts, unread=(*evidence.unread, *more))


def _compared(title: Title, evidence: Evidence) -> str | None:
    """The text that is compared with the title by its meaning; None where there is none, or it cannot be."""
    texts = evidence.texts or ()
    said = titles.words(texts)
    if said is None or not title.text or _in_one_space(title) or titles.unread_outweighs(texts, evidence.unread):
        return None
    return said if titles.latin(title.text) and titles.latin(said) else None


def _in_one_space(title: Title) -> bool:
    return title.image_vector is not None and title.title_vector is not None


def _reader() -> str:
    try:
        return importlib.metadata.version("rapidocr")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
