"""Find out which named people are on the pictures of a request.

The search for people is off by default. Nothing about a face is stored, cached or logged.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from thumblab_core.errors import LabError
from thumblab_core.faces.detector import Detection
from thumblab_core.faces.measure import FoundFace, find_faces
from thumblab_core.images import Pixels
from thumblab_core.people.boxes import clipped
from thumblab_core.people.names import PERSON
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.recognition.networks import FaceNetworks, load_networks
from thumblab_core.recognition.space import FaceSpace, space_of
from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.loading.database import NoDatabaseError, ServiceDatabase
from thumblab_serving.loading.sent_picture import SentPicture
from thumblab_serving.schemas.answer import ScoreAnswer
from thumblab_serving.schemas.people.people_seen import (
    PeopleSeenOut,
    PersonOnChannelOut,
    SeenFaceOut,
    SeenPersonOut,
    SeenThumbnailOut,
)

if TYPE_CHECKING:  # Only type checkers import these modules here, because they import SQLAlchemy, which is slow.
    from sqlalchemy import Connection

    from thumblab_core.people.detection import Places
    from thumblab_core.recognition.appearances import Appearance
    from thumblab_core.recognition.known_people import KnownPeople, Match

_UNSAID = "the answer does not say who is seen, because"

_MOST_WAITING = 64
"""Maximum number of pictures that wait for the search for people. While they wait, their pixels take memory."""

T = TypeVar("T")

_log = logging.getLogger("thumblab_serving")


class _UnsaidError(LabError):
    """The error that is raised if the answer cannot say who is seen. The message ends the sentence `_UNSAID`."""


@dataclass
class FaceSearch:
    """The search for people on the pictures of one request.

    Attributes:
        channel_id: the channel in the request, which is one of the lab's own channels.
        known: the people with whom faces are compared.
    """

    networks: FaceNetworks
    space: FaceSpace
    known: "KnownPeople"
    channel_id: str
    _turns: "Turns"
    _database: ServiceDatabase
    _started: dict[str, Future[list[SeenFaceOut]] | None] = field(default_factory=dict)
    """The search of each picture, by the id of the candidate. None stands for a search that could not be started."""

    def look(self, candidate: str, sent: SentPicture) -> None:
        """Start the search for known people in a picture. Does not wait for the result, because the calling thread must
        go on to examine the pictures of all requests.

        Any thread may call this method. It raises no error, so that the picture can be scored in any case.
        """
        # A request with two image encoders examines each picture twice. One search is enough.
        if candidate in self._started:
            return
        try:
            # Keep the decoded pixels and not the file, because `decoded` has already reduced a large picture.
            image, sha256 = sent.decoded.pixels, sent.sha256
            self._started[candidate] = self._turns.start(lambda: self._faces(image, sha256))
        except Exception as error:  # noqa: BLE001  whatever the error is, the ranking must go on
            self._started[candidate] = None
            _log_unsearched(error)

    def _faces(self, image: Pixels, sha256: str) -> list[SeenFaceOut]:
        places = self._database.read(lambda connection: _places(connection, sha256))

        def is_forgotten(_: int, face: Detection) -> bool:
            return places is not None and places.is_forgotten((face.left, face.top, face.right, face.bottom))

        return self._matched(find_faces(image, self.networks.detector, self.networks.embedder, is_forgotten))

    def _found(self) -> dict[str, list[SeenFaceOut]]:
        """Wait for the searches, and return the faces of each picture that could be searched."""
        found = {}
        for candidate, started in self._started.items():
            if started is None:
                continue
            try:
                found[candidate] = started.result()
            except Exception as error:  # noqa: BLE001  OpenCV and OpenVINO raise errors of many types
                _log_unsearched(error)
        return found

    def _matched(self, found: Sequence[FoundFace]) -> list[SeenFaceOut]:
        inside = [(face, box) for face in found if (box := clipped(face.box)) is not None]
        vectors = [face.vector for face, _ in inside if face.vector is not None]
        matches = iter(self.known.match(self.space.apply(np.stack(vectors))) if vectors else ())
        return [
            SeenFaceOut(
                box=list(box),
                confidence=face.confidence,
                quality=face.quality,
                person=None if face.vector is None else _person(next(matches)),
                problem=face.problem,
            )
            for face, box in inside
        ]

    def answer(self, candidates: Sequence[str]) -> tuple[PeopleSeenOut, list[str]]:
        """Wait for the searches. Return who is seen on the candidates, and a sentence for each part that is missing."""
        from thumblab_core.recognition.appearances import NOTE, searched_thumbnails

        found = self._found()
        sentences = []
        if failed := len(self._started) - len(found):
            sentences.append(f"{failed} of the pictures could not be searched for people")
        if self.known.waiting:
            sentences.append(
                f"{self.known.waiting} of the people with a name cannot be recognised, because their faces were "
                "changed after the last grouping: run `thumblab people cluster`"
            )
        ids = {face.person.person_id for faces in found.values() for face in faces if face.person is not None}
        keys = sorted(person_id.removeprefix(PERSON) for person_id in ids)
        figures: list[Appearance] = []
        if keys:
            try:
                read = self._database.read(lambda connection: searched_thumbnails(connection, self.channel_id, keys))
            except NoDatabaseError as error:
                sentences.append(f"the figures of the people who are seen are left out: {error}")
            else:
                # Compute the figures here, because the time limit of `read` is meant only for the database.
                figures = read.appearances()
        seen = PeopleSeenOut(
            threshold=self.known.least_score,
            thumbnails=[SeenThumbnailOut(id=each, faces=found.get(each)) for each in candidates],
            people=[_figures(each) for each in figures],
            note=NOTE,
        )
        return seen, sentences


class Turns:
    """A thread that searches pictures for people, one by one, because only one thread may use the networks at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "people")
        self._slots = threading.Semaphore(_MOST_WAITING)

    def start(self, search: Callable[[], T]) -> Future[T]:
        """Add a search to the searches that wait for this thread. Raises `LabError` if too many searches wait."""
        if not self._slots.acquire(blocking=False):
            raise LabError(f"{_MOST_WAITING} pictures wait already")
        try:
            started = self._thread.submit(search)
        except BaseException:
            self._slots.release()
            raise
        started.add_done_callback(lambda _: self._slots.release())
        return started

    def close(self) -> None:
        """Stop the thread, and cancel the searches that have not begun."""
        self._thread.shutdown(cancel_futures=True)


