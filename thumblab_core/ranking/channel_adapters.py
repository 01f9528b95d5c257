"""Channel adapters that were added after a model was trained. Each adapter is a release of kind `adapter`.

The scope of the release is the channel.

    adapter/<channel_id>/<release_id>/adapters.safetensors      the adapter, see the module `adapters`
    adapter/<channel_id>/<release_id>/videos.json               the ids of all videos whose data the adapter uses

If the channel has fewer than five videos, `adapters.safetensors` contains no adapter. An adapter is fitted on the
inputs of one model and works with this model only. The manifest of the adapter's release contains the id of the model's
release.
"""

import json
import re
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumblab_core.errors import LabError
from thumblab_core.near_names import suggestion
from thumblab_core.ranking.adapters import LEAST_VIDEOS, Adapter, Adapters
from thumblab_core.ranking.skill import PACKAGE, Skill
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore

ADAPTER = "adapter"
"""The kind of the releases that contain channel adapters."""

CHANNEL_ID = "[A-Za-z0-9_-]{1,64}"
"""Pattern of a channel id. The id becomes the name of a folder, so it has neither dots nor slashes."""

_CHANNEL_ID = re.compile(CHANNEL_ID)

_FIGURES = ("adapted", "adapted_low", "adapted_high")
"""Names of three figures in the manifest of a release: the AUC on the channel's own past, and the ends of its 95 %
interval.
"""


@dataclass(frozen=True)
class ChannelAdapterInfo:
    """The description of a channel adapter in the manifest of its release.

    `model`: release id of the model for which the adapter was fitted. `videos`: number of videos in the adapter.
    `newest`: publication time of the newest of these videos (ISO 8601), or None if there are none. `handle`: the
    channel's @handle in lower case, or None if the @handle was unknown. `niche`: the niche of most of the channel's
    videos, or None in older releases.
    """

    channel_id: str
    title: str
    model: str
    videos: int
    newest: str | None
    handle: str | None = None
    niche: str | None = None

    def fault(self, served: str | None) -> str | None:
        """Return a clause that says why answers of the model `served` do not use this adapter. Return None if answers
        use the adapter.

        `served` is None if no model is served.
        """
        if served is None:
            return "no model is served"
        if self.model != served:
            return "it was made for another model than the served model"
        if self.videos < LEAST_VIDEOS:
            return f"it has {self.videos} of the {LEAST_VIDEOS} videos that a channel adapter needs"
        return None


@dataclass(frozen=True)
class ChannelAdapter:
    """A channel adapter that was read from its release. `adapter` is None if the channel has too few videos.

    `own_past`: how accurately an adapter that was fitted on the channel's older videos orders its newest videos, or
    None if the newest videos make too few pairs.
    """

    release_id: str
    about: ChannelAdapterInfo
    adapter: Adapter | None
    own_past: Skill | None = None


