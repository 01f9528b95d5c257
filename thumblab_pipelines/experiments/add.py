"""Add an experiment: find its channel, check its video, read its pictures, and store it."""

import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from thumblab_core.database.engine import reason_of
from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_pipelines.experiments.pictures import read_variant
from thumblab_pipelines.experiments.records import (
    Experiment,
    GivenExperiment,
    Variant,
    require_different,
    require_rules,
)
from thumblab_pipelines.experiments.store import save
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.video_ids import VIDEO_ID
from thumblab_pipelines.tables.rows import not_utf8
from thumblab_pipelines.videos.channels import find_channel, near_title
from thumblab_pipelines.youtube.client import YouTube

_YOUTUBE_CHANNEL = re.compile("UC[A-Za-z0-9_-]{22}")
_SHOWN = 40
"""A message shows at most this many characters of a value."""


@dataclass(frozen=True)
class AddedExperiment:
    """A stored experiment with its number in the lab. `state` is `NEW`, `CHANGED` or `UNCHANGED`."""

    experiment_id: int
    state: str
    experiment: Experiment


class ExperimentWriter:
    """A writer that stores experiments in a lab.

    It looks up each channel name only once. If no channel was found for a name, it remembers the error.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._channel_ids: dict[str, str | LabError] = {}

    def add(self, given: GivenExperiment) -> AddedExperiment:
        """Check and store an experiment. A stored experiment with the same channel, video and first day is replaced.

        The pictures go into the image store. Raises `LabError` if the experiment breaks a rule, or if its channel or a
        picture cannot be found or read. Nothing is then stored in the database.
        """
        outcome, winner, shares = require_rules(given)
        channel_id = self.channel_id(given.channel)
        self._require_video(given.video_id, channel_id)
        pictures = [self._put(at, variant.picture) for at, variant in enumerate(given.variants, 1)]
        variants = tuple(
            Variant(sha256, variant.title, share, variant.impressions)
            for sha256, variant, share in zip(pictures, given.variants, shares, strict=True)
        )
        require_different(variants)
        experiment = Experiment(channel_id, given.video_id, given.started_on, given.ended_on, outcome, winner, variants)
        try:
            with self._lab.engine.begin() as connection:
                experiment_id, state = save(connection, experiment)
        except IntegrityError as error:
            raise LabError(f"the database refuses the experiment ({reason_of(error)}); check its facts") from None
        return AddedExperiment(experiment_id, state, experiment)

    def channel_id(self, name: str) -> str:
        """Return the id of a channel. `name` is its id, its exact title or its @handle.

        If `name` is an id, the lab need not know the channel. A @handle is looked up on YouTube. Raises `LabError` if
        no channel is found, or if several channels have the title.
        """
        if name not in self._channel_ids:
            try:
                self._channel_ids[name] = find_channel_id(self._lab, name)
            except LabError as error:
                self._channel_ids[name] = error
        found = self._channel_ids[name]
        if isinstance(found, LabError):
            raise found
        return found

    def _require_video(self, video_id: str, channel_id: str) -> None:
        """Raise `LabError` if the lab knows that the video belongs to a channel other than `channel_id`.

        An id that the lab does not know must have the form of YouTube's video ids. Otherwise `LabError` is raised too.
        """
        with self._lab.engine.connect() as connection:
            known = connection.scalar(select(videos.c.channel_id).where(videos.c.video_id == video_id))
        if known is None and not VIDEO_ID.fullmatch(video_id):
            raise LabError(
                f"video {video_id[:_SHOWN]!r} is neither a video of the lab nor the id of one on YouTube; "
                "give the 11 characters after watch?v="
            )
        if known not in (None, channel_id):
            raise LabError(
                f"video {video_id[:_SHOWN]!r} belongs to the channel {known}, not to {channel_id}; check both"
            )

    def _put(self, position: int, picture: Path | None) -> str | None:
        """Put the file `picture` into the image store. Return its SHA-256, or None if `picture` is None.

        Raises `LabError` if the file cannot be read or decoded.
        """
        if picture is None:
            return None
        data, _ = read_variant(picture, f"picture {position} ({picture.name[:_SHOWN]})")
        return self._lab.images.put(data)


def find_channel_id(lab: Lab, name: str) -> str:
    """Return the id of a channel. `name` is its id, its exact title or its @handle.

    An id that has the form of YouTube's channel ids is returned even if the lab does not know the channel. Raises
    `LabError` if no channel is found, or if several channels have the title.
    """
    if not_utf8(name):
        raise LabError(f"the channel {name[:_SHOWN]!r} is not text in UTF-8; give its id (UC...)")
    channel = find_channel(lab, name)
    if channel is not None:
        return channel.channel_id
    if _YOUTUBE_CHANNEL.fullmatch(name):
        return name
    if not name.startswith("@"):
        raise LabError(
            f"the lab knows no channel called {name[:_SHOWN]!r}{near_title(lab, name)}; "
            "give its id (UC...), its exact title or its @handle"
        )
    if lab.settings.youtube_api_key is None:
        raise LabError(
            f"only YouTube knows the channel {name[:_SHOWN]!r}; set THUMBLAB_YOUTUBE_API_KEY, or give the channel's id "
            "(UC...)"
        )
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        record = youtube.channel_of(name)
    if record is None:
        raise LabError(
            f"YouTube knows no channel {name[:_SHOWN]!r}; check the @handle, or give the channel's id (UC...)"
        )
    return record.channel_id
