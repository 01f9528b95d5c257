"""Search stored thumbnails for faces, and embed the faces. Thumbnails that were searched before are left out."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import select

from thumblab_core.database.tables import people_pictures
from thumblab_core.errors import LabError
from thumblab_core.faces.detector import Detection
from thumblab_core.faces.head import served_head
from thumblab_core.faces.measure import FORGOTTEN, FoundFace, find_faces_in
from thumblab_core.image_store.reading_ahead import read_ahead
from thumblab_core.images import Pixels, decode
from thumblab_core.object_store.bucket import StoreAwayError
from thumblab_core.people.detection import Places, forgotten_places, record_detection
from thumblab_core.people.figures import people_statistics
from thumblab_core.people.learned import delete_other_spaces, delete_other_vectors, faces_wait
from thumblab_core.people.pictures import scope_of, wanted_pictures
from thumblab_core.people.records import SearchedPicture
from thumblab_core.recognition.networks import FaceNetworks, load_networks, require_people
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent

_BATCH = 64
"""Number of pictures that are searched and recorded together. A killed run loses only the work of one batch."""

_NO_CHANNEL = (
    "the setting `people` is `own`, but no channel was added; add a channel with `thumblab channel add`, add pictures "
    "with `--folder DIR`, or set THUMBLAB_PEOPLE=all"
)


@dataclass
class Detected:
    """The result of a search for faces.

    Attributes:
        stored: number of faces that the lab now has in the pictures that may be searched.
        searched: number of pictures that this run searched.
        faces: number of faces that were not known before.
        forgotten: number of faces that were left out, because a person has asked the lab to forget them.
        without_vector: number of faces for which the embedder makes no vector.
        problems: a sentence for each picture that could not be searched.
        pictures_per_second: searched pictures per second.
        nothing_to_search: a sentence that says why the settings leave no picture to search, or None.
    """

    stored: int = 0
    searched: int = 0
    faces: int = 0
    forgotten: int = 0
    without_vector: int = 0
    problems: list[str] = field(default_factory=list)
    pictures_per_second: float = 0.0
    nothing_to_search: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def detect_faces(lab: Lab, niche: str | None = None, progress: Progress = silent, limit: int | None = None) -> Detected:
    """Find and embed the faces of the pictures that the present networks have not searched, and commit every batch.

    `niche`: the niche whose thumbnails are searched. If `niche` is None, the thumbnails of all niches and the
    pictures that users added with `add_folder` are searched. `limit`: the maximum number of pictures to search. Raises
    `LabError` if the setting `people` is off, or if a network is missing.
    """
    require_people(lab.settings)
    networks = load_networks(lab.settings)
    scope = scope_of(lab.settings.people, lab.releases, niche)
    fingerprints = networks.detector.fingerprint, networks.embedder.fingerprint
    with lab.engine.connect() as connection:
        wanted = wanted_pictures(connection, *fingerprints, scope, limit)
    result = Detected()
    start = time.perf_counter()
    for batch in batches(wanted, _BATCH, f"{niche or 'pictures'}: looking for faces", progress):
        unread: dict[str, str] = {}
        with lab.engine.connect() as connection:
            places = forgotten_places(connection, batch)
        searched = _searched(lab, networks, batch, places, result, unread)
        with lab.engine.begin() as connection:
            recorded = record_detection(connection, searched, *fingerprints)
        result.searched += recorded.pictures
        result.faces += recorded.new
        result.forgotten += recorded.forgotten
        problems = {picture.sha256: picture.problem for picture in searched if picture.problem} | unread
        result.problems += [f"{sha256[:12]}: {problem}" for sha256, problem in problems.items()]
    _delete_earlier(lab, networks.embedder.fingerprint, with_spaces=niche is None)
    with lab.engine.connect() as connection:
        result.stored = people_statistics(connection, scope).faces
        if scope.channels == () and connection.scalar(select(people_pictures.c.sha256).limit(1)) is None:
            result.nothing_to_search = _NO_CHANNEL
    result.pictures_per_second = result.searched / max(time.perf_counter() - start, 1e-9)
    return result


def _delete_earlier(lab: Lab, embedder: str, with_spaces: bool) -> None:
    """Delete the vectors of earlier embedders. If a face that the settings include was not yet embedded by `embedder`,
    do nothing, because the earlier vectors are still needed.

    `with_spaces`: whether the centroids and calibrations that were computed from these vectors are deleted too. In
    Dagster, `with_spaces` is false: the asset `face_clusters` makes the centroids and calibrations, and deletes them.
    """
    space = served_head(lab.releases, embedder)
    with lab.engine.begin() as connection:
        if faces_wait(connection, embedder, scope_of(lab.settings.people, lab.releases)):
            return
        delete_other_vectors(connection, [embedder])
        if with_spaces:
            delete_other_spaces(connection, [embedder, *([] if space is None else [space.fingerprint])])


def _searched(
    lab: Lab,
    networks: FaceNetworks,
    pictures: Sequence[str],
    places: Mapping[str, Places],
    result: Detected,
    unread: dict[str, str],
) -> list[SearchedPicture]:
    """Search pictures. For a picture that cannot be decoded, return a problem and no faces.

    A picture whose file cannot be read now is left out, so that the next run searches it. The reason is added to
    `unread`. `places`: the places in a picture where a face was forgotten. A face at such a place is not embedded. All
    other faces without a vector are counted in `result`.
    """
    problems: dict[str, str] = {}
    readable: list[str] = []

    def pixels() -> Iterator[Pixels]:
        for sha256, read in read_ahead(lab.images, pictures, str):
            try:
                data = read()
            except StoreAwayError:
                raise
            except (LabError, OSError) as error:
                unread[sha256] = str(error)
                continue
            try:
                image = decode(data).pixels
            except LabError as error:
                problems[sha256] = str(error)
            else:
                readable.append(sha256)
                yield image

    def is_forgotten(number: int, face: Detection) -> bool:
        of_picture = places.get(readable[number])
        return of_picture is not None and of_picture.is_forgotten((face.left, face.top, face.right, face.bottom))

    found = list(find_faces_in(pixels(), networks.detector, networks.embedder, is_forgotten))
    result.without_vector += sum(
        face.vector is None and face.problem != FORGOTTEN for of_picture in found for face in of_picture
    )
    faces: dict[str, Sequence[FoundFace]] = dict(zip(readable, found, strict=True))
    return [
        SearchedPicture(sha256, faces.get(sha256, ()), problems.get(sha256))
        for sha256 in pictures
        if sha256 not in unread
    ]


def check_faces(lab: Lab, niche: str) -> list[CheckResult]:
    """Check that at least 99 % of a niche's pictures were searched, and that at least 99 % of the faces have a vector.

    Only pictures that may be searched are checked, see the setting `people`.
    """
    scope = scope_of(lab.settings.people, lab.releases, niche)
    networks = load_networks(lab.settings)
    with lab.engine.connect() as connection:
        waiting = len(wanted_pictures(connection, networks.detector.fingerprint, networks.embedder.fingerprint, scope))
        statistics = people_statistics(connection, scope)
    searched, faces = statistics.pictures, statistics.faces
    embedded = faces - statistics.faces_without_vector
    return [
        CheckResult(
            "searched",
            searched >= 0.99 * (searched + waiting),
            f"{searched} of {searched + waiting} pictures were searched",
            advisory=True,
            figures={"searched": searched, "waiting": waiting},
        ),
        CheckResult(
            "embedded",
            embedded >= 0.99 * faces,
            f"{embedded} of {faces} faces have a vector",
            advisory=True,
            figures={"faces": faces, "embedded": embedded},
        ),
    ]
