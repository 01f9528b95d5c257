"""Errors about faces, clusters and people."""

from thumblab_core.errors import LabError


class UnknownFaceError(LabError):
    """The lab has no face, cluster, picture or change of this id."""


class FaceConflictError(LabError):
    """The action contradicts an earlier change by a person, or would put two faces of one picture in one cluster."""


class KnownNameError(LabError):
    """Another cluster has the name already, and the two may not be merged."""
