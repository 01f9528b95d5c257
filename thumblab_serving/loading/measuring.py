"""The meter as a service needs it: made once, warm, and never looking at the same picture twice."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thumblab_core.encoders.protocol import TextEncoder, Vectors, text_tower
from thumblab_core.errors import LabError
from thumblab_core.images import Picture
from thumblab_core.model_files import face_model
from thumblab_core.settings import Settings
from thumblab_core.sub_scores import Measurement, Meter, SubScore, Title
from thumblab_core.sub_scores.picture_measurement import PictureMeasurement
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.loading.faults import Backoff, said
from thumblab_serving.loading.text_tower import TextTowerError

_CACHED = 2048
_BLANK = np.full((36, 64, 3), 127, np.uint8)


class Measuring:
    """Measures pictures with one meter per title encoder, which is one in all but a change of encoders. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._meters: dict[str | None, Meter] = {}
        self._missing: tuple[str, ...] | None = None
        self._failure: str | None = None
        self._backoff = Backoff()
        self._making = threading.Lock()
        self.seen = Cache[PictureMeasurement](_CACHED)

    @property
    def missing(self) -> tuple[str, ...] | None:
        """What the meter has to do without, in plain sentences; None before it has warmed up."""
        return self._missing

    @property
    def failure(self) -> str | None:
        """Why there is no meter, until there is one."""
        return self._failure

    @property
    def warmed(self) -> bool:
        """There is a meter, and nothing failed since it was made."""
        return bool(self._meters) and self._failure is None

    def meter(self, encoders: Encoders, fingerprint: str) -> Meter:
        """The meter that goes with that image encoder, warmed up on first use.

        Raises `LabError` when what the settings name cannot be used; that is tried again by `Backoff`.
        """
        titles = None if text_tower(encoders.of(fingerprint)) else _Titles(encoders)
        name = None if titles is None else titles.fingerprint
        if name not in self._meters:
            with self._making:  # who has a meter does not wait for another one
                if name not in self._meters:
                    self._meters[name] = self._made(titles)
        return self._meters[name]

    def _made(self, titles: TextEncoder | None) -> Meter:
        if self._failure is not None and not self._backoff.due:
            raise LabError(self._failure)
        try:
            meter = Meter(face_model(self._settings), titles)
            _ = meter.version  # reads the face model: it must be there
            self._missing = meter.look(_BLANK).evidence.missing
        except Exception as error:
            told = isinstance(error, LabError)
            self._failure = str(error) if told else f"the sub-scores cannot be measured ({said(error)})"
            self._backoff.failed(error)
            raise LabError(self._failure) from error
        self._failure = None
        self._backoff.reset()
        return meter

    def warm(self, encoders: Encoders) -> None:
        """Make the meter of each encoder that is warm. Raises `LabError`."""
        for fingerprint in encoders.fingerprints:
            self.meter(encoders, fingerprint)

    def version(self, encoders: Encoders, fingerprint: str) -> str:
        """Of the meter, and of the text tower where `title_match` is measured with one; as the library's release says it."""
        return self.meter(encoders, fingerprint).version_with(text_tower(encoders.of(fingerprint)))

    def measure(
        self, picture: Picture, title: str, vector: Vectors, encoders: Encoders, fingerprint: str
    ) -> Measurement:
        """Of a picture with its unit vector [d] of the image encoder `fingerprint`; what was seen is remembered under the
        hash of its bytes, whatever the title. Raises `LabError`.
        """
        meter = self.meter(encoders, fingerprint)
        try:
            seen = self.seen.get((picture.sha256, meter.version), lambda: meter.look(picture.pixels))
            try:
                words = encoders.words_beside_pictures(fingerprint, title)
            except TextTowerError as error:
                return _without_match(meter.titled(seen, Title()), str(error))
            return meter.titled(seen, Title(title) if words is None else Title(title, vector, words))
        except LabError:
            raise
        except Exception as error:  # OpenCV, numpy and OpenVINO each have errors of their own
            raise LabError(f"the picture could not be measured ({type(error).__name__}: {str(error)[:120]})") from error


def _without_match(found: Measurement, why: str) -> Measurement:
    """The measurement with the reason why the title was not compared."""
    scores = found.scores | {"title_match": SubScore("title_match", None, why, None)}
    return replace(found, scores=scores, evidence=replace(found.evidence, missing=(*found.evidence.missing, why)))


class _Titles:
    """The service's title encoder with its lock and its cache: a text encoder for the meter."""

    def __init__(self, encoders: Encoders) -> None:
        self._encoders = encoders
        self.fingerprint = encoders.title.fingerprint

    @property
    def dimension(self) -> int:
        return self._encoders.title.dimension

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._encoders.words(text) for text in texts])
