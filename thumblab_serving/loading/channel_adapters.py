"""The history that an answer is adapted to: one that was added for the model that serves, or else the model's own.

The model's own histories were fitted at training. One that was added (`thumblab channel add`) is newer and comes first, but
is good for its own model only. Whatever is wrong with a history, the answer goes on without it and says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import LEAST_VIDEOS, Adapter
from thumblab_core.ranking.channel_adapters import ChannelAdapter, ChannelAdapters
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.faults import passing, said
from thumblab_serving.loading.slot import Loaded

if TYPE_CHECKING:  # importing the ranker imports torch
    from thumblab_core.ranking.trained_ranker import TrainedRanker

T = TypeVar("T")

_CACHED, _CACHED_BYTES = 1024, 160 * 2**20
"""Of each kind; a history takes up to 5 MB."""


@dataclass(frozen=True)
class Known:
    """What is known of a channel. `adapter` is None where there is no history to use; `release` names an added one.

    `reason` says why there is none, or why the added one is not the one that is used; None where all is well.
    """

    channel_id: str
    adapter: Adapter | None
    release: str | None = None
    reason: str | None = None


class ServedAdapters:
    """Finds the history of a channel for a model. Safe from many threads; reads the channel's pointer once per request."""

    def __init__(self, store: ReleaseStore) -> None:
        self._added = ChannelAdapters(store)
        self._read = Cache[ChannelAdapter | LabError](_CACHED, _CACHED_BYTES)
        self._own = Cache[Adapter | LabError | None](_CACHED, _CACHED_BYTES)

    @property
    def caches(self) -> dict[str, Cache[Any]]:
        """By name."""
        return {"added-histories": self._read, "own-histories": self._own}

    def of(self, channel_id: str, model: "Loaded[TrainedRanker]") -> Known:
        """The history of a channel as the model can use it. Raises nothing."""
        again = f"run `thumblab channel add {channel_id}` again"
        reason = None
        try:
            added = self._find(channel_id)
        except LabError as error:
            reason = f"the history of {channel_id} that was added is not usable ({error}); {again}"
            added = None
        if added is not None and added.about.model != model.release_id:
            reason = f"the history of {channel_id} that was added is of another model; {again}"
        elif added is not None:
            if added.adapter is not None:
                return Known(channel_id, added.adapter, added.release_id)
            few = f"{added.about.videos} of the {LEAST_VIDEOS} videos that a history takes"
            reason = f"of {channel_id} the lab has {few}; when there are more, {again}"
        return self._learnt(channel_id, model, reason)

    def _learnt(self, channel_id: str, model: "Loaded[TrainedRanker]", reason: str | None) -> Known:
        """The model's own history of the channel; `reason` says what was wrong with the one that was added."""
        own = _read_once(self._own, (model.release_id, channel_id), lambda: model.value.adapter(channel_id))
        if isinstance(own, Adapter):
            return Known(channel_id, own, None, reason and f"{reason}; until then what the model learnt of it is used")
        if isinstance(own, LabError):
            damaged = f"the model's own history of {channel_id} cannot be read ({own}); promote another model"
            return Known(channel_id, None, None, reason or damaged)
        unknown = f"no history of the channel {channel_id} is known; add it with `thumblab channel add {channel_id}`"
        return Known(channel_id, None, None, reason or unknown)

    def _find(self, channel_id: str) -> ChannelAdapter | None:
        """The history that was added, None where none was. Raises `LabError` when it cannot be used."""
        release_id = self._added.current_id(channel_id)
        if release_id is None:
            return None
        found = self._loaded(channel_id, release_id)
        newer = self._added.current_id(channel_id) if isinstance(found, LabError) else None
        if newer not in (None, release_id):  # it was replaced, and removed, between the pointer and the file
            found = self._loaded(channel_id, str(newer))
        if isinstance(found, LabError):
            raise LabError(str(found))  # a new one: each raising adds to what an error holds
        return found

    def _loaded(self, channel_id: str, release_id: str) -> ChannelAdapter | LabError:
        return _read_once(self._read, (channel_id, release_id), lambda: self._added.load(channel_id, release_id))


def _read_once(cache: Cache[T | LabError], name: tuple[str, str], read: Callable[[], T]) -> T | LabError:
    """What is read, or why it cannot be. Damage is remembered too, and not read again for every request.

    What the disk or the system refused is not remembered: it may be over by the next request.
    """

    def make() -> T | LabError:
        try:
            return read()
        except Exception as error:
            if passing(error):
                raise
            return LabError(said(error))

    try:
        return cache.get(name, make)
    except Exception as error:  # noqa: BLE001  whatever a file raises, the answer goes on
        return LabError(said(error))
