"""The query and the answer of `GET /v1/library/pictures`.

This file is generated: change `thumblab_serving/schemas/library.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class LibraryPictureOut:
    """The thumbnail of a video of the library, reduced and cropped to 16:9."""

    video_id: str
    media_type: Literal["image/jpeg"] = "image/jpeg"
    image_base64: str


@dataclass(frozen=True, kw_only=True)
class LibraryPicturesOut:
    """The thumbnails that the lab has. `degraded` says in plain sentences why thumbnails of the lab could not be read."""

    pictures: list[LibraryPictureOut]
    missing: list[str]
    """The ids of the videos whose thumbnail is not in this answer."""

    degraded: list[str]
