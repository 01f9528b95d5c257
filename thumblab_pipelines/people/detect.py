"""Find and embed the faces of the stored thumbnails that were not searched yet."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from thumblab_core.errors import LabError
from thumblab_core.faces.head import served_head
from thumblab_core.faces.measure import FoundFace, find_faces_in
from thumblab_core.images import Pixels, decode
from thumblab_core.people.detection import record_detection
from thumblab_core.people.figures import people_statistics
from thumblab_core.people.learned import delete_other_embedders
from thumblab_core.people.pictures import scope_of, wanted_pictures
from thumblab_core.people.records import SearchedPicture
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.networks import FaceNetworks, load_networks, require_people
from thumblab_pipelines.progress import Progress, batches, silent

_BATCH = 64
"""The number of pictures that are searched and then recorded together. A killed run loses the work of one batch."""


@dataclass
class Detected:
    """What a search for faces did.

    Attributes:
        stored: number of faces that the lab now has in these pictures.
        searched: number of pictures that were searched now.
        faces: number of faces that were not known before.
        forgotten: number of faces that were left out, because a person had them forgotten.
        without_vector: number of faces for which the embedder makes no vector.
        problems: a sentence for each picture that could not be searched.
        pictures_per_second: searched pictures per second.
    """

    stored: int = 0
    searched: int = 0
    faces: int = 0
    forgotten: int = 0
    without_vector: int = 0
    problems: list[str] = field(default_factory=list)
    pictures_per_second: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def detect_faces(lab: Lab, niche: str | None = None, progress: Progress = silent, limit: int | None = None) -> Detected:
    """Find and embed the faces of the pictures that the present networks have not searched, and commit every batch.

    `niche`: search only the thumbnails of this niche. Without it, those of all niches and the pictures that a person
    gave. `limit`: search at most so many pictures. Raises `LabError` if people are switched off or a network is missing.
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
        searched = _searched(lab, networks, batch, unread)
        with lab.engine.begin() as connection:
            recorded = record_detection(connection, searched, *fingerprints)
        result.searched += recorded.pictures
        result.faces += recorded.new
        result.forgotten += recorded.forgotten
        result.without_vector += sum(face.vector is None for picture in searched for face in picture.faces)
        problems = {picture.sha256: picture.problem for picture in searched if picture.problem} | unread
        result.problems += [f"{sha256[:12]}: {problem}" for sha256, problem in problems.items()]
    if limit is None and niche is None and not result.problems:
        # Every face has a vector of the present network now, so those of earlier ones are not kept.
        space = served_head(lab.releases, networks.embedder.fingerprint)
        kept = [networks.embedder.fingerprint, *([] if space is None else [space.fingerprint])]
        with lab.engine.begin() as connection:
            delete_other_embedders(connection, kept)
    with lab.engine.connect() as connection:
        result.stored = people_statistics(connection, scope).faces
    result.pictures_per_second = result.searched / max(time.perf_counter() - start, 1e-9)
    return result


def _searched(
    lab: Lab, networks: FaceNetworks, pictures: Sequence[str], unread: dict[str, str]
) -> list[SearchedPicture]:
    """Search pictures. A picture that cannot be decoded has a problem and no faces.

    A picture whose file cannot be read now is left out, so that the next run searches it. `unread` gets the reason.
    """
    problems: dict[str, str] = {}
    readable: list[str] = []

    def pixels() -> Iterator[Pixels]:
        for sha256 in pictures:
            try:
                data = lab.images.get(sha256)
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

    found = list(find_faces_in(pixels(), networks.detector, networks.embedder))
    faces: dict[str, Sequence[FoundFace]] = dict(zip(readable, found, strict=True))
    return [
        SearchedPicture(sha256, faces.get(sha256, ()), problems.get(sha256))
        for sha256 in pictures
        if sha256 not in unread
    ]


def check_faces(lab: Lab, niche: str) -> list[CheckResult]:
    """Check that at least 99 % of a niche's pictures were searched, and that at least 99 % of the faces have a vector.

    Only pictures that may be searched count, see the setting `people`.
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
            f"{searched} of {searched + waiting} pictures",
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
