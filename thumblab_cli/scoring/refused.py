"""Define the error for one request that cannot be answered."""

from thumblab_core.errors import LabError


class RefusedRequestError(LabError):
    """The error for a request that cannot be answered, whoever is asked. Other requests may be answered."""
