"""What was seen in a picture: the evidence that the sub-scores are made of, and the sub-scores themselves."""

from dataclasses import dataclass
from typing import Any, Self

NAMES = ("clarity", "prominence", "contrast", "emotion", "hierarchy", "title_match")

GRID = (9, 16)
"""Rows and columns of the saliency map that is kept."""


@dataclass(frozen=True)
class Box:
    """A rectangle in fractions of the picture, 0 to 1, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def within(cls, left: float, top: float, right: float, bottom: float) -> Self:
        """The part of the rectangle that lies inside the picture."""
        left, top = min(max(left, 0.0), 1.0), min(max(top, 0.0), 1.0)
        return cls(left, top, min(max(right, left), 1.0) - left, min(max(bottom, top), 1.0) - top)

    @property
    def area(self) -> float:
        return self.width * self.height

    def covered_by(self, other: "Box") -> float:
        """The share of this box that the other covers, 0 to 1."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return min(1.0, max(0.0, width) * max(0.0, height) / self.area) if self.area > 0 else 0.0

    def as_json(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in ("x", "y", "width", "height")}


@dataclass(frozen=True)
class TextLine:
    """A line of text: where, what it says, how sure the reader is (0 to 1), its height in pixels at 120 wide, and the
    contrast of its light and dark parts there (WCAG 2.2, 1 to 21; 0 before it was looked at)."""

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
"""Of a letter, over the height of its line: the median of real thumbnails."""


@dataclass(frozen=True)
class UnreadLine:
    """A line of text that was found and cannot be read, see `TextLine`."""

    box: Box
    height_at_120: float
    contrast: float = 0.0

    @property
    def letters(self) -> int:
        """About how many there are, by the shape of the line."""
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
    """A face: where, and how sure the detector is (0 to 1)."""

    box: Box
    confidence: float

    def as_json(self) -> dict[str, Any]:
        return {"box": self.box.as_json(), "confidence": round(self.confidence, 3)}


@dataclass(frozen=True)
class Evidence:
    """What was seen. `texts` and `faces` are None where nothing could look for them, and `missing` says what to do;
    `unread` is text that was found and cannot be read: it counts for everything but what it says.

    Every figure is 0 to 1. `saliency` has `GRID` cells, the most salient is 1. `sharpness`, `luminance_contrast` and
    `colour_contrast` are of the subject and of it against its ground; where no subject stands out, of the whole picture.
    `legibility` is the share of the characters that can be read at 120 pixels, None without text; `badge_overlap` the
    largest share of a text, a face or the subject that the length badge hides; `title_match_by` what was compared with the
    title: the picture or its text.
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
        """All text, whether it was read or not."""
        return (*(self.texts or ()), *self.unread)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, rounded: what is stored and served."""
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
    """One sub-score, 0 to 1; `value` is None when it could not be measured, and `reason` says why."""

    name: str
    value: float | None
    reason: str
    fix: str | None


@dataclass(frozen=True)
class Measurement:
    """The six sub-scores by name, in the order of `NAMES`, and what they were measured on."""

    scores: dict[str, SubScore]
    evidence: Evidence
