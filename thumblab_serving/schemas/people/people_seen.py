"""The part of the answer of `POST /v1/score` that says who is seen on the pictures."""

from pydantic import Field

from thumblab_serving.schemas.people.face_values import FaceBox, FaceConfidence, FaceQuality
from thumblab_serving.schemas.strict import FrozenModel


class SeenPersonOut(FrozenModel):
    """The person whom a face matches."""

    person_id: str
    name: str = Field(description="The name that a person gave. The lab never guesses a name.")
    score: float = Field(ge=0, le=1, description="The match score of the face and the person.")


class SeenFaceOut(FrozenModel):
    """A face on a picture of the request. The lab does not store this face."""

    box: FaceBox
    confidence: FaceConfidence
    quality: FaceQuality
    person: SeenPersonOut | None = Field(
        description="The person whom the face matches. Null if the face matches no person with a name."
    )
    problem: str | None = Field(
        default=None, description="Why the face could not be compared with anybody. Null if it was compared."
    )


class SeenThumbnailOut(FrozenModel):
    """Who is seen on the picture of a candidate."""

    id: str = Field(description="The id of the candidate.")
    faces: list[SeenFaceOut] | None = Field(
        description="The faces, the largest first. Null if the picture could not be read or searched."
    )


class PersonOnChannelOut(FrozenModel):
    """The figures of a seen person on the channel: how many thumbnails show the person, and how many views the videos
    with these thumbnails get.
    """

    person_id: str
    name: str
    thumbnails: int = Field(ge=0, description="How many thumbnails of the channel show the person.")
    searched: int = Field(ge=0, description="How many thumbnails of the channel were searched for faces.")
    share: float = Field(ge=0, le=1, description="`thumbnails` divided by `searched`.")
    views_factor: float | None = Field(
        description=(
            "The views of videos with the person, divided by the views of videos without the person. The views of each "
            "video are first divided by the median views of the videos that the channel published shortly before and "
            "after. Null if fewer than five videos show the person, or fewer than five do not show the person."
        )
    )
    low: float | None = Field(description="The lower end of the 95 % interval of `views_factor`.")
    high: float | None = Field(description="The upper end of the 95 % interval of `views_factor`.")


class PeopleSeenOut(FrozenModel):
    """Who is seen on the pictures of a request. An answer has this part only for the lab's own channels."""

    threshold: float = Field(ge=0, le=1, description="The lowest match score with which a face matches a person.")
    thumbnails: list[SeenThumbnailOut] = Field(description="The candidates, in the order of the request.")
    people: list[PersonOnChannelOut] = Field(
        description=(
            "For each person who is seen, figures of this channel's thumbnails that show the person. A person without "
            "figures is left out."
        )
    )
    note: str = Field(description="A sentence about what the figures do not show.")
