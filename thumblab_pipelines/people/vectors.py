"""The space in which faces are compared: that of the embedder, or that of the head that was trained on top of it."""

from dataclasses import dataclass

from thumblab_core import model_files
from thumblab_core.arrays import Float32s
from thumblab_core.errors import LabError
from thumblab_core.faces.embedder import embedder_fingerprint
from thumblab_core.faces.head import FaceHead, served_head
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.networks import NO_EMBEDDER, require_people


@dataclass(frozen=True)
class FaceSpace:
    """A way to compare faces.

    Attributes:
        embedder: the fingerprint of the network whose vectors are stored.
        head: the served head of this embedder, or None if there is none.
    """

    embedder: str
    head: FaceHead | None

    @property
    def fingerprint(self) -> str:
        """The name of the space. Calibrations and centroids are only valid in the space that they were made in."""
        return self.embedder if self.head is None else self.head.fingerprint

    def apply(self, vectors: Float32s) -> Float32s:
        """Return the stored vectors, float32 [n, d], as unit vectors of this space."""
        return vectors if self.head is None or not len(vectors) else self.head.apply(vectors)


def face_space(lab: Lab) -> FaceSpace:
    """Return the space of the present embedder and its served head. No network is loaded.

    Raises `LabError` if people are switched off, if there is no embedder, or if the served head is damaged.
    """
    require_people(lab.settings)
    path = model_files.face_embedder(lab.settings)
    if path is None:
        raise LabError(NO_EMBEDDER)
    embedder = embedder_fingerprint(path)
    return FaceSpace(embedder, served_head(lab.releases, embedder))
