"""Define the error for one request that cannot be answered."""

from thumblab_core.errors import LabError


class RefusedRequestError(LabError):
    """The error for a request that no service can answer, because the request itself is wrong.

    Other requests may be answered.
    """
