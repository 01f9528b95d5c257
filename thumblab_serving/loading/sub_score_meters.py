"""Measure sub-scores in the service. Meters are made once and warmed up, and measurements are cached."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import TextEncoder, Vectors, text_tower
from thumblab_core.errors import LabError
from thumblab_core.model_files import face_model
from thumblab_core.settings import Settings
from thumblab_core.sub_scores import Measurement, Meter, SubScore, Title
from thumblab_core.sub_scores.picture_measurement import PictureMeasurement
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.loading.faults import Backoff, message
from thumblab_serving.loading.sent_picture import SentPicture
from thumblab_serving.loading.shared_values import shared_looks
from thumblab_serving.loading.text_tower import TextTowerError
from thumblab_serving.workers.shared_cache import SharedCache

_CACHED = 2048
_BLANK = np.full((36, 64, 3), 127, np.uint8)


class SubScoreMeters:
    """The meters of the service. There is one meter for each way to compare titles with pictures.

    A text tower is the part of an image encoder that encodes texts. All image encoders with a text tower share one
    meter. All image encoders without a text tower share a second meter, which compares titles with texts in pictures by
    the vectors of the title encoder. There are two meters only while the lab changes from one image encoder to another.
    Many threads may use this object at the same time. With `shared`, the workers of the service share the measurements.
    """

    def __init__(self, settings: Settings, shared: SharedCache | None = None) -> None:
        self._settings = settings
        self._meters: dict[str | None, Meter] = {}
        self._missing: tuple[str, ...] | None = None
        self._failure: str | None = None
        self._backoff = Backoff()
        self._making = threading.Lock()
        self.measurements = Cache[PictureMeasurement](_CACHED, shared=shared_looks(shared))
        self.titled_measurements = Cache[Measurement](_CACHED)

    @property
    def caches(self) -> dict[str, Cache[Any]]:
        """The caches, by their names in the metrics."""
        return {"looks": self.measurements, "titled-looks": self.titled_measurements}

    @property
    def missing(self) -> tuple[str, ...] | None:
        """One sentence for each model that the meter lacks, such as the face model.

        The value is None until a meter has warmed up, and empty if the meter lacks no model.
        """
        return self._missing

    @property
    def failure(self) -> str | None:
        """Why the last attempt to make a meter failed. None if the attempt succeeded, or if there was no attempt yet."""
        return self._failure

    @property
    def is_warm(self) -> bool:
        """Whether there is a meter, and the last attempt to make a meter succeeded."""
        return bool(self._meters) and self._failure is None

    def meter(self, encoders: Encoders, fingerprint: str) -> Meter:
        """Return the meter for pictures that the image encoder `fingerprint` encodes. The first use warms up the meter.

        Raises `LabError` if the models that the settings name cannot be used. `Backoff` says when a later call tries
        again.
        """
        titles = None if text_tower(encoders.by_fingerprint(fingerprint)) else _CachedTitleEncoder(encoders)
        key = None if titles is None else titles.fingerprint
        if key not in self._meters:
            with self._making:  # A thread needs this lock only if the meter does not exist yet.
                if key not in self._meters:
                    self._meters[key] = self._make(titles)
        return self._meters[key]

    def _make(self, titles: TextEncoder | None) -> Meter:
        if self._failure is not None and not self._backoff.due:
            raise LabError(self._failure)
        try:
            meter = Meter(face_model(self._settings), titles)
            _ = meter.version  # This reads the file of the face model, and raises an error if the file is missing.
            self._missing = meter.measure_picture(_BLANK).evidence.missing
        except Exception as error:
            is_lab_error = isinstance(error, LabError)
            self._failure = str(error) if is_lab_error else f"the sub-scores cannot be measured ({message(error)})"
            self._backoff.failed(error)
            raise LabError(self._failure) from error
        self._failure = None
        self._backoff.reset()
        return meter

    def warm(self, encoders: Encoders) -> None:
        """Make and warm up the meter of each loaded image encoder. Raises `LabError` if a meter cannot be made."""
        for fingerprint in encoders.fingerprints:
            self.meter(encoders, fingerprint)

    def version(self, encoders: Encoders, fingerprint: str) -> str:
        """Return the version of the sub-scores of a picture that the image encoder `fingerprint` encodes.

        The version is written in the form in which index releases store it. If the image encoder has a text tower, the
        version includes the text tower.
        """
        return self.meter(encoders, fingerprint).version_with(text_tower(encoders.by_fingerprint(fingerprint)))

    def measure(
        self, sent: SentPicture, title: str, vector: Vectors, encoders: Encoders, fingerprint: str
    ) -> Measurement:
        """Measure a picture. `vector` is the unit vector [d] that the image encoder `fingerprint` has made of it.

        The parts that do not depend on the title are cached under the hash of the picture's bytes. If these parts are
        not cached, the picture is decoded. The whole measurement is cached under this hash and the title. Raises
        `LabError` if the picture cannot be measured.
        """
        meter = self.meter(encoders, fingerprint)
        try:
            key = (sent.sha256, meter.version)
            look = self.measurements.get(key, lambda: meter.measure_picture(sent.decoded.pixels))
            try:
                title_vector = encoders.title_in_picture_space(fingerprint, title)
            except TextTowerError as error:
                return _without_title_match(meter.with_title(look, Title()), str(error))
            under = Title(title) if title_vector is None else Title(title, vector, title_vector)
            return self.titled_measurements.get((*key, fingerprint, title), lambda: meter.with_title(look, under))
        except LabError:
            raise
        except Exception as error:  # OpenCV, numpy and OpenVINO raise errors of many types, so all are caught.
            raise LabError(f"the picture could not be measured ({type(error).__name__}: {str(error)[:120]})") from error


def _without_title_match(measurement: Measurement, reason: str) -> Measurement:
    """Return a copy of the measurement in which `title_match` has no value. `reason` says why there is no value."""
    scores = measurement.scores | {"title_match": SubScore("title_match", None, reason, None)}
    evidence = replace(measurement.evidence, missing=(*measurement.evidence.missing, reason))
    return replace(measurement, scores=scores, evidence=evidence)


class _CachedTitleEncoder:
    """A text encoder for the meter. It is the service's title encoder, with the lock and the cache of `Encoders`."""

    def __init__(self, encoders: Encoders) -> None:
        self._encoders = encoders
        self.fingerprint = encoders.title.fingerprint

    @property
    def dimension(self) -> int:
        return self._encoders.title.dimension

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._encoders.title_vector(text) for text in texts])
