"""The part of the answer of `POST /v1/score` that says who is seen on the pictures.

This file is generated: change `thumblab_serving/schemas/people/people_seen.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SeenPersonOut:
    """The person whom a face matches."""

    person_id: str
    name: str
    """The name that a person gave. The lab never guesses a name."""

    score: float
    """The match score of the face and the person."""


@dataclass(frozen=True, kw_only=True)
class SeenFaceOut:
    """A face on a picture of the request. The lab does not store this face."""

    box: list[float]
    """The left, upper, right and lower edge, as fractions of the picture's width and height."""

    confidence: float
    """How sure the detector is that this is a face."""

    quality: float
    """The quality of the face, computed from size, sharpness, pose and confidence."""

    person: SeenPersonOut | None
    """The person whom the face matches. Null if the face matches no person with a name."""

    problem: str | None = None
    """Why the face could not be compared with anybody. Null if it was compared."""


@dataclass(frozen=True, kw_only=True)
class SeenThumbnailOut:
    """Who is seen on the picture of a candidate."""

    id: str
    """The id of the candidate."""

    faces: list[SeenFaceOut] | None
    """The faces, the largest first. Null if the picture could not be read or searched."""


@dataclass(frozen=True, kw_only=True)
class PersonOnChannelOut:
    """The figures of a seen person on the channel: how many thumbnails show the person, and how many views the videos
    with these thumbnails get.
    """

    person_id: str
    name: str
    thumbnails: int
    """How many thumbnails of the channel show the person."""

    searched: int
    """How many thumbnails of the channel were searched for faces."""

    share: float
    """`thumbnails` divided by `searched`."""

    views_factor: float | None
    """The views of videos with the person, divided by the views of videos without the person. The views of each video
    are first divided by the median views of the videos that the channel published shortly before and after. Null if
    fewer than five videos show the person, or fewer than five do not show the person.
    """

    low: float | None
    """The lower end of the 95 % interval of `views_factor`."""

    high: float | None
    """The upper end of the 95 % interval of `views_factor`."""


@dataclass(frozen=True, kw_only=True)
class PeopleSeenOut:
    """Who is seen on the pictures of a request. An answer has this part only for the lab's own channels."""

    threshold: float
    """The lowest match score with which a face matches a person."""

    thumbnails: list[SeenThumbnailOut]
    """The candidates, in the order of the request."""

    people: list[PersonOnChannelOut]
    """For each person who is seen, figures of this channel's thumbnails that show the person. A person without figures
    is left out.
    """

    note: str
    """A sentence about what the figures do not show."""
