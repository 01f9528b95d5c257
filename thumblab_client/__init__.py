"""A typed client of the scoring service. The client needs httpx, but not the lab itself."""

from thumblab_client.asynchronous import AsyncClient
from thumblab_client.batches import Item
from thumblab_client.errors import (
    ExportError,
    InvalidRequestError,
    NoAnswerError,
    PictureError,
    ProblemError,
    StillRunningError,
    ThumblabError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
)
from thumblab_client.pictures import Picture
from thumblab_client.requests import Variant
from thumblab_client.synchronous import Client
from thumblab_client.waiting import Patience

__all__ = [
    "AsyncClient",
    "Client",
    "ExportError",
    "InvalidRequestError",
    "Item",
    "NoAnswerError",
    "Patience",
    "Picture",
    "PictureError",
    "ProblemError",
    "StillRunningError",
    "ThumblabError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "Variant",
]
