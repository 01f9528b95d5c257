"""The requests and the answers about the niches of the lab."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, Strict, StringConstraints, WithJsonSchema

from thumblab_core.niches import NICHE_PATTERN
from thumblab_core.niches.niche import LONGEST_TEXT, MOST_CHANNELS, MOST_EXCLUDED, MOST_SEARCHES
from thumblab_serving.schemas.strict import AS_WHOLE, StrictModel

Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]


class NicheRequest(StrictModel):
    """A niche to add. It needs a category, a search or a channel."""

    name: Annotated[
        str, StringConstraints(max_length=40), WithJsonSchema({"type": "string", "pattern": NICHE_PATTERN})
    ] = Field(description="The name of the niche, in requests, in Dagster and in URLs.", examples=["cooking"])
    category_id: Annotated[int, Strict(), Field(ge=1, le=999), AS_WHOLE] | None = Field(
        default=None, description="The id of a YouTube category. If there are searches, it only narrows them."
    )
    region: Annotated[str, StringConstraints(max_length=2)] | None = Field(
        default=None, description="ISO 3166-1 code. Default: the lab's region.", examples=["AU"]
    )
    language: Annotated[str, StringConstraints(max_length=35)] | None = Field(
        default=None, description="BCP 47 code. Default: the lab's language.", examples=["en"]
    )
    searches: list[Text] = Field(
        default_factory=list, max_length=MOST_SEARCHES, description="Texts for which YouTube is searched."
    )
    channels: list[Text] = Field(
        default_factory=list, max_length=MOST_CHANNELS, description="Ids or @handles of channels to collect."
    )
    exclude: list[Text] = Field(
        default_factory=list, max_length=MOST_EXCLUDED, description="Words that leave a video out if its title has one."
    )


class NicheOut(StrictModel):
    """A niche of the lab, and where its videos come from."""

    name: str
    category_id: int | None
    region: str | None
    language: str | None
    searches: list[str]
    channels: list[str]
    exclude: list[str]
    added_at: datetime
    retired_at: datetime | None = Field(
        description="When the niche was retired; null while it is collected and served."
    )


class NichesOut(StrictModel):
    """The niches of the lab, in the order in which they were added. Retired niches are included."""

    niches: list[NicheOut]
