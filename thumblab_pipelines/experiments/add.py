"""Add an experiment: find its channel, check its video, read its pictures, and store it."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update

from thumblab_core.database.tables import channels
from thumblab_core.errors import LabError
from thumblab_core.experiments.channels import known_channel_id
from thumblab_core.experiments.records import Experiment, GivenExperiment
from thumblab_core.experiments.rules import check_rules
from thumblab_core.experiments.store import require_video, save
from thumblab_core.given_text import channel_name
from thumblab_pipelines.experiments.pictures import read_variant
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import free_handles
from thumblab_pipelines.youtube.client import YouTube
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.quota import QuotaError
from thumblab_pipelines.youtube.without_key import how_to_ask

_SHOWN = 40
"""Maximum length of a value in a message, in characters."""


@dataclass(frozen=True)
class AddedExperiment:
    """A stored experiment with its number in the lab. `state` is `NEW`, `CHANGED` or `UNCHANGED`."""

    experiment_id: int
    state: str
    experiment: Experiment


class UnknownChannelError(LabError):
    """Raised if no channel with the given name is found. If YouTube could not be asked, another error is raised."""


class ExperimentWriter:
    """Stores experiments in a lab.

    Each channel name is looked up only once, and the error for an unknown name is remembered. If YouTube cannot be
    asked for a @handle, for example because the quota is spent, YouTube is not asked for later @handles either.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._channel_ids: dict[str, str | LabError] = {}
        self._unanswered: tuple[str, LabError] | None = None
        """The first @handle for which YouTube could not be asked, and the error. None if YouTube could always be asked
        so far."""

    def add(self, given: GivenExperiment[Path]) -> AddedExperiment:
        """Check and store an experiment. A stored experiment with the same channel, video and first day is replaced.

        The pictures go into the image store. Raises `LabError` if the experiment breaks a rule, or if its channel or a
        picture cannot be found or read. After such an error, nothing is stored in the database.
        """
        checked = check_rules(given)
        channel_id = self.channel_id(given.channel)
        with self._lab.engine.connect() as connection:
            require_video(connection, given.video_id, channel_id)
        pictures = [self._put(at, variant.picture) for at, variant in enumerate(given.variants, 1)]
        experiment = checked.with_pictures(channel_id, pictures)
        with self._lab.engine.begin() as connection:
            experiment_id, state = save(connection, experiment)
        return AddedExperiment(experiment_id, state, experiment)

    def channel_id(self, name: str) -> str:
        """Return the id of a channel. `name` is the channel's id, exact title, @handle or link.

        If `name` is an id, this id is returned even if the lab does not know the channel. A @handle that the lab does
        not know is looked up on YouTube. Raises `RuleError` or `UnknownChannelError` if no channel is found, or if
        several channels have the title. Raises another `LabError` if YouTube could not be asked.
        """
        if name not in self._channel_ids:
            try:
                self._channel_ids[name] = self._found(name)
            except LabError as error:
                self._channel_ids[name] = error
        found = self._channel_ids[name]
        if isinstance(found, LabError):
            raise found
        return found

    def _found(self, name: str) -> str:
        with self._lab.engine.connect() as connection:
            known = known_channel_id(connection, name)
        if known is not None:
            return known
        if self._unanswered is not None:
            handle, error = self._unanswered
            raise LabError(
                f"YouTube was not asked for the channel {name[:_SHOWN]!r}, because an earlier call for "
                f"{handle[:_SHOWN]!r} failed ({error})"
            )
        try:
            return _channel_id_on_youtube(self._lab, channel_name(name))
        except (YouTubeError, QuotaError) as error:
            if _is_about_the_handle(error):
                raise UnknownChannelError(str(error)) from None
            self._unanswered = name, error
            raise

    def _put(self, position: int, picture: Path | None) -> str | None:
        """Put the file `picture` into the image store. Return the SHA-256 of the file, or None if `picture` is None.

        Raises `LabError` if the file cannot be read or decoded.
        """
        if picture is None:
            return None
        data, _ = read_variant(picture, f"picture {position} ({picture.name[:_SHOWN]})")
        return self._lab.images.put(data)


def find_channel_id(lab: Lab, name: str) -> str:
    """Return the id of a channel. `name` is the channel's id, exact title, @handle or link.

    A @handle that the lab does not know is looked up on YouTube. Raises `LabError` if no channel is found, or if several
    channels have the title.
    """
    return ExperimentWriter(lab).channel_id(name)


def _is_about_the_handle(error: YouTubeError | QuotaError) -> bool:
    """Return whether the error concerns only this @handle, so that a call for another @handle may succeed.

    Any other error, such as a spent quota or an invalid API key, would probably stop the next call too.
    """
    if isinstance(error, QuotaError):
        return False
    return error.kind is ErrorKind.NOT_FOUND or (error.kind is ErrorKind.REQUEST and bool(error.reason))


def _channel_id_on_youtube(lab: Lab, handle: str) -> str:
    """Return the id of the channel that has a @handle on YouTube.

    Raises `UnknownChannelError` if there is no such channel or if no API key is set, and `YouTubeError` or `QuotaError`
    if the call fails.
    """
    if lab.settings.youtube_api_key is None:
        raise UnknownChannelError(
            f"the lab does not know the channel {handle[:_SHOWN]!r}; {how_to_ask(lab.settings)}, or give the channel's id "
            "(UC...)"
        )
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        record = youtube.channel_of(handle)
    if record is None:
        raise UnknownChannelError(
            f"YouTube knows no channel {handle[:_SHOWN]!r}; check the @handle, or give the channel's id (UC...)"
        )
    if record.handle is not None:  # If the lab knows the channel, the @handle is saved for later look-ups.
        with lab.engine.begin() as connection:
            free_handles(connection, {record.channel_id: record.handle})
            named = update(channels).where(channels.c.channel_id == record.channel_id)
            connection.execute(named.values(handle=record.handle))
    return record.channel_id
