"""Errors about faces, clusters and people."""

from thumblab_core.errors import LabError


class UnknownFaceError(LabError):
    """The lab has no face, cluster, picture or change of this id."""


class FaceConflictError(LabError):
    """The action contradicts what a person said before, or would put two faces of one picture in one cluster."""
