"""The histories of channels that were added after a model was trained: a release each, of kind `adapter`, scope the channel.

    adapter/<channel_id>/<release_id>/adapters.safetensors      see `thumblab_core.ranking.adapters`; empty below five videos
    adapter/<channel_id>/<release_id>/videos.json               the ids of the videos in it

A history is over one model's inputs and is good for that model only, whose release it names.
"""

import json
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter, Adapters
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore

ADAPTER = "adapter"
"""The kind of the releases."""

CHANNEL_ID = "[A-Za-z0-9_-]{1,64}"
"""What an id of a channel looks like. It becomes the name of a folder: neither dots nor slashes."""

_CHANNEL_ID = re.compile(CHANNEL_ID)


@dataclass(frozen=True)
class ChannelAdapterInfo:
    """What a history says of itself: whose it is, which model's, of how many videos, and the newest one's date (ISO)."""

    channel_id: str
    title: str
    model: str
    videos: int
    newest: str | None


@dataclass(frozen=True)
class ChannelAdapter:
    """An added history as it is served. `adapter` is None where the channel has too few videos."""

    release_id: str
    about: ChannelAdapterInfo
    adapter: Adapter | None


class ChannelAdapters:
    """The added histories in a release store. Every method raises `LabError` for what is no id of a channel."""

    def __init__(self, store: ReleaseStore) -> None:
        self.store = store

    def channels(self) -> list[str]:
        """The ids of the channels that have a history, in order."""
        folder = self.store.root / ADAPTER
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(name for name in names if _CHANNEL_ID.fullmatch(name) and self._there(name))

    def current_id(self, channel_id: str) -> str | None:
        """The release of the channel's history, None where none was added. One small read: cheap per request.

        Raises `LabError` where the pointer cannot be read.
        """
        scope = _checked(channel_id)
        try:
            return self.store.serving.current_id(ADAPTER, scope)
        except (OSError, ValueError) as error:
            raise LabError(f"the pointer of {ADAPTER}/{scope} cannot be read ({type(error).__name__})") from None

    def about(self, channel_id: str) -> ChannelAdapterInfo:
        """What the channel's history says of itself, read and not verified. Raises `LabError` where there is none."""
        return _about(self._release(channel_id, self.current_id(channel_id) or ""))

    def load(self, channel_id: str, release_id: str) -> ChannelAdapter:
        """Verify and read a history. Raises `LabError` when it is damaged, or another channel's."""
        release = self._release(channel_id, release_id)
        release.verify()
        about = _about(release)
        if about.channel_id != channel_id:  # two ids that differ in case are one folder where a file system says so
            raise LabError(f"{release} is the history of another channel")
        try:
            return ChannelAdapter(
                release_id, about, Adapters.load(release.path).of(channel_id, int(release.info["dimension"]))
            )
        except LabError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a file of another form of the lab's makes its reader raise
            raise LabError(f"{release} cannot be read ({type(error).__name__}: {str(error)[:200]})") from None

    def videos(self, channel_id: str) -> list[str]:
        """The ids of the videos in the channel's history. Raises `LabError` where they cannot be told."""
        release = self._release(channel_id, self.current_id(channel_id) or "")
        try:
            return [str(name) for name in json.loads((release.path / "videos.json").read_text())]
        except (OSError, ValueError) as error:
            raise LabError(f"{release}: videos.json cannot be read ({type(error).__name__})") from None

    def publish(
        self,
        about: ChannelAdapterInfo,
        adapter: Adapter | None,
        dimension: int,
        videos: list[str],
        more: dict[str, Any],
        run_id: str | None = None,
    ) -> Release:
        """Serve this history of the channel, and keep none that was before it: it may hold what is forgotten by now.

        `dimension`: of the model's inputs; `more`: further facts for the manifest.
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
        """Keep others from changing the channel's history meanwhile, see `Serving.changing`."""
        return self.store.serving.changing(ADAPTER, _checked(channel_id))

    def remove(self, channel_id: str) -> bool:
        """Serve and keep nothing of the channel; whether there was anything."""
        scope = _checked(channel_id)
        if not (self.store.root / ADAPTER / scope).is_dir():
            return False
        with self.changing(scope):
            there = self._there(scope)
            self.store.serving.withdraw(ADAPTER, scope)
            for release in self.store.all(ADAPTER, scope):
                self.store.remove(release)
            self.store.discard_unreadable(ADAPTER, scope)
        return there

    def _there(self, channel_id: str) -> bool:
        """Whether the channel has a history, be it damaged."""
        try:
            return self.current_id(channel_id) is not None
        except LabError:
            return True

    def _release(self, channel_id: str, release_id: str) -> Release:
        return self.store.get(ADAPTER, _checked(channel_id), release_id)


def _checked(channel_id: str) -> str:
    if not _CHANNEL_ID.fullmatch(channel_id):
        raise LabError(f"{channel_id[:80]!r} is no id of a channel: 1 to 64 letters, digits, - and _")
    return channel_id


def _about(release: Release) -> ChannelAdapterInfo:
    try:
        said = {name: release.info[name] for name in ("channel_id", "title", "model", "videos", "newest")}
    except KeyError as error:
        raise LabError(f"{release}: the manifest says nothing of its {error}") from None
    return ChannelAdapterInfo(**said)