class SeenPeople:
    """The part of the scorer that searches for people. Many threads may use it at the same time.

    This part has its own database access. So a slow query about people never makes the scorer stop its own queries.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._releases = ReleaseStore(polled_place(settings))
        self._database = ServiceDatabase(settings)
        self._networks: FaceNetworks | None = None
        self._loading, self._turns = threading.Lock(), Turns()

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self._turns.close()
        self._database.close()

    def search(self, channel_id: str | None, may_see_names: bool) -> tuple[FaceSearch | None, list[str]]:
        """Return a search for a request that names this channel. If the lab cannot search, return None and a sentence
        with the reason. If `score_people` is off, or if the request names no channel, return None and no sentence.
        Without a search, no face is embedded.
        """
        if not self._settings.score_people or channel_id is None:
            return None, []
        try:
            return self._search(channel_id, may_see_names), []
        except NoDatabaseError as error:
            return None, [f"{_UNSAID} people are in the lab's database, and {error}"]
        except LabError as error:
            return None, [f"{_UNSAID} {error}"]
        except Exception as error:  # noqa: BLE001  a broken runtime may raise any error, and the ranking must go on
            _log.warning("the search for people is not possible (%s)", type(error).__name__)
            return None, [f"{_UNSAID} the lab could not look for people ({type(error).__name__})"]

    def _search(self, channel_id: str, may_see_names: bool) -> FaceSearch:
        from thumblab_core.recognition.known_people import read_known_people

        if self._settings.people == "off":
            raise _UnsaidError("THUMBLAB_PEOPLE is off")
        if not may_see_names:
            raise _UnsaidError("the API key does not have the scope admin")
        if channel_id not in ChannelAdapters(self._releases).channels():
            raise _UnsaidError("the channel is not one of your own channels: `thumblab channel add` adds it")
        networks = self._loaded()
        space = space_of(networks.embedder.fingerprint, self._releases)
        threshold = self._settings.face_person_match_threshold
        known = self._database.read(lambda connection: read_known_people(connection, space.fingerprint, threshold))
        if not known.names:
            raise _UnsaidError("no person has a name yet: `thumblab people label` gives a person a name")
        if known.calibration is None or not known.owners:
            raise _UnsaidError(
                "the lab's faces were not yet grouped with the networks that the service has loaded: run `thumblab "
                "people cluster`, and if the networks were changed, restart the service too"
            )
        return FaceSearch(networks, space, known, channel_id, self._turns, self._database)

    def _loaded(self) -> FaceNetworks:
        """Return the networks, which the first request loads. Raises `LabError` if a network is missing."""
        with self._loading:
            if self._networks is None:
                self._networks = load_networks(self._settings)
            return self._networks


def with_people(
    answer: ScoreAnswer, search: FaceSearch | None, unsaid: Sequence[str], candidates: Sequence[str]
) -> ScoreAnswer:
    """Add to the answer who is seen on the candidates, or the sentences that say why this is unknown. Return the new
    answer.
    """
    seen, sentences = (None, []) if search is None else search.answer(candidates)
    added = [*unsaid, *sentences]
    if seen is None and not added:
        return answer
    return answer.model_copy(update={"people": seen, "degraded": [*answer.degraded, *added]})


def _log_unsearched(error: BaseException) -> None:
    _log.warning("a picture could not be searched for people (%s)", type(error).__name__)


def _places(connection: "Connection", sha256: str) -> "Places | None":
    from thumblab_core.people.detection import forgotten_places

    return forgotten_places(connection, [sha256]).get(sha256)


def _person(match: "Match | None") -> SeenPersonOut | None:
    return (
        None if match is None else SeenPersonOut(person_id=f"{PERSON}{match.key}", name=match.name, score=match.score)
    )


def _figures(on_channel: "Appearance") -> PersonOnChannelOut:
    return PersonOnChannelOut(
        person_id=f"{PERSON}{on_channel.key}",
        name=on_channel.name,
        thumbnails=on_channel.thumbnails,
        searched=on_channel.searched,
        share=on_channel.share,
        views_factor=on_channel.views_factor,
        low=on_channel.low,
        high=on_channel.high,
    )
