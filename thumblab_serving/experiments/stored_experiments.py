"""Store and list experiments in the lab's database. The pictures of an experiment come in the request that stores the
experiment."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from thumblab_core.errors import LabError
from thumblab_core.experiments.records import Experiment, GivenExperiment, Place, StoredExperiment
from thumblab_core.experiments.rules import RuleError, check_rules
from thumblab_core.image_store import ImageStore
from thumblab_core.images import digest
from thumblab_core.object_store.bucket import StoreError
from thumblab_serving.loading.database import ServiceDatabase
from thumblab_serving.loading.library_pictures import NO_STORE
from thumblab_serving.scoring.intake import Intake, Source

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

_WAYS = "its id (UC...) or link on YouTube, or the id or exact title of a channel that the lab has"


class NotStoredError(LabError):
    """The error that is raised if the image store could not write a picture."""

    transient = True


class NotYourChannelError(LabError):
    """The error that is raised if an API key may not change the experiments of a channel."""


class StoredExperiments:
    """Stores and lists the lab's experiments for the service.

    The methods block the calling thread. Many threads may use this object at the same time. All methods raise
    `NoDatabaseError` if the database cannot answer.
    """

    def __init__(self, database: ServiceDatabase, intake: Intake, images: ImageStore) -> None:
        self._database = database
        self._intake = intake
        self._images = images

    def add(self, given: GivenExperiment[Source], owner: str | None) -> tuple[StoredExperiment, str]:
        """Check and store an experiment. A stored experiment with the same channel, video and first day is replaced.

        `owner` identifies the API key of the request (see `thumblab_core.database.channels.Channel.belongs_to`). Raises
        `NotYourChannelError` if the channel does not belong to this key.

        Returns the stored experiment, and the state `new`, `changed` or `unchanged`. Stores nothing and raises
        `RuleError` if the experiment breaks a rule, or if its channel or a picture cannot be used. Raises
        `NotStoredError` if a picture cannot be written. All facts are checked before a picture is fetched or decoded.
        """
        checked = check_rules(given)
        channel_id = self._database.read(lambda connection: _channel_of(connection, given, owner))
        pictures = self._read([variant.picture for variant in given.variants])
        experiment = checked.with_pictures(channel_id, [None if data is None else digest(data) for data in pictures])
        self._put(pictures)
        return self._database.write(lambda connection: _save(connection, experiment))

    def page(self, channel: str | None, after: Place | None, limit: int, owner: str | None) -> list[StoredExperiment]:
        """Return a page of the experiments that `owner` may see, with at most `limit` experiments.

        Experiments of channels that belong to another API key are left out.

        The list has the newest experiment first. The page begins after the place `after` in the list, or with the
        newest experiment if `after` is None. With `channel`, the list has only the experiments of this channel. Raises
        `RuleError` if `channel` is neither a channel that the lab knows nor a YouTube channel id.
        """
        from thumblab_core.experiments.store import read_experiments

        def read(connection: "Connection") -> list[StoredExperiment]:
            channel_id = None if channel is None else _channel_id(connection, channel)
            return read_experiments(connection, channel_id, after, limit, owner)

        return self._database.read(read)

    def _read(self, sources: Sequence[Source | None]) -> list[bytes | None]:
        """Return the bytes of each picture, or None for a variant without a picture.

        Raises `RuleError` if a picture cannot be read or decoded.
        """
        positions = [position for position, source in enumerate(sources) if source is not None]
        read: list[bytes | None] = [None] * len(sources)
        for position, data in zip(positions, self._intake.read([s for s in sources if s is not None]), strict=True):
            if isinstance(data, LabError):
                raise RuleError(_field_of(position, sources[position]), str(data))
            read[position] = data
        return read

    def _put(self, pictures: Sequence[bytes | None]) -> None:
        try:
            for data in pictures:
                if data is not None:
                    self._images.put(data)
        except StoreError:  # Drop the error, because it may name the bucket. Not every owner of a key may know it.
            raise NotStoredError(f"a picture could not be stored: {NO_STORE}") from None
        except OSError as error:
            raise NotStoredError(
                f"a picture could not be written to the lab's image store ({error.strerror}); give the service the right "
                "to write there and enough space"
            ) from None


def _field_of(position: int, source: Source | None) -> str:
    """Return the name of the request's field that contained the picture of a variant."""
    if source is not None and source.url is not None:
        return f"variants.{position}.url"
    if source is not None and source.base64 is not None:
        return f"variants.{position}.image_base64"
    return f"pictures.{position}"


def _channel_of(connection: "Connection", given: GivenExperiment[Source], owner: str | None) -> str:
    """Return the id of the channel of an experiment. Raises `NotYourChannelError` if `owner` may not change this
    channel.

    Raises `RuleError` if `_channel_id` does not accept the channel, or if the video belongs to another channel.
    """
    from thumblab_core.database.channels import channel_of_id
    from thumblab_core.experiments.store import require_video

    channel_id = _channel_id(connection, given.channel)
    channel = channel_of_id(connection, channel_id)
    if owner is not None and (channel is None or not channel.belongs_to(owner)):
        raise NotYourChannelError(
            f"the channel {channel_id} does not belong to this key; add your channel from its exports first; or ask "
            "the lab's owner to store the experiment with `thumblab experiment add`"
        )
    require_video(connection, given.video_id, channel_id)
    return channel_id


def _channel_id(connection: "Connection", name: str) -> str:
    """Return the id of the channel that is called `name` in the request.

    A `name` in the form of a YouTube channel id is returned even if the lab does not know the channel. Raises
    `RuleError` for any other name that the lab does not know.
    """
    from thumblab_core.experiments.channels import known_channel_id

    channel_id = known_channel_id(connection, name, _WAYS)
    if channel_id is None:
        raise RuleError("channel", f"the service does not look up @handles on YouTube; give {_WAYS}")
    return channel_id


def _save(connection: "Connection", experiment: Experiment) -> tuple[StoredExperiment, str]:
    from thumblab_core.experiments.store import read_experiment, save

    experiment_id, state = save(connection, experiment)
    return read_experiment(connection, experiment_id), state
