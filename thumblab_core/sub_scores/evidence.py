"""The data classes of the sub-scores: what was found in a picture, and the scores that were computed from it."""

from dataclasses import dataclass
from typing import Any, Self

NAMES = ("clarity", "prominence", "contrast", "emotion", "hierarchy", "title_match")

GRID = (9, 16)
"""The numbers of rows and columns of the saliency map in the evidence."""


@dataclass(frozen=True)
class Box:
    """A rectangle in fractions of the picture's width and height, 0 to 1. `x` and `y` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def within(cls, left: float, top: float, right: float, bottom: float) -> Self:
        """Return the part of a rectangle that lies inside the picture. The rectangle may reach beyond the picture."""
        left, top = min(max(left, 0.0), 1.0), min(max(top, 0.0), 1.0)
        return cls(left, top, min(max(right, left), 1.0) - left, min(max(bottom, top), 1.0) - top)

    @property
    def area(self) -> float:
        return self.width * self.height

    def covered_by(self, other: "Box") -> float:
        """Return the share of this box that `other` covers, 0 to 1."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return min(1.0, max(0.0, width) * max(0.0, height) / self.area) if self.area > 0 else 0.0

    def as_json(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in ("x", "y", "width", "height")}


@dataclass(frozen=True)
class TextLine:
    """A line of text that was read.

    `confidence`: the confidence of the text reader, 0 to 1. `height_at_120`: the height of the line in pixels when the
    picture is 120 pixels wide. `contrast`: WCAG 2.2 contrast ratio between the light and dark parts of the line at that
    width, 1 to 21. The contrast is 0 until it is measured.
    """

    box: Box
    text: str
    confidence: float
    height_at_120: float
    contrast: float = 0.0

    @property
    def letters(self) -> int:
        return sum(character.isalnum() for character in self.text)

    def as_json(self) -> dict[str, Any]:
        return {
            "box": self.box.as_json(),
            "text": self.text,
            "confidence": round(self.confidence, 3),
            "height_at_120": round(self.height_at_120, 2),
            "contrast": round(self.contrast, 2),
        }


_LETTER_WIDTH = 0.55
"""Width of a letter divided by the height of its line. The value is the median over real thumbnails."""


@dataclass(frozen=True)
class UnreadLine:
    """A line of text that was detected but cannot be read. Its fields have the same meaning as in `TextLine`."""

    box: Box
    height_at_120: float
    contrast: float = 0.0

    @property
    def letters(self) -> int:
        """Approximate number of letters, estimated from the shape of the line."""
        return max(1, round(120 * self.box.width / (_LETTER_WIDTH * max(self.height_at_120, 1e-6))))

    def as_json(self) -> dict[str, Any]:
        return {
            "box": self.box.as_json(),
            "height_at_120": round(self.height_at_120, 2),
            "contrast": round(self.contrast, 2),
        }


Line = TextLine | UnreadLine


@dataclass(frozen=True)
class Face:
    """A face that was found. `confidence` is the confidence of the face detector, 0 to 1."""

    box: Box
    confidence: float

    def as_json(self) -> dict[str, Any]:
        return {"box": self.box.as_json(), "confidence": round(self.confidence, 3)}


@dataclass(frozen=True)
class Evidence:
    """The evidence that was found in a picture. The numbers of this class are from 0 to 1.

    `texts`, `faces`: None if the text reader or the face model is not installed. `missing` then says what to install.
    `unread`: text that was detected but cannot be read. Unread text counts in every measurement except `title_match`.
    `saliency`: a map of `GRID` cells. The most salient cell is 1.
    `sharpness`: the sharpness of the subject. `luminance_contrast`, `colour_contrast`: the contrasts between the
    subject and its background. If no subject stands out, these three figures describe the whole picture.
    `legibility`: the share of the characters that can be read when the picture is 120 pixels wide. None without text.
    `badge_overlap`: the largest share of a text, of a face or of the subject that the length badge hides.
    `title_match_by`: what was compared with the title, `picture` or `text`. None if nothing was compared.
    """

    texts: tuple[TextLine, ...] | None
    faces: tuple[Face, ...] | None
    missing: tuple[str, ...]
    subject: Box | None
    saliency: tuple[tuple[float, ...], ...]
    sharpness: float
    luminance_contrast: float
    colour_contrast: float
    legibility: float | None
    badge_overlap: float
    title_match_by: str | None = None
    unread: tuple[UnreadLine, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines of text in the picture: those that were read, and those that could not be read."""
        return (*(self.texts or ()), *self.unread)

    @property
    def words(self) -> str | None:
        """The words that were read, separated by spaces. None if the text reader is not installed."""
        return None if self.texts is None else " ".join(line.text for line in self.texts)

    def as_json(self) -> dict[str, Any]:
        """Return the evidence as rounded JSON values, as it is stored and served."""
        return {
            "texts": None if self.texts is None else [line.as_json() for line in self.texts],
            "unread": [line.as_json() for line in self.unread],
            "faces": None if self.faces is None else [face.as_json() for face in self.faces],
            "missing": list(self.missing),
            "subject": None if self.subject is None else self.subject.as_json(),
            "saliency": [[round(cell, 3) for cell in row] for row in self.saliency],
            "sharpness": round(self.sharpness, 4),
            "luminance_contrast": round(self.luminance_contrast, 4),
            "colour_contrast": round(self.colour_contrast, 4),
            "legibility": None if self.legibility is None else round(self.legibility, 4),
            "badge_overlap": round(self.badge_overlap, 4),
            "title_match_by": self.title_match_by,
        }


@dataclass(frozen=True)
class SubScore:
    """One sub-score, 0 to 1, with its explanation.

    `value` is None if it could not be measured, and `reason` then says why. `fix` says what would raise the score.
    `fix` is None if nothing needs to change.
    """

    name: str
    value: float | None
    reason: str
    fix: str | None


@dataclass(frozen=True)
class Measurement:
    """The six sub-scores by name, in the order of `NAMES`, with their evidence."""

    scores: dict[str, SubScore]
    evidence: Evidence
