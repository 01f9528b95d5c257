"""The bodies and the query of `/v1/similar`."""

import re
from datetime import date
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AllowInfNan, BeforeValidator, ConfigDict, Field, Strict, model_validator

from thumblab_core.images import FORMAT_NAMES, MAX_BYTES
from thumblab_serving.schemas.alternatives import exactly_one_of
from thumblab_serving.schemas.library import VideoId
from thumblab_serving.schemas.niche import Niche
from thumblab_serving.schemas.request import MAX_URL, URL_HELP, ChannelName
from thumblab_serving.schemas.strict import AS_WHOLE, Number, StrictModel
from thumblab_serving.schemas.title import Title

MOST_ITEMS = 100
"""Maximum number of thumbnails in an answer."""
MOST_OFFSET = 900
MOST_DIMENSIONS = 4_096
"""Maximum length of a query vector."""
DEFAULT_DIVERSITY = 0.3
QUERIES = ("video_id", "text", "vector", "url", "image_base64")
"""The fields of a JSON body that may contain the query. Exactly one of these fields must be given."""

_MOST_MULTIPLE = 1e9
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(value: object) -> object:
    # Without this check, pydantic would also accept numbers, and read them as seconds since 1970.
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        raise ValueError("write the day as YYYY-MM-DD")
    return value


Day = Annotated[date, BeforeValidator(_day)]


class SimilarForm(StrictModel):
    """The filters of a search, and the order of its results. These fields are the same in JSON, in a form and in a
    query.
    """

    niche: Niche | None = Field(
        default=None, description="The niche to search. If it is left out, the libraries of all niches are searched."
    )
    published_after: Day | None = Field(
        default=None, description="Find only videos that were published on this day or later."
    )
    published_before: Day | None = Field(
        default=None, description="Find only videos that were published on this day or earlier."
    )
    min_outlier_multiple: Annotated[float, AllowInfNan(False)] | None = Field(
        default=None,
        ge=0,
        le=_MOST_MULTIPLE,
        description=(
            "Find only videos with at least this outlier multiple. A video without an outlier multiple is not found."
        ),
    )
    k: int = Field(default=24, ge=1, le=MOST_ITEMS, description="The maximum number of thumbnails in the answer.")
    offset: int = Field(default=0, ge=0, le=MOST_OFFSET, description="How many of the most similar thumbnails to skip.")
    diversity: Annotated[float, AllowInfNan(False)] = Field(
        default=DEFAULT_DIVERSITY,
        ge=0,
        le=1,
        description=(
            "With 0, the most similar thumbnail comes first. With a higher number, thumbnails that resemble earlier "
            "thumbnails come later (maximal marginal relevance among the 200 most similar)."
        ),
    )
    exclude_channel: ChannelName | None = Field(
        default=None, description="A channel whose videos are left out: its id, exact title, @handle or link."
    )

    @model_validator(mode="after")
    def _has_a_span(self) -> Self:
        after, before = self.published_after, self.published_before
        if after is not None and before is not None and after > before:
            raise ValueError("published_after is later than published_before, so no video can be found")
        return self


class SimilarQuery(SimilarForm):
    """The query of `GET /v1/similar`."""

    video_id: VideoId = Field(
        description="The id of a video of the lab. The libraries are searched for thumbnails similar to the video's "
        "present thumbnail."
    )


class SimilarPictureForm(SimilarForm):
    """The fields of a form except its picture file."""

    sent_beside: ClassVar[tuple[str, ...]] = ("picture",)


class SimilarRequest(SimilarForm):
    """A query with its filters. Give exactly one of `video_id`, `text`, `vector`, `url` and `image_base64`."""

    model_config = ConfigDict(
        json_schema_extra=exactly_one_of(
            video_id="string", text="string", vector="array", url="string", image_base64="string"
        )
        | {"examples": [{"video_id": "v3", "niche": "tech", "k": 12}, {"text": "a red car on a race track"}]}
    )

    min_outlier_multiple: Number | None = Field(
        default=None, ge=0, le=_MOST_MULTIPLE, description=SimilarForm.model_fields["min_outlier_multiple"].description
    )
    k: Annotated[int, Strict(), Field(ge=1, le=MOST_ITEMS), AS_WHOLE] = Field(
        default=24, description=SimilarForm.model_fields["k"].description
    )
    offset: Annotated[int, Strict(), Field(ge=0, le=MOST_OFFSET), AS_WHOLE] = Field(
        default=0, description=SimilarForm.model_fields["offset"].description
    )
    diversity: Number = Field(
        default=DEFAULT_DIVERSITY, ge=0, le=1, description=SimilarForm.model_fields["diversity"].description
    )
    video_id: VideoId | None = Field(
        default=None,
        description="The id of a video of the lab. The libraries are searched for thumbnails similar to the video's "
        "present thumbnail.",
    )
    text: Title | None = Field(
        default=None,
        description=(
            "Words. If the image encoder has a text tower, as CLIP has, the words are compared with the pictures. "
            "Otherwise, the words are compared with the titles. `query.matched_by` in the answer says what they were "
            "compared with."
        ),
    )
    text_by: Literal["picture", "title"] | None = Field(
        default=None, description="What the text is compared with. By default, the service chooses (see `text`)."
    )
    vector: list[Number] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_DIMENSIONS,
        description="A vector that the libraries' image encoder has made. Its norm may be any number above 0.",
    )
    url: str | None = Field(default=None, max_length=MAX_URL, description=URL_HELP)
    image_base64: str | None = Field(
        default=None,
        description=f"The picture file ({FORMAT_NAMES}, at most {MAX_BYTES} bytes) in base64, with or without a "
        "`data:` prefix.",
    )

    @model_validator(mode="after")
    def _has_one_query(self) -> Self:
        given = [name for name in QUERIES if getattr(self, name) is not None]
        if len(given) != 1:
            sent = f"{len(given)} were sent: {', '.join(given)}" if given else "none was sent"
            raise ValueError(f"give exactly one of {', '.join(QUERIES)}; {sent}")
        if self.text_by is not None and self.text is None:
            raise ValueError("text_by can only be sent with text")
        return self
