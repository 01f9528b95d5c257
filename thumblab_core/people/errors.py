"""Errors about faces, clusters and people."""

from thumblab_core.errors import LabError

BUSY = "the lab is storing a grouping or another change of people, so nothing was changed; try again in a moment"
"""The message of `PeopleBusyError`."""


class UnknownFaceError(LabError):
    """The lab has no face, cluster, picture or change with this id."""


class FaceConflictError(LabError):
    """The action contradicts an earlier change by a person, or would put two faces of one picture in one cluster."""


class KnownNameError(LabError):
    """Another cluster has the name already, and the caller does not allow a merge of the two clusters."""


class PeopleBusyError(LabError):
    """Another command is storing changes of clusters or names. The caller did not want to wait longer."""

    transient = True
