"""Choose the channel adapter with which a request is answered.

There are two kinds of channel adapters. The model's own adapters were fitted when the model was trained. An added
adapter was fitted later, by `thumblab channel add`, and works with one model only. If the channel has an added adapter
for the served model, the added adapter is chosen. Otherwise, the model's own adapter of the channel is chosen. If an
adapter cannot be used, the answer says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.channel_adapters import ChannelAdapter, ChannelAdapters, is_channel_id
from thumblab_core.ranking.skill import Skill
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.faults import is_transient, message
from thumblab_serving.loading.served_release import Loaded

T = TypeVar("T")

_CACHED, _CACHED_BYTES = 1024, 160 * 2**20
"""Maximum number of adapters, and maximum number of bytes, in each of the two caches. An adapter takes up to about 7
MB.
"""


_SHOWN = 100
"""Maximum length of the name of an unknown channel in an answer, in characters."""


@dataclass(frozen=True)
class AdapterChoice:
    """The channel adapter with which the pictures of a request are ranked.

    `adapter` is None if the channel has no usable adapter. `release` is the release of an added adapter, and None for
    the model's own adapter. `reason` says why there is no adapter, or why the added adapter is not used. `reason` is
    None if nothing is wrong. `own_past` is the skill of an added adapter on the channel's own newest videos, or None if
    it was not measured. `title` is the title of the channel, or None if it is not known. `trained_on` says whether the
    model was trained on videos of the channel.
    """

    channel_id: str
    adapter: Adapter | None
    release: str | None = None
    reason: str | None = None
    own_past: Skill | None = None
    trained_on: bool = False
    title: str | None = None


class ServedAdapters:
    """The channel adapters of the service. `choose` returns the adapter for a channel and a model.

    The pointer to a channel's added adapter is read for each request. The adapters themselves are cached. Many threads
    may use this object at the same time.
    """

    def __init__(self, store: ReleaseStore) -> None:
        self._store = ChannelAdapters(store)
        self._added = Cache[ChannelAdapter | LabError](_CACHED, _CACHED_BYTES)
        self._own = Cache[Adapter | LabError | None](_CACHED, _CACHED_BYTES)

    @property
    def caches(self) -> dict[str, Cache[Any]]:
        """The caches of the added adapters and of the model's own adapters, by their names in the metrics."""
        return {"added-histories": self._added, "own-histories": self._own}

    def choose(self, channel_id: str, model: Loaded[TrainedRanker]) -> AdapterChoice:
        """Return the adapter of a channel for this model, or why there is none. Never raises an error.

        If `ChannelNames` did not find the channel of a request, `channel_id` is the name from the request. Such a name
        has no adapter.
        """
        if not is_channel_id(channel_id):
            unknown = (
                f"the lab knows no channel, or several channels, called {channel_id[:_SHOWN]!r}; give its id (UC...), "
                "or add the channel with `thumblab channel add`"
            )
            return AdapterChoice(channel_id, None, None, unknown)
        again = f"run `thumblab channel add {channel_id}` again"
        reason = None
        try:
            added = self._find_added(channel_id)
        except LabError as error:
            reason = f"the added channel adapter of {channel_id} cannot be used ({error}); {again}"
            added = None
        if added is not None:
            fault = added.about.fault(model.release_id)
            if fault is None:
                trained_on = isinstance(self._load_own(channel_id, model), Adapter)
                return AdapterChoice(
                    channel_id, added.adapter, added.release_id, own_past=added.own_past, trained_on=trained_on
                )
            reason = f"the added channel adapter of {channel_id} is not used, because {fault}; {again}"
        return self._choose_own(channel_id, model, reason)

    def _choose_own(self, channel_id: str, model: Loaded[TrainedRanker], reason: str | None) -> AdapterChoice:
        """Return the model's own adapter of the channel.

        `reason` says why the channel's added adapter is not used, or is None if the channel has no added adapter.
        """
        own = self._load_own(channel_id, model)
        if isinstance(own, Adapter):
            instead = reason and f"{reason}; until then the model's own channel adapter is used"
            return AdapterChoice(channel_id, own, None, instead, trained_on=True)
        if isinstance(own, LabError):
            damaged = f"the model's own channel adapter of {channel_id} cannot be read ({own}); promote another model"
            return AdapterChoice(channel_id, None, None, reason or damaged)
        unknown = f"the lab has no channel adapter for {channel_id}; add one with `thumblab channel add {channel_id}`"
        return AdapterChoice(channel_id, None, None, reason or unknown)

    def _load_own(self, channel_id: str, model: Loaded[TrainedRanker]) -> Adapter | LabError | None:
        """Return the model's own adapter of the channel, or None if the model was not trained on this channel."""
        return _load_once(self._own, (model.release_id, channel_id), lambda: model.value.adapter(channel_id))

    def _find_added(self, channel_id: str) -> ChannelAdapter | None:
        """Return the channel's added adapter, or None if there is none. Raises `LabError` if the adapter cannot be
        loaded.
        """
        release_id = self._store.current_id(channel_id)
        if release_id is None:
            return None
        added = self._load_added(channel_id, release_id)
        newer = self._store.current_id(channel_id) if isinstance(added, LabError) else None
        if newer not in (None, release_id):
            # After `release_id` was read, another process promoted a newer release and deleted this release.
            added = self._load_added(channel_id, str(newer))
        if isinstance(added, LabError):
            # Raise a copy of the cached error. If the cached error itself were raised, each `raise` would make the
            # traceback of this error longer.
            raise LabError(str(added))
        return added

    def _load_added(self, channel_id: str, release_id: str) -> ChannelAdapter | LabError:
        return _load_once(self._added, (channel_id, release_id), lambda: self._store.load(channel_id, release_id))


def _load_once(cache: Cache[T | LabError], key: tuple[str, str], load: Callable[[], T]) -> T | LabError:
    """Return the cached result for `key`.

    If nothing is cached, return what the function `load` returns, or a `LabError` that says why `load` failed.

    An error about a damaged file is cached, so that the file is not read again for every request. A transient error is
    not cached, because `load` may succeed for the next request.
    """

    def make() -> T | LabError:
        try:
            return load()
        except Exception as error:
            if is_transient(error):
                raise
            return LabError(message(error))

    try:
        return cache.get(key, make)
    except Exception as error:  # noqa: BLE001  a damaged file may raise any error, and the answer needs no adapter
        return LabError(message(error))
