"""The space in which faces are compared: the embedder's space, or the space of the head that was trained for this
embedder.
"""

from dataclasses import dataclass

from thumblab_core import model_files
from thumblab_core.arrays import Float32s
from thumblab_core.errors import LabError
from thumblab_core.faces.embedder import embedder_fingerprint
from thumblab_core.faces.head import FaceHead, served_head
from thumblab_core.recognition.networks import NO_EMBEDDER, require_people
from thumblab_core.releases.release import ReleaseError, UnreadError
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings


@dataclass(frozen=True)
class FaceSpace:
    """A way to compare faces.

    Attributes:
        embedder: the fingerprint of the network whose vectors are stored.
        head: the served matching head of this embedder, or None if no head is served.
    """

    embedder: str
    head: FaceHead | None

    @property
    def fingerprint(self) -> str:
        """The name of the space. A calibration or centroid is valid only in the space in which it was made."""
        return self.embedder if self.head is None else self.head.fingerprint

    def apply(self, vectors: Float32s) -> Float32s:
        """Return the stored vectors, float32 [n, d], as unit vectors of this space."""
        return vectors if self.head is None or not len(vectors) else self.head.apply(vectors)


def present_embedder(settings: Settings) -> str:
    """Return the fingerprint of the present embedder, without loading the embedder.

    Raises `LabError` if the setting `people` is `off`, or if there is no embedder.
    """
    require_people(settings)
    path = model_files.face_embedder(settings)
    if path is None:
        raise LabError(NO_EMBEDDER)
    return embedder_fingerprint(path)


def face_space(settings: Settings, releases: ReleaseStore) -> FaceSpace:
    """Return the space of the present embedder and its served head. The embedder is not loaded.

    Raises `LabError` if the setting `people` is `off`, if there is no embedder, or if the served head is damaged.
    """
    return space_of(present_embedder(settings), releases)


def space_of(embedder: str, releases: ReleaseStore) -> FaceSpace:
    """Return the space of an embedder and of its served head. `embedder` is the fingerprint of the embedder.

    Raises `LabError` if the served head is damaged.
    """
    try:
        return FaceSpace(embedder, served_head(releases, embedder))
    except UnreadError:
        raise
    except ReleaseError as error:
        raise LabError(f"the served matching head is damaged ({error}); run `thumblab people train`") from error
