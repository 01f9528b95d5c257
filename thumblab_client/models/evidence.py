"""The part of an answer that has the sub-scores of a picture, and the evidence from which they were computed.

This file is generated: change `thumblab_serving/schemas/evidence.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SubScoreOut:
    """A measured property of the picture. If it could not be measured, `value` is null and `reason` says why."""

    value: float | None
    """The measured value. It does not depend on the niche."""

    niche_percentile: float | None
    """The percentage of the library's thumbnails that have a lower value. Null if no library is served, if the library
    was measured with another version of the formulas, or if too few of its thumbnails were measured.
    """

    weak: bool
    """Whether the value is among the lowest 10 % of the values in the niche's library. If `niche_percentile` is null,
    the value is compared with fixed thresholds instead.
    """

    reason: str
    """What was found in the picture and explains the value. The reason may quote text of the picture."""

    fix: str | None
    """What to change in the picture. Null if nothing needs to change."""


@dataclass(frozen=True, kw_only=True)
class BoxOut:
    """A rectangle in the picture. All numbers are fractions of the picture's width or height.

    `x` and `y` are the distances of the rectangle's upper left corner from the left and the upper edge of the
    picture.
    """

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class TextLineOut:
    """A line of text that was read in the picture.

    A client must show the line as text and never as markup, because anyone may have made the picture.
    """

    box: BoxOut
    text: str
    confidence: float
    height_at_120: float
    """Height of the line in pixels if the picture is 120 pixels wide."""

    contrast: float
    """Contrast ratio of the line's light and dark parts, 1 to 21, if the picture is 120 pixels wide. A ratio of 3 is
    enough to read letters.
    """


@dataclass(frozen=True, kw_only=True)
class UnreadLineOut:
    """A line of text that was found but not read.

    The letters may have unusual shapes, or the text reader may not know their alphabet.
    """

    box: BoxOut
    height_at_120: float
    contrast: float


@dataclass(frozen=True, kw_only=True)
class FaceOut:
    """A face that was found in the picture."""

    box: BoxOut
    confidence: float


@dataclass(frozen=True, kw_only=True)
class EvidenceOut:
    """The evidence of the sub-scores.

    `texts` is null if the lab has no model that finds texts. `faces` is null if the lab has no model that finds
    faces.
    """

    width: int
    """Width in pixels of the measured picture, which is upright and has no black bars."""

    height: int
    texts: list[TextLineOut] | None
    unread: list[UnreadLineOut]
    """Lines of text that could not be read. All sub-scores except `title_match` also use these lines."""

    faces: list[FaceOut] | None
    missing: list[str]
    """Sentences about what was missing for the measurement, such as a model."""

    subject: BoxOut | None
    """The subject: the largest face with its hair. In a picture without faces, the most salient part."""

    badge: BoxOut
    """The corner that YouTube covers with the length of the video."""

    saliency: list[list[float]]
    """How salient each cell of the picture is, 0 to 1: 9 rows of 16 cells. The most salient cell has 1."""

    sharpness: float
    luminance_contrast: float
    """Difference in lightness between the subject and its surroundings."""

    colour_contrast: float
    """Difference in colour between the subject and its surroundings."""

    legibility: float | None
    """The share of the characters that can be read if the picture is 120 pixels wide. Null if there is no text."""

    badge_overlap: float
    """YouTube's badge with the video's length covers a part of the picture. For each text, each face and the subject,
    the covered share is measured. The value is the largest of these shares.
    """

    title_match_by: Literal["picture", "text"] | None
    """What was compared with the title: the picture (by a text tower), or the text in the picture."""
