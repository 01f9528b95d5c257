"""Load and keep the parts with which the service answers: the model, the index of each niche, and the encoders.

The model and the indices are the latest releases that the service can use.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from thumblab_core.encoders.load import image_encoder_name, new_image_encoder, title_encoder
from thumblab_core.encoders.protocol import ImageEncoder
from thumblab_core.errors import LabError, NoServedModelError
from thumblab_core.index import NicheIndex
from thumblab_core.niches import NicheFile, UnknownNicheError
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release import ALL, INDEX, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.loading.faults import Backoff, message
from thumblab_serving.loading.served_release import Loaded, ServedRelease
from thumblab_serving.workers.shared_cache import SharedCache

NO_MODEL = (
    "no ranking model is served yet; `thumblab refresh` trains one on what the lab holds, or run train_ranker in Dagster "
    "(`thumblab up`)"
)


class NotReadyError(LabError):
    """The error that is raised while the service cannot answer requests yet. The message says what to do."""


class NoModelError(NotReadyError, NoServedModelError):
    """The error that is raised while the service cannot answer requests because no model is promoted."""


@dataclass(frozen=True)
class Resolved:
    """The releases that one request uses. The request keeps them even if other releases are promoted meanwhile.

    `index_refusal` says why the promoted index was refused. `index_refusal` is None if no index was refused, or if an
    older index is used instead.
    """

    model: Loaded[TrainedRanker]
    index: Loaded[NicheIndex] | None
    index_refusal: str | None


class ServedReleases:
    """The served model and indices, with their encoders. Many threads may use this object at the same time.

    A method that may load a release or an encoder blocks the calling thread, so call it from worker threads. With
    `shared`, the workers of the service share the vectors of the encoders.
    """

    def __init__(self, settings: Settings, shared: SharedCache | None = None) -> None:
        self._settings = settings
        self._shared = shared
        self._store = ReleaseStore(polled_place(settings))
        self.model: ServedRelease[TrainedRanker] = ServedRelease(self._store, MODEL, ALL, self._load_model)
        self.niches = NicheFile(settings.data_dir)
        self._indices: dict[str, ServedRelease[NicheIndex]] = {}
        self._following_niches = threading.Lock()
        self._encoders: Encoders | None = None
        self._failure: str | None = None
        self._backoff = Backoff()
        self._warming = threading.Lock()

    @property
    def indices(self) -> Mapping[str, "ServedRelease[NicheIndex]"]:
        """The `ServedRelease` of the index of each niche that the lab has now, by the name of the niche.

        A returned mapping never changes. After a niche was added or retired, a new access returns a new mapping.
        """
        names = self.niches.names
        if tuple(self._indices) != names:
            with self._following_niches:
                known = self._indices
                self._indices = {
                    name: known.get(name) or ServedRelease(self._store, INDEX, name, self._load_index) for name in names
                }
        return self._indices

    def index_of(self, niche: str) -> "ServedRelease[NicheIndex]":
        """Return the `ServedRelease` of the index of a niche. Raises `UnknownNicheError` if the lab has no such niche."""
        indices = self.indices
        if niche not in indices:
            raise UnknownNicheError(niche, tuple(indices))
        return indices[niche]

    @property
    def slots(self) -> list["ServedRelease[TrainedRanker] | ServedRelease[NicheIndex]"]:
        """The `ServedRelease` objects: one for the model, and one for the index of each niche."""
        return [self.model, *self.indices.values()]

    @property
    def warm_encoders(self) -> Encoders | None:
        """The encoders, or None if they are not warmed up yet. Loads nothing."""
        return self._encoders

    @property
    def encoder_failure(self) -> str | None:
        """Why the last attempt to load the encoders failed. None if the attempt succeeded, or if there was no attempt
        yet.
        """
        return self._failure

    def encoders(self) -> Encoders:
        """Return the encoders. The first call warms up the encoders.

        Raises `NotReadyError` if the encoders cannot be loaded. `Backoff` says when a later call tries again.
        """
        if self._encoders is None:
            with self._warming:
                if self._encoders is None:
                    self._warm_up()
        assert self._encoders is not None
        return self._encoders

    def load(self) -> None:
        """Warm up the encoders, then load all promoted releases. Raises `NotReadyError` if encoders fail to load."""
        self.encoders()
        for slot in self.slots:
            slot.current()
        self._drop_unused_encoders()

    def follow_pointers(self, patience: float) -> None:
        """Load the releases that were promoted since the last call. Wait at most `patience` seconds for them.

        A release that takes longer is loaded in the background. Before the encoders are warm, this method does nothing.
        """
        if self._encoders is not None:
            deadline = time.monotonic() + patience
            for slot in self.slots:
                slot.follow_pointer(max(0.0, deadline - time.monotonic()))
            self._drop_unused_encoders()

    def watch_pointers(self) -> None:
        """Begin to load the releases that were promoted since the last call. Does not wait for them."""
        for slot in self.slots:
            slot.watch_pointer()
        self._drop_unused_encoders()

    def forget_indices(self) -> list[str]:
        """Forget the loaded indices, so that they are read from the disk again. Return the niches whose index was
        loaded.
        """
        return [niche for niche, slot in self.indices.items() if slot.forget()]

    def resolve(self, niche: str) -> "Resolved":
        """Return the releases with which a request for a niche is answered. Reads each pointer once.

        Raises `NotReadyError` if no model can be used, or if the encoders cannot be loaded.
        """
        if self.model.is_empty:
            # Check for a model before the encoders are loaded, because the encoders are useless without a model.
            raise NoModelError(NO_MODEL, self._settings.data_dir)
        self.encoders()  # Load the encoders first. A release without encoders is refused.
        model = self.model.current()
        if model is None:
            raise NotReadyError(_no_model(self.model))
        return Resolved(model, *self.resolve_index(niche))

    def resolve_index(self, niche: str) -> tuple[Loaded[NicheIndex] | None, str | None]:
        """Return the usable index of a niche, and None. If there is none, return None and why the index was refused.

        Both values are None if no index is promoted.

        A request that needs no model may call this method directly. Raises `NotReadyError` if the encoders cannot be
        loaded.
        """
        self.encoders()
        slot = self.index_of(niche)
        index, refusal = slot.current(), slot.refusal
        self._drop_unused_encoders()
        if index is not None or refusal is None:
            return index, None
        return None, f"the index of {niche} was refused ({refusal.reason})"

    def _drop_unused_encoders(self) -> None:
        """Drop the encoders that no loaded release uses. Before a model is loaded, drop no encoder."""
        if self._encoders is not None and self.model.loaded is not None:
            self._encoders.drop_unused()

    def _warm_up(self) -> None:
        if self._failure is not None and not self._backoff.due:
            raise NotReadyError(self._failure)
        try:
            encoders = Encoders(title_encoder(self._settings.title_encoder), self._new_image_encoder, self._shared)
            encoders.warm()
            for name in self._promoted_encoders():
                encoders.image(name)
        except Exception as error:
            is_lab_error = isinstance(error, LabError)
            self._failure = str(error) if is_lab_error else f"the encoders cannot be loaded ({message(error)})"
            self._backoff.failed(error)
            raise NotReadyError(self._failure) from error
        self._encoders, self._failure = encoders, None

    def _new_image_encoder(self, name: str) -> ImageEncoder:
        # Make a separate encoder, which is freed when no release needs it. The encoder that all code of the process
        # shares would never be freed.
        return new_image_encoder(name, polled_place(self._settings))

    def _promoted_encoders(self) -> set[str]:
        """Return the names of the image encoders of all promoted releases.

        If nothing is promoted, or if no promoted release can be read, return the name in the settings.
        """
        names = set()
        for slot in self.slots:
            with suppress(LabError, OSError, ValueError):  # An unreadable release is refused later, when it is loaded.
                release = self._store.serving.current(slot.kind, slot.scope)
                if release is not None:
                    names.add(self._encoder_name(release))
        return names or {image_encoder_name(self._settings)}

    def _encoder_name(self, release: Release) -> str:
        """Return the name of a release's image encoder.

        An old release does not state this name. For such a release, return the name in the settings.
        """
        name = release.info.get("encoder_name" if release.kind == INDEX else "image_encoder_name")
        return str(name) if name else image_encoder_name(self._settings)

    def _load_model(self, release: Release) -> Loaded[TrainedRanker]:
        ranker, encoders = TrainedRanker.load(release), self.encoders()
        image = encoders.image(self._encoder_name(release))
        config = ranker.model.config
        _check_same_encoder("image", config.image_encoder, image.fingerprint)
        _check_same_encoder("title", config.title_encoder, encoders.title.fingerprint)
        # The first prediction imports the packages that hash words. Predict once now, so that no request waits for
        # these imports.
        ranker.predict(
            np.zeros((1, config.image_dimension), np.float32),
            np.zeros((1, config.title_dimension), np.float32),
            ["warm"],
        )
        return Loaded(release.release_id, ranker, image)

    def _load_index(self, release: Release) -> Loaded[NicheIndex]:
        served = self.index_of(release.scope).loaded
        # Files that the new release shares with the served release are not read again.
        index = NicheIndex.load(release, None if served is None else served.value)
        index.prepare()
        image = self.encoders().image(self._encoder_name(release))
        _check_same_encoder("image", index.encoder, image.fingerprint)
        return Loaded(release.release_id, index, image)


def _check_same_encoder(kind: str, release_encoder: str, service_encoder: str) -> None:
    """Raise `LabError` if a release was made with another encoder than the service has."""
    if release_encoder != service_encoder:
        raise LabError(
            f"it was made with the {kind} encoder {release_encoder} and this service has {service_encoder}; "
            f"make it again with the service's encoder, or set THUMBLAB_{kind.upper()}_ENCODER to the encoder of the "
            "release and restart the service"
        )


def _no_model(slot: ServedRelease[TrainedRanker]) -> str:
    if slot.refusal is not None:
        return f"the promoted model {slot.refusal.release_id or ''} was refused: {slot.refusal.reason}"
    return NO_MODEL
