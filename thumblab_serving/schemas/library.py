"""The query and the answer of `GET /v1/library/pictures`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from thumblab_core.experiments.rules import LONGEST_TEXT
from thumblab_serving.schemas.strict import StrictModel

MOST_PICTURES = 24
"""Maximum number of videos in a request. An answer then has about a megabyte."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("the id of a video has no NUL character")
    return text


VideoId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_TEXT),
    AfterValidator(_without_nul),
    WithJsonSchema({"type": "string", "pattern": r"^[^\x00]*$", "minLength": 1, "maxLength": LONGEST_TEXT}),
]
"""The id of a video. PostgreSQL stores no NUL characters, so no id has one."""


class LibraryPicturesQuery(StrictModel):
    """The query of `GET /v1/library/pictures`."""

    video_id: list[VideoId] = Field(
        min_length=1, max_length=MOST_PICTURES, description="The videos, such as the `neighbours` of an answer."
    )


class LibraryPictureOut(StrictModel):
    """The thumbnail of a video of the library, reduced and cropped to 16:9."""

    video_id: str
    media_type: Literal["image/jpeg"] = "image/jpeg"
    image_base64: str


class LibraryPicturesOut(StrictModel):
    """The thumbnails that the lab has. `degraded` says in plain sentences why thumbnails of the lab could not be read."""

    pictures: list[LibraryPictureOut]
    missing: list[str] = Field(description="The ids of the videos whose thumbnail is not in this answer.")
    degraded: list[str]
