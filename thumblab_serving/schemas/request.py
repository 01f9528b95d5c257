"""The body of `POST /v1/score`."""

import re
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from thumblab_core.errors import LabError
from thumblab_core.given_text import CHANNEL_HELP, channel_name
from thumblab_core.images import FORMAT_NAMES, MAX_BYTES
from thumblab_serving.schemas.alternatives import all_of, exactly_one, not_both
from thumblab_serving.schemas.item_id import ItemId
from thumblab_serving.schemas.niche import Niche
from thumblab_serving.schemas.strict import StrictModel
from thumblab_serving.schemas.title import Title

MAX_THUMBNAILS = 20
MAX_TITLES = 10
MOST_CATEGORIES = 7
"""Maximum number of niches of a request. Each niche needs a search of its own."""

_DEFAULT_CATEGORY = "tech"

MAX_URL = 2048
"""Maximum number of characters of a URL, and of the name of a channel."""

URL_HELP = (
    "https URL of a picture on one of YouTube's image hosts, or on a host that the service is set to read from. A URL "
    "of any other host is refused, unless the service is set to read from any public host."
)

CHANNEL_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""Regular expression for a text that is not blank and has no control characters. The OpenAPI document shows it."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _channel_name(text: str) -> str:
    if _CONTROL.search(text) or not text.strip():
        raise ValueError(f"the name of the channel is blank or has control characters; {CHANNEL_HELP}")
    try:
        return channel_name(text)
    except LabError as error:
        raise ValueError(str(error)) from None


ChannelName = Annotated[
    str,
    StringConstraints(max_length=MAX_URL),
    AfterValidator(_channel_name),
    WithJsonSchema({"type": "string", "pattern": CHANNEL_PATTERN, "maxLength": MAX_URL}),
]
"""The name of a channel as a person gives it: its id, exact title, @handle or link. A link is replaced by the id or the
@handle in it."""


class ScoreForm(StrictModel):
    """The fields of a request except its pictures. These fields are the same in JSON and in a form."""

    model_config = ConfigDict(
        json_schema_extra=all_of(exactly_one("title", "titles", second_is="array"), not_both("category", "categories"))
    )
    sent_beside: ClassVar[tuple[str, ...]] = ("thumbnails",)

    title: Title | None = Field(
        default=None,
        description="The title of the video. Give either `title` or `titles`.",
        examples=["I tested every phone under $200"],
    )
    category: Niche = Field(
        default=_DEFAULT_CATEGORY,
        description="The niche with whose library the thumbnails are compared.",
        examples=["tech"],
    )
    channel_id: ChannelName | None = Field(
        default=None,
        description=(
            "Your channel, by its id, exact title, @handle or link. If the lab knows the channel, the answer is "
            "adapted to it. The service does not look up names on YouTube. So a @handle is known only if the lab "
            "collected the channel from YouTube, or if the channel was added by its @handle."
        ),
        examples=["UCBJycsmduvYEL83R_U4JriQ"],
    )
    titles: list[Title] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_TITLES,
        description="Several titles, each to be shown with each picture. `packages` in the answer ranks all these "
        "packages.",
        json_schema_extra={"uniqueItems": True},
    )
    categories: list[Niche] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_CATEGORIES,
        description="Several niches, in place of `category`. Each niche gets its own answer (see `other_niches`).",
        json_schema_extra={"uniqueItems": True},
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_category(cls, data: Any) -> Any:
        """Fill in the default of `category` as if it was sent, so that it is checked like any other niche.

        If `categories` is given, `category` is not used. Its default need not be a niche of the lab then.
        """
        if isinstance(data, dict) and data.get("categories") is None:
            return {"category": _DEFAULT_CATEGORY, **data}
        return data

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        if (self.title is None) == (self.titles is None):
            raise ValueError("give either title or titles")
        if self.categories is not None and "category" in self.model_fields_set:
            raise ValueError("give either category or categories")
        for name, values in (("titles", self.titles), ("categories", self.categories)):
            if values is not None and len(set(values)) != len(values):
                raise ValueError(f"two of the {name} are the same")
        return self

    @property
    def all_titles(self) -> tuple[str, ...]:
        """The titles of the request, in order. There is at least one title."""
        return (*([] if self.title is None else [self.title]), *(self.titles or ()))

    @property
    def niches(self) -> tuple[Niche, ...]:
        """The niches of the request, in order. There is at least one niche."""
        return tuple(self.categories or (self.category,))


class ThumbnailIn(StrictModel):
    """One candidate: a URL of an allowed image host, or the picture itself."""

    model_config = ConfigDict(json_schema_extra=exactly_one("url", "image_base64"))

    id: ItemId = Field(description="Your name for the candidate, unique in the request.")
    url: str | None = Field(default=None, max_length=MAX_URL, description=URL_HELP)
    image_base64: str | None = Field(
        default=None,
        description=(
            f"The picture file ({FORMAT_NAMES}) in base64, with or without a `data:` prefix. A picture of more than "
            f"{MAX_BYTES} bytes gives this candidate an `error`."
        ),
    )

    title: Title | None = Field(
        default=None,
        description=("The title with which this candidate is scored, instead of the title or titles of the request."),
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.url is None) == (self.image_base64 is None):
            raise ValueError("give either url or image_base64")
        return self


class ScoreRequest(ScoreForm):
    """A request to rank thumbnails, and to compare them with the library of a niche."""

    model_config = ConfigDict(
        json_schema_extra=all_of(exactly_one("title", "titles", second_is="array"), not_both("category", "categories"))
        | {
            "examples": [
                {
                    "title": "I tested every phone under $200",
                    "category": "tech",
                    "thumbnails": [
                        {"id": "face", "url": "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxresdefault.jpg"},
                        {"id": "phones", "image_base64": "/9j/4AAQSkZJRgABAQAAAQABAAD…"},
                    ],
                }
            ]
        }
    )
    thumbnails: list[ThumbnailIn] = Field(min_length=1, max_length=MAX_THUMBNAILS)

    @field_validator("thumbnails")
    @classmethod
    def _have_distinct_ids(cls, thumbnails: list[ThumbnailIn]) -> list[ThumbnailIn]:
        if len({thumbnail.id for thumbnail in thumbnails}) != len(thumbnails):
            raise ValueError("two thumbnails have the same id")
        return thumbnails
