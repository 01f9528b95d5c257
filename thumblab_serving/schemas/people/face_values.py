"""The values that an answer gives for a face, whether the lab stores the face or has only seen it in a request."""

from typing import Annotated

from pydantic import Field

FaceBox = Annotated[
    list[float],
    Field(
        min_length=4,
        max_length=4,
        description="The left, upper, right and lower edge, as fractions of the picture's width and height.",
    ),
]

FaceConfidence = Annotated[float, Field(ge=0, le=1, description="How sure the detector is that this is a face.")]

FaceQuality = Annotated[
    float,
    Field(ge=0, le=1, description="The quality of the face, computed from size, sharpness, pose and confidence."),
]
