"""Explain a sub-score in words: why it has its value, and what would raise it."""

import math
from collections.abc import Callable

from thumblab_core.sub_scores.evidence import Evidence, Line, SubScore, TextLine
from thumblab_core.sub_scores.layout import BADGE, CONTRAST, READABLE, factors, readable
from thumblab_core.sub_scores.title_match import PICTURE, TEXT_MATCHES_FROM

WEAK = {
    "clarity": 0.63,
    "prominence": 0.36,
    "contrast": 0.31,
    "emotion": 0.24,
    "hierarchy": 0.46,
    "title_match": 0.03,
}
"""Values below which each sub-score is weak. They are the 10th percentiles of 2,252 thumbnails of 7 niches."""

_LEGIBLE = 0.5
"""The legibility below which the explanation mentions the line that is hardest to read."""
_HIDDEN = 0.25
"""The explanation mentions the length badge if the badge hides at least this share of a line."""
_QUOTED = 40
"""Maximum number of characters of a quoted text."""

Sentences = tuple[str, str]
"""The reason for a value, and what would raise the value."""


def explain(name: str, value: float, evidence: Evidence, weak: bool | None = None) -> SubScore:
    """Return the sub-score with its reason. If the sub-score is weak, or if a text in the picture has a problem, the
    result also says what would raise the value.

    `weak` says whether the value is weak among the thumbnails of a niche. If `weak` is None, the value is compared with
    `WEAK` instead.
    """
    if weak is None:
        weak = value < WEAK[name]
    if name == "title_match":
        return SubScore(name, value, *_explain_title_match(value, evidence, weak))
    text_problem = _text_problem(evidence) if name == "hierarchy" else None
    if text_problem is not None:
        return SubScore(name, value, *text_problem)
    if weak:
        return SubScore(name, value, *_WEAKNESS[name](evidence))
    return SubScore(name, value, _FINE[name](evidence), None)


def _quoted(text: str) -> str:
    """Return the text in quotes, cut to 40 characters."""
    return repr(text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…")


def _subject(evidence: Evidence) -> str:
    if evidence.faces:
        return "the face" if len(evidence.faces) == 1 else "the largest face"
    return "the picture" if evidence.subject is None else "the most salient part"


def _face_share(evidence: Evidence) -> str:
    """Return a clause that says how much of the picture the faces take. There must be at least one face."""
    area = sum(face.box.area for face in evidence.faces or ())
    count = len(evidence.faces or ())
    return f"{'a face takes' if count == 1 else f'{count} faces take'} {area:.0%} of the picture"


def _weak_clarity(evidence: Evidence) -> Sentences:
    return f"{_subject(evidence)} has soft edges", "use a sharper frame, or sharpen before exporting"


def _weak_prominence(evidence: Evidence) -> Sentences:
    fix = "make one subject larger and calm what is behind it"
    if evidence.faces:
        return f"{_face_share(evidence)}, and little else stands out", fix
    return "nothing stands out", fix


def _weak_contrast(evidence: Evidence) -> Sentences:
    return f"little contrast: {_subject_contrast(evidence)}", "separate subject and background in lightness or colour"


def _subject_contrast(evidence: Evidence) -> str:
    light, colour = evidence.luminance_contrast, evidence.colour_contrast
    return (
        f"{_subject(evidence)} and its background differ by {light:.2f} in lightness and {colour:.2f} in colour "
        "(1 is the most)"
    )


def _weak_emotion(evidence: Evidence) -> Sentences:
    return "the colours are calm (the expression of a face is not read)", "use more saturated colours"


def _weak_hierarchy(evidence: Evidence) -> Sentences:
    return "much of it is small detail", "fewer and larger elements: it is mostly seen 120 pixels wide"


def _explain_title_match(value: float, evidence: Evidence, weak: bool) -> tuple[str, str | None]:
    """Return the reason for the value of `title_match`, and what would raise the value.

    A text in the picture matches the title if the value is at least `TEXT_MATCHES_FROM`. If the picture itself was
    compared with the title, no such limit is known.
    """
    if evidence.title_match_by == PICTURE:
        if weak:
            return "picture and title are further apart than most", "show what the title promises"
        return "how well picture and title go together; which value is a match was not measured for pictures", None
    text = f"the text {_quoted(' '.join(line.text for line in evidence.texts or ()))}"
    if value >= TEXT_MATCHES_FROM:
        return f"{text} goes with the title", None
    if weak:
        return f"{text} shares little with the title", "show what the title promises"
    return f"{text} may or may not go with the title", None


def _text_problem(evidence: Evidence) -> Sentences | None:
    """Return what is wrong with a text that the length badge hides or that is hard to read, and what would help.

    Return None if the picture has no such text.

    The text is the first line of which the badge hides at least 25 %. If there is no such line and the legibility is
    below 0.5, the text is the line that is hardest to read.
    """
    for line in evidence.lines:
        hidden = line.box.covered_by(BADGE)
        if hidden >= _HIDDEN:
            return f"the length badge hides {hidden:.0%} of {_name_of(line)}", "move it out of the corner"
    if evidence.legibility is None or evidence.legibility >= _LEGIBLE:
        return None
    worst = max(evidence.lines, key=lambda line: line.letters * (1 - readable(line)))
    worst_factors = factors(worst)
    if worst_factors["contrast"] < worst_factors["height"]:
        return (
            f"{_name_of(worst)} has a contrast of {_rounded_down(worst.contrast)} to 1 with its background",
            f"make its letters lighter or darker than what is behind them, by at least {CONTRAST:g} to 1",
        )
    return f"{_name_of(worst)} {_height_phrase(worst)}", f"make it at least {READABLE:g} px there, or leave it out"


def _name_of(line: Line) -> str:
    return f"the text {_quoted(line.text)}" if isinstance(line, TextLine) else "text that this reader cannot read"


def _rounded_down(value: float) -> str:
    """Return the value with one decimal.

    The value is rounded down, so that a value below a minimum is never shown as equal to the minimum.
    """
    return f"{math.floor(10 * value) / 10:.1f}"


def _height_phrase(line: Line) -> str:
    return f"is {_rounded_down(line.height_at_120)} px high at 120 px wide"


def _fine_hierarchy(evidence: Evidence) -> str:
    if not evidence.lines:
        return "its large shapes survive at 120 px wide"
    largest = max(evidence.lines, key=lambda line: line.height_at_120)
    return f"{_name_of(largest)} {_height_phrase(largest)}"


_WEAKNESS: dict[str, Callable[[Evidence], Sentences]] = {
    "clarity": _weak_clarity,
    "prominence": _weak_prominence,
    "contrast": _weak_contrast,
    "emotion": _weak_emotion,
    "hierarchy": _weak_hierarchy,
}
_FINE: dict[str, Callable[[Evidence], str]] = {
    "clarity": lambda evidence: f"{_subject(evidence)} is sharp",
    "prominence": lambda evidence: _face_share(evidence) if evidence.faces else "one part stands out",
    "contrast": lambda evidence: (
        f"{_subject(evidence)} is set off in lightness or colour, or the picture is rich in both"
    ),
    "emotion": lambda evidence: "the colours are lively (the expression of a face is not read)",
    "hierarchy": _fine_hierarchy,
}
