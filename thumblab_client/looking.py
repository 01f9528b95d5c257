"""Build the requests for similar thumbnails, for groups of similar thumbnails, and for the data of a video."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from thumblab_client.errors import PictureError
from thumblab_client.models.library import SimilarOut, VideoOut
from thumblab_client.models.library_index import LibraryClustersOut
from thumblab_client.pictures import PictureLike, in_json, pictures_of
from thumblab_client.requests import Call, in_path, known


def similar(
    video_id: str | None,
    picture: PictureLike | None,
    text: str | None,
    vector: Sequence[float] | None,
    **options: str | float | date | None,
) -> Call[SimilarOut]:
    """Return the request for similar thumbnails. Raises `PictureError` if the picture cannot be read."""
    body: dict[str, Any] = known(video_id=video_id, text=text, **options)
    if vector is not None:
        body["vector"] = [float(number) for number in vector]
    if picture is not None:
        (given,) = pictures_of([picture])
        if given.data == b"":
            raise PictureError(f"the picture {given.id} is empty")
        body |= in_json(given)
    return Call("POST", "/v1/similar", SimilarOut, {"json": body})


def library_clusters(niche: str) -> Call[LibraryClustersOut]:
    """Return the request for the groups of similar thumbnails of a niche, or of all niches (`all`)."""
    return Call("GET", f"/v1/library/{in_path('niche', niche)}/clusters", LibraryClustersOut)


def video(video_id: str) -> Call[VideoOut]:
    """Return the request for the lab's data about a video."""
    return Call("GET", f"/v1/videos/{in_path('video_id', video_id)}", VideoOut)
