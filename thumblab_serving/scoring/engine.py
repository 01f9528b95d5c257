"""The scorer as one object: what is loaded, and the way from sources to an answer. Used by the service and the command."""

import io
import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.library_note import read_note
from thumblab_core.niches import Niche
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.channel_adapters import ServedAdapters
from thumblab_serving.loading.faults import Backoff, said
from thumblab_serving.loading.measuring import Measuring
from thumblab_serving.loading.state import NotReadyError, State
from thumblab_serving.loading.stored_library import NothingStoredError, Place, Stored
from thumblab_serving.schemas import ScoreAnswer, ScoreForm
from thumblab_serving.scoring.intake import EXAMINING, Candidate, Intake, Source
from thumblab_serving.scoring.rank import NEIGHBOURS, Words, rank

_log = logging.getLogger("thumblab_serving")


class Engine:
    """Blocking and safe from many threads; close it when done."""

    def __init__(self, settings: Settings) -> None:
        self.library_note = read_note(settings.data_dir)
        self.state = State(settings)
        self.measuring = Measuring(settings)
        self.stored = Stored(settings)
        self.histories = ServedAdapters(ReleaseStore(settings.releases))
        self._intake = Intake(Fetcher(settings.image_hosts), self.measuring, settings.serving_fetch_s)
        self._rehearsing = threading.Lock()
        self._rehearsed = False
        self._failure: str | None = None
        self._backoff = Backoff()

    @property
    def rehearsed(self) -> bool:
        """Whether a request has been answered, so that none that follows waits for what is made at the first use."""
        return self._rehearsed

    @property
    def rehearsal_failure(self) -> str | None:
        """Why the rehearsal failed, until one succeeds."""
        return self._failure

    @property
    def caches(self) -> dict[str, Cache[Any]]:
        """By name. Those of the encoders are there once these are warm."""
        found: dict[str, Cache[Any]] = {"looks": self.measuring.seen} | self.histories.caches
        warm = self.state.warm
        return found if warm is None else found | {"pictures": warm.pictures, "titles": warm.titles}

    def close(self) -> None:
        self._intake.close()
        self.stored.close()

    def load(self) -> None:
        """Warm up, then load whatever is promoted. Raises `NotReadyError`."""
        encoders = self.state.encoders()
        try:
            self.measuring.warm(encoders)
        except LabError as error:
            raise NotReadyError(str(error)) from None
        self.state.load()
        self.stored.warm()
        self.look()

    def look(self) -> None:
        """Follow every pointer that moved, and rehearse once there is something to answer with; waits for nobody else.

        A rehearsal that failed is tried again by `Backoff`.
        """
        self.state.look()
        able = self.state.model.loaded is not None and any(slot.loaded for slot in self.state.indices.values())
        if able and self.measuring.warmed and not self._rehearsed and self._rehearsing.acquire(blocking=False):
            try:
                if self._backoff.due:
                    self._rehearse()
            finally:
                self._rehearsing.release()

    def score(self, sources: Sequence[Source], asked: ScoreForm) -> ScoreAnswer:
        """Rank the sources as asked. Raises `NotReadyError`; a source that cannot be read is an error of its item."""
        title, niche = asked.title, asked.category
        model, index, no_index = self.state.resolve(niche)
        encoders = self.state.encoders()
        # The library's first: its sub-scores were measured with it.
        used = [index.value.encoder] if index is not None else []
        fingerprints = list(dict.fromkeys([*used, model.value.model.config.image_encoder]))
        try:
            version = self.measuring.version(encoders, fingerprints[0])
        except LabError as error:  # of the settings, and not of a picture
            raise NotReadyError(str(error)) from None
        candidates = self._intake.examine(sources, title, encoders, fingerprints)
        stored: dict[str, Place] | str | None = None
        if index is None:
            stored = self._stored(candidates, niche, model.value.model.config.image_encoder)
        history = None if asked.channel_id is None else self.histories.of(asked.channel_id, model)
        words = Words(title, encoders.words(title))
        return rank(candidates, words, niche, model, index, version, no_index, stored, history)

    def _rehearse(self) -> None:
        niche = next(niche for niche, slot in self.state.indices.items() if slot.loaded)
        # One for each of the threads that examine.
        sources = [Source(str(number), data=_drawn(number)) for number in range(EXAMINING)]
        try:
            self.score(sources, ScoreForm(title="warm", category=niche))
        except Exception as error:  # noqa: BLE001  a broken runtime may raise anything; /health says it and the process lives on
            self._failure = f"the first answer could not be made ({said(error)})"
            self._backoff.failed(error)
            _log.warning("%s; tried again in %.0f seconds", self._failure, self._backoff.seconds)
        else:
            self._rehearsed, self._failure = True, None

    def _stored(self, candidates: Sequence[Candidate], niche: Niche, encoder: str) -> dict[str, Place] | str:
        """Where the candidates stand by the database, or why it does not say. In the space of the model's encoder, the only
        one that they are in for certain."""
        vectors = {c.id: c.examined.vectors[encoder] for c in candidates if c.examined is not None}
        if not vectors:
            return {}
        try:
            places = self.stored.places(niche, encoder, np.stack(list(vectors.values())), NEIGHBOURS)
        except NothingStoredError as error:
            return str(error)
        return dict(zip(vectors, places, strict=True))


def _drawn(number: int) -> bytes:
    """A thumbnail with something to read in it."""
    image = Image.new("RGB", (640, 360), (20, 60, 90 + 10 * number))
    font = ImageFont.load_default(size=90)
    ImageDraw.Draw(image).text((40, 120), f"READY {number}", fill="white", font=font)
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()
