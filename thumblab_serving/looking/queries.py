"""Turn the query of a search into a vector."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from thumblab_core.encoders.protocol import Vectors, unit, usable
from thumblab_core.errors import LabError
from thumblab_serving.loading.database import NoDatabaseError
from thumblab_serving.loading.text_tower import TextTowerError
from thumblab_serving.looking.libraries import Libraries
from thumblab_serving.looking.similar_request import SimilarForm
from thumblab_serving.looking.stored_vectors import stored_video
from thumblab_serving.scoring.intake import Source
from thumblab_serving.scoring.scorer import Scorer


class BadQueryError(LabError):
    """The error for a query that cannot be compared with the libraries. `field` is the name of the query's field in
    requests.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")


class UnknownVideoError(LabError):
    """The error for a video that the lab does not know."""


@dataclass(frozen=True)
class Asked:
    """A request for similar thumbnails. Exactly one of `video_id`, `text`, `vector` and `picture` is given."""

    form: SimilarForm
    video_id: str | None = None
    text: str | None = None
    text_by: Literal["picture", "title"] | None = None
    vector: list[float] | None = None
    picture: Source | None = None


@dataclass(frozen=True)
class Query:
    """A query as a unit vector [d] of an encoder. `matched_by` says with what the vector is compared.

    `picture_encoder` is the image encoder of the libraries that are searched.
    """

    kind: Literal["video", "picture", "text", "vector"]
    vector: Vectors
    encoder: str
    picture_encoder: str
    matched_by: Literal["picture", "title"] = "picture"
    remarks: tuple[str, ...] = ()


def query_of(asked: Asked, libraries: Libraries, scorer: Scorer) -> Query:
    """Return the query of a request as a vector. Raises `BadQueryError` or `UnknownVideoError`."""
    if asked.video_id is not None:
        return _of_video(asked.video_id, libraries, scorer)
    if asked.vector is not None:
        return _of_vector(asked.vector, libraries, scorer)
    encoder = libraries.encoders[0]
    if asked.text is not None:
        return _of_text(asked.text, asked.text_by, encoder, scorer)
    assert asked.picture is not None
    try:
        vector = scorer.intake.encode(asked.picture, scorer.releases.encoders(), encoder)
    except LabError as error:
        raise BadQueryError(asked.picture.id, str(error)) from None
    return Query("picture", vector, encoder, encoder)


def _of_video(video_id: str, libraries: Libraries, scorer: Scorer) -> Query:
    for library in libraries.all:
        if library.index is not None and video_id in library.index.value:
            return Query("video", library.index.value.vector_of(video_id), library.encoder, library.encoder)
    searched = {library.niche for library in libraries.all}
    encoder = libraries.encoders[0]
    # The video may be in the library of another niche, which the request does not search.
    for niche in scorer.releases.indices:
        index = None if niche in searched else scorer.releases.resolve_index(niche)[0]
        if index is not None and index.value.encoder == encoder and video_id in index.value:
            return Query("video", index.value.vector_of(video_id), encoder, encoder)
    try:
        found = scorer.database.read(lambda connection: stored_video(connection, video_id, encoder))
    except NoDatabaseError as error:
        raise UnknownVideoError(
            f"no served library has the video, and the database could not be searched for it: {error}"
        ) from None
    if found is None:
        raise UnknownVideoError("the lab does not know this video; search by its picture instead")
    if found.vector is None:
        reason = f"the lab has no vector of the video's thumbnail by {encoder}; search by its picture instead"
        raise BadQueryError("video_id", reason)
    return Query("video", found.vector, encoder, encoder)


def _of_vector(numbers: list[float], libraries: Libraries, scorer: Scorer) -> Query:
    encoders = scorer.releases.encoders()
    by_length: dict[int, str] = {}
    for encoder in libraries.encoders:
        by_length.setdefault(encoders.by_fingerprint(encoder).dimension, encoder)
    chosen = by_length.get(len(numbers))
    if chosen is None:
        lengths = " or ".join(map(str, sorted(by_length)))
        raise BadQueryError("vector", f"{len(numbers)} numbers were sent, but the vectors have {lengths} numbers each")
    # The numbers are scaled first, because their squares may be too large or too small for float32.
    largest = max(map(abs, numbers))
    vector = unit(np.array([numbers], np.float64) / (largest or 1.0))[0]
    if not usable(vector):
        raise BadQueryError("vector", "all numbers are 0, so the vector has no direction")
    return Query("vector", vector, chosen, chosen)


def _of_text(text: str, by: Literal["picture", "title"] | None, encoder: str, scorer: Scorer) -> Query:
    """Return the text as a query. `by` decides whether the query is compared with pictures or with titles.

    If `by` is None, the query is compared with pictures if the image encoder has a text tower, and otherwise with
    titles.
    """
    encoders = scorer.releases.encoders()
    why = ""
    if by != "title":
        try:
            vector = encoders.title_in_picture_space(encoder, text)
        except TextTowerError as error:
            vector, why = None, str(error)
        else:
            why = f"the image encoder {encoder} has no text tower, or gives no vector for this text"
        if vector is not None:
            return Query("text", vector, encoder, encoder)
        if by == "picture":
            raise BadQueryError("text_by", f"the text cannot be compared with pictures: {why}; leave text_by out")
    remarks = (f"the text was compared with titles and not with pictures: {why}",) if why else ()
    vector = encoders.title_vector(text)
    if not usable(vector):
        raise BadQueryError("text", "the title encoder gives no vector for this text")
    return Query("text", vector, encoders.title.fingerprint, encoder, "title", remarks)
