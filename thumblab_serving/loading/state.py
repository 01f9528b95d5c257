"""What the service has loaded: its encoders, the model and one index per niche, each the latest good release."""

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.encoders.load import image_encoder_name, new_image_encoder, title_encoder
from thumblab_core.encoders.protocol import ImageEncoder
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.niches import Niche
from thumblab_core.releases.release import ALL, INDEX, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.loading.faults import Backoff, said
from thumblab_serving.loading.slot import Loaded, Slot

if TYPE_CHECKING:  # importing the ranker imports torch
    from thumblab_core.ranking.trained_ranker import TrainedRanker

NO_MODEL = (
    "no ranking model is served yet; `thumblab refresh` trains one on what the lab holds, or run train_ranker in Dagster "
    "(`thumblab up`)"
)


class NotReadyError(LabError):
    """The service has nothing to answer with yet; the message says what makes it."""


class State:
    """Holds what is loaded. Every method is safe from many threads; those that may load are for worker threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = ReleaseStore(settings.releases)
        self.model: Slot[TrainedRanker] = Slot(self._store, MODEL, ALL, self._load_model)
        self.indices = {niche: Slot(self._store, INDEX, niche.value, self._load_index) for niche in Niche}
        self._encoders: Encoders | None = None
        self._failure: str | None = None
        self._backoff = Backoff()
        self._warming = threading.Lock()

    @property
    def slots(self) -> list["Slot[TrainedRanker] | Slot[NicheIndex]"]:
        return [self.model, *self.indices.values()]

    @property
    def warm(self) -> Encoders | None:
        """The encoders once they are warm."""
        return self._encoders

    @property
    def encoder_failure(self) -> str | None:
        """Why the encoders could not be loaded, until they are."""
        return self._failure

    def encoders(self) -> Encoders:
        """The encoders, warmed up on first use. Raises `NotReadyError`; a failure is tried again by `Backoff`."""
        if self._encoders is None:
            with self._warming:
                if self._encoders is None:
                    self._warm_up()
        assert self._encoders is not None
        return self._encoders

    def load(self) -> None:
        """Warm up, then load whatever is promoted. Raises `NotReadyError` when the encoders cannot be loaded."""
        self.encoders()
        for slot in self.slots:
            slot.current()
        self._let_go()

    def look(self) -> None:
        """Follow every pointer that moved, without waiting for a load under way and not before the encoders are warm."""
        if self._encoders is not None:
            for slot in self.slots:
                slot.look()
            self._let_go()

    def resolve(self, niche: Niche) -> "tuple[Loaded[TrainedRanker], Loaded[NicheIndex] | None, str | None]":
        """The model, the niche's index or why there is none. Reads each pointer once. Raises `NotReadyError`."""
        if self.model.vacant:
            raise NotReadyError(NO_MODEL)  # at once, not after the encoders have warmed up for nothing
        self.encoders()  # before anything is loaded: a release must not be refused because they are not there yet
        model = self.model.current()
        if model is None:
            raise NotReadyError(_no_model(self.model))
        slot = self.indices[niche]
        index = slot.current()
        self._let_go()
        refused = f"the index of {niche} was refused ({slot.refusal.reason})" if slot.refusal else None
        return model, index, None if index is not None else refused

    def _let_go(self) -> None:
        """From the first model on, encoders are kept by the releases that need them."""
        if self._encoders is not None and self.model.loaded is not None:
            self._encoders.let_go()

    def _warm_up(self) -> None:
        if self._failure is not None and not self._backoff.due:
            raise NotReadyError(self._failure)
        try:
            encoders = Encoders(title_encoder(self._settings.title_encoder), self._named_image_encoder)
            encoders.warm()
            for name in self._promoted_encoders():
                encoders.image(name)
        except Exception as error:
            self._failure = (
                str(error) if isinstance(error, LabError) else f"the encoders cannot be loaded ({said(error)})"
            )
            self._backoff.failed(error)
            raise NotReadyError(self._failure) from error
        self._encoders, self._failure = encoders, None

    def _named_image_encoder(self, name: str) -> ImageEncoder:
        # One of our own: what the process shares is never freed.
        return new_image_encoder(name, self._settings.releases)

    def _promoted_encoders(self) -> set[str]:
        """The image encoders that the promoted releases were made with; the settings' where there are none yet."""
        names = set()
        for slot in self.slots:
            with suppress(LabError, OSError, ValueError):  # whatever cannot be read is refused when it is loaded
                release = self._store.serving.current(slot.kind, slot.scope)
                if release is not None:
                    names.add(self._encoder_name(release))
        return names or {image_encoder_name(self._settings)}

    def _encoder_name(self, release: Release) -> str:
        """What the release says of its image encoder; releases made before they said so were made with the settings'."""
        said = release.info.get("encoder_name" if release.kind == INDEX else "image_encoder_name")
        return str(said) if said else image_encoder_name(self._settings)

    def _load_model(self, release: Release) -> "Loaded[TrainedRanker]":
        from thumblab_core.ranking.trained_ranker import TrainedRanker

        ranker, encoders = TrainedRanker.load(release), self.encoders()
        image = encoders.image(self._encoder_name(release))
        _same_encoder("image", ranker.model.config.image_encoder, image.fingerprint)
        _same_encoder("title", ranker.model.config.title_encoder, encoders.title.fingerprint)
        size = ranker.model.config  # asked once, so that no request waits for what is imported at the first use
        ranker.predict(
            np.zeros((1, size.image_dimension), np.float32), np.zeros((1, size.title_dimension), np.float32), ["warm"]
        )
        return Loaded(release.release_id, ranker, image)

    def _load_index(self, release: Release) -> Loaded[NicheIndex]:
        served = self.indices[Niche(release.scope)].loaded  # a change of it is read without reading all of it again
        index = NicheIndex.load(release, None if served is None else served.value)
        image = self.encoders().image(self._encoder_name(release))
        _same_encoder("image", index.encoder, image.fingerprint)
        return Loaded(release.release_id, index, image)


def _same_encoder(kind: str, theirs: str, ours: str) -> None:
    if theirs != ours:
        raise LabError(
            f"it was made with the {kind} encoder {theirs} and this service has {ours}; "
            f"make it anew with this one, or restart the service with THUMBLAB_{kind.upper()}_ENCODER set to theirs"
        )


def _no_model(slot: "Slot[TrainedRanker]") -> str:
    if slot.refusal is not None:
        return f"the promoted model {slot.refusal.release_id or ''} was refused: {slot.refusal.reason}"
    return NO_MODEL
