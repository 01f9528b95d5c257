"""The part of an answer that has the sub-scores of a picture, and the evidence from which they were computed."""

from typing import Literal

from pydantic import Field

from thumblab_serving.schemas.strict import FrozenModel


class SubScoreOut(FrozenModel):
    """A measured property of the picture. If it could not be measured, `value` is null and `reason` says why."""

    value: float | None = Field(ge=0, le=1, description="The measured value. It does not depend on the niche.")
    niche_percentile: float | None = Field(
        ge=0,
        le=100,
        description=(
            "The percentage of the library's thumbnails that have a lower value. Null if no library is served, if the "
            "library was measured with another version of the formulas, or if too few of its thumbnails were measured."
        ),
    )
    weak: bool = Field(
        description=(
            "Whether the value is among the lowest 10 % of the values in the niche's library. If `niche_percentile` is "
            "null, the value is compared with fixed thresholds instead."
        )
    )
    reason: str = Field(
        description="What was found in the picture and explains the value. The reason may quote text of the picture."
    )
    fix: str | None = Field(description="What to change in the picture. Null if nothing needs to change.")


class BoxOut(FrozenModel):
    """A rectangle in the picture. All numbers are fractions of the picture's width or height.

    `x` and `y` are the distances of the rectangle's upper left corner from the left and the upper edge of the picture.
    """

    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    width: float = Field(ge=0, le=1)
    height: float = Field(ge=0, le=1)


class TextLineOut(FrozenModel):
    """A line of text that was read in the picture.

    A client must show the line as text and never as markup, because anyone may have made the picture.
    """

    box: BoxOut
    text: str
    confidence: float = Field(ge=0, le=1)
    height_at_120: float = Field(ge=0, description="Height of the line in pixels if the picture is 120 pixels wide.")
    contrast: float = Field(
        ge=0,
        description=(
            "Contrast ratio of the line's light and dark parts, 1 to 21, if the picture is 120 pixels wide. A ratio "
            "of 3 is enough to read letters."
        ),
    )


class UnreadLineOut(FrozenModel):
    """A line of text that was found but not read.

    The letters may have unusual shapes, or the text reader may not know their alphabet.
    """

    box: BoxOut
    height_at_120: float = Field(ge=0)
    contrast: float = Field(ge=0)


class FaceOut(FrozenModel):
    """A face that was found in the picture."""

    box: BoxOut
    confidence: float = Field(ge=0, le=1)


class EvidenceOut(FrozenModel):
    """The evidence of the sub-scores.

    `texts` is null if the lab has no model that finds texts. `faces` is null if the lab has no model that finds faces.
    """

    width: int = Field(
        ge=1, description="Width in pixels of the measured picture, which is upright and has no black bars."
    )
    height: int = Field(ge=1)
    texts: list[TextLineOut] | None
    unread: list[UnreadLineOut] = Field(
        description="Lines of text that could not be read. All sub-scores except `title_match` also use these lines.",
    )
    faces: list[FaceOut] | None
    missing: list[str] = Field(description="Sentences about what was missing for the measurement, such as a model.")
    subject: BoxOut | None = Field(
        description="The subject: the largest face with its hair. In a picture without faces, the most salient part."
    )
    badge: BoxOut = Field(description="The corner that YouTube covers with the length of the video.")
    saliency: list[list[float]] = Field(
        description=(
            "How salient each cell of the picture is, 0 to 1: 9 rows of 16 cells. The most salient cell has 1."
        )
    )
    sharpness: float = Field(ge=0, le=1)
    luminance_contrast: float = Field(
        ge=0, le=1, description="Difference in lightness between the subject and its surroundings."
    )
    colour_contrast: float = Field(
        ge=0, le=1, description="Difference in colour between the subject and its surroundings."
    )
    legibility: float | None = Field(
        ge=0,
        le=1,
        description=(
            "The share of the characters that can be read if the picture is 120 pixels wide. Null if there is no text."
        ),
    )
    badge_overlap: float = Field(
        ge=0,
        le=1,
        description=(
            "YouTube's badge with the video's length covers a part of the picture. For each text, each face and the "
            "subject, the covered share is measured. The value is the largest of these shares."
        ),
    )
    title_match_by: Literal["picture", "text"] | None = Field(
        description="What was compared with the title: the picture (by a text tower), or the text in the picture."
    )