class ChannelAdapters:
    """The channel adapters in a release store. Methods that take a channel id raise `LabError` for an invalid id."""

    def __init__(self, store: ReleaseStore) -> None:
        self.store = store

    def channels(self) -> list[str]:
        """Return the sorted ids of the channels that have an adapter, even if the adapter is damaged."""
        names = [scope for _, scope in self.store.scopes(ADAPTER)]
        return sorted(name for name in names if _CHANNEL_ID.fullmatch(name) and self._exists(name))

    def titles(self) -> dict[str, str]:
        """Return the title of each channel that has an adapter, by channel id.

        The titles are read from the manifests of the adapters' releases. If a manifest cannot be read, the title is
        empty.
        """
        return {channel_id: title for channel_id, (title, _) in self._names().items()}

    def title(self, channel_id: str) -> str | None:
        """Return the title of a channel. Return None if the channel has no adapter, or if the adapter's manifest is
        unreadable.
        """
        return self._name(_checked(channel_id))[0] or None

    def find(self, name: str) -> str | None:
        """Return the id of the channel whose id, @handle or exact title is `name`, or None. Only channels with an
        adapter are searched.

        Raises `LabError` if several channels have this title.
        """
        names = self._names()
        if name in names:
            return name
        of_handle = [channel_id for channel_id, (_, handle) in names.items() if handle and handle == name.lower()]
        if len(of_handle) == 1:
            return of_handle[0]
        titles = {channel_id: title for channel_id, (title, _) in names.items()}
        ids = [channel_id for channel_id, title in titles.items() if title and title == name]
        if len(ids) > 1:
            raise LabError(f"{len(ids)} added channels are called {name!r}; give the id of one: {', '.join(ids)}")
        return ids[0] if ids else None

    def suggestion(self, name: str) -> str:
        """Return "; do you mean TITLE?", where TITLE is the title most similar to `name`.

        `name` is a title or a @handle that a person typed. The result is empty if no title is similar to `name`.
        """
        return suggestion(name.removeprefix("@"), filter(None, self.titles().values()))

    def not_found(self, name: str) -> str:
        """Return the error sentence for a `name` that has no adapter. The sentence suggests the title that is probably
        meant.
        """
        hint = self.suggestion(name)
        return f"no adapter of {name!r} was added{hint or ';'} `thumblab channel list` lists the added channels"

    def current_id(self, channel_id: str) -> str | None:
        """Return the id of the release that is served as the channel's adapter, or None if no adapter is served.

        Only one small file is read, so every request may call this. Raises `LabError` if the pointer cannot be read.
        """
        scope = _checked(channel_id)
        try:
            return self.store.serving.current_id(ADAPTER, scope)
        except (OSError, ValueError) as error:
            raise LabError(f"the pointer of {ADAPTER}/{scope} cannot be read ({type(error).__name__})") from None

    def load(self, channel_id: str, release_id: str) -> ChannelAdapter:
        """Verify and read a channel adapter. Raises `LabError` if it is damaged or of another channel."""
        release = self.store.get(ADAPTER, _checked(channel_id), release_id)
        release.verify()
        about = adapter_info(release)
        # On some file systems, two ids that differ only in upper and lower case share one folder. So the id is compared
        # with the id in the manifest.
        if about.channel_id != channel_id:
            raise LabError(f"{release} is the adapter of another channel")
        try:
            adapter = Adapters.load(release.path).of(channel_id, int(release.info["dimension"]))
        except LabError:
            raise
        except Exception as error:  # noqa: BLE001  a file of an unknown format may raise anything
            raise LabError(f"{release} cannot be read ({type(error).__name__}: {str(error)[:200]})") from None
        if adapter is None and about.videos >= LEAST_VIDEOS:
            raise LabError(f"{release} has no adapter, although the channel has {about.videos} videos")
        return ChannelAdapter(release_id, about, adapter, _own_past(release))

    def publish(
        self,
        about: ChannelAdapterInfo,
        adapter: Adapter | None,
        dimension: int,
        videos: list[str],
        more: dict[str, Any],
        run_id: str | None = None,
    ) -> Release:
        """Publish and serve a channel adapter, and remove the channel's older releases.

        The older releases may contain data of videos that were deleted after these releases were made. `dimension`:
        number of the model's inputs. `videos`: ids of all videos whose data the adapter uses. `more`: further entries
        of the manifest.
        """
        scope = _checked(about.channel_id)

        def write(folder: Path) -> None:
            Adapters({} if adapter is None else {scope: adapter}).save(folder)
            (folder / "videos.json").write_text(json.dumps(videos))

        info = {**vars(about), "dimension": dimension, **more}
        release = self.store.publish(ADAPTER, scope, write, info, run_id)
        self.store.serving.promote(release)
        self.store.prune(ADAPTER, scope, keep=1)
        return release

    def changing(self, channel_id: str) -> AbstractContextManager[None]:
        """Lock the channel's adapter inside the `with` block, so that no other process changes it."""
        return self.store.serving.changing(ADAPTER, _checked(channel_id))

    def remove(self, channel_id: str) -> bool:
        """Stop serving the channel's adapter and delete all its releases. Return whether the channel had an adapter."""
        scope = _checked(channel_id)
        if (ADAPTER, scope) not in self.store.scopes(ADAPTER):
            return False
        with self.changing(scope):
            existed = self._exists(scope)
            self.store.serving.withdraw(ADAPTER, scope)
            for release in self.store.all(ADAPTER, scope):
                self.store.remove(release)
            self.store.discard_unreadable(ADAPTER, scope)
        return existed

    def _names(self) -> dict[str, tuple[str, str | None]]:
        """Return the title and the @handle of each channel that has an adapter, by channel id."""
        return {channel_id: self._name(channel_id) for channel_id in self.channels()}

    def _name(self, channel_id: str) -> tuple[str, str | None]:
        """Return the title and the @handle of a channel. The title is empty if the manifest cannot be read."""
        with suppress(LabError, OSError, ValueError):
            release = self.store.serving.current(ADAPTER, channel_id)
            if release is not None:
                about = adapter_info(release)
                return about.title, about.handle
        return "", None

    def _exists(self, channel_id: str) -> bool:
        """Return whether the channel has an adapter, even if the adapter is damaged."""
        try:
            return self.current_id(channel_id) is not None
        except LabError:
            return True


def is_channel_id(text: str) -> bool:
    """Return whether the text has the form of a channel id (of YouTube or of a catalogue)."""
    return _CHANNEL_ID.fullmatch(text) is not None


def _checked(channel_id: str) -> str:
    if not is_channel_id(channel_id):
        raise LabError(f"{channel_id[:80]!r} is not a channel id; an id has 1 to 64 letters, digits, - and _")
    return channel_id


def adapter_info(release: Release) -> ChannelAdapterInfo:
    """Return what the manifest of a release says about its adapter. Raises `LabError` if an entry is missing."""
    try:
        fields = {name: release.info[name] for name in ("channel_id", "title", "model", "videos", "newest")}
    except KeyError as error:
        raise LabError(f"{release}: the manifest has no {error}") from None
    return ChannelAdapterInfo(**fields, handle=release.info.get("handle"), niche=release.info.get("niche"))


def _own_past(release: Release) -> Skill | None:
    """Return the skill in the manifest of an adapter's release, see `thumblab_pipelines.channels.evaluate`.

    Return None if the adapter was not evaluated, or if an older version of the lab wrote the figures in another form.
    """
    figures = release.info.get("check")
    if figures is None:
        return None
    try:
        auc, low, high = (float(figures[name]) for name in _FIGURES)
        return Skill(PACKAGE, auc, low, high, int(figures["pairs"]), channels=1)
    except (KeyError, TypeError, ValueError):
        return None
