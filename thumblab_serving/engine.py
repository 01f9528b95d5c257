"""The scorer as one object: what is loaded, and the way from sources to an answer. Used by the service and the command."""

from collections.abc import Sequence

import numpy as np

from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.library_note import read_note
from thumblab_core.niches import Niche
from thumblab_core.releases import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.histories import Histories
from thumblab_serving.intake import Candidate, Intake, Source
from thumblab_serving.measuring import Measuring
from thumblab_serving.schemas import ScoreAnswer, ScoreForm
from thumblab_serving.scoring import NEIGHBOURS, Words, rank
from thumblab_serving.state import NotReadyError, State
from thumblab_serving.stored import NothingStoredError, Place, Stored


class Engine:
    """Blocking and safe from many threads; close it when done."""

    def __init__(self, settings: Settings) -> None:
        self.library_note = read_note(settings.data_dir)
        self.state = State(settings)
        self.measuring = Measuring(settings)
        self.stored = Stored(settings)
        self.histories = Histories(ReleaseStore(settings.releases))
        self._intake = Intake(Fetcher(settings.image_hosts), self.measuring)

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
