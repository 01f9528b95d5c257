"""From a figure and its evidence to a sentence: why a sub-score is what it is, and what would raise it."""

import math
from collections.abc import Callable

from thumblab_core.sub_scores.evidence import Evidence, Line, SubScore, TextLine
from thumblab_core.sub_scores.layout import BADGE, CONTRAST, READABLE, factors, readable
from thumblab_core.sub_scores.titles import GOES, PICTURE

WEAK = {
    "clarity": 0.63,
    "prominence": 0.36,
    "contrast": 0.31,
    "emotion": 0.24,
    "hierarchy": 0.46,
    "title_match": 0.03,
}
"""Below this a score is weak: the lowest tenth of 2,252 thumbnails of 7 niches."""

_LEGIBLE = 0.5
_HIDDEN = 0.25
_QUOTED = 40

Sentences = tuple[str, str]


def explained(name: str, value: float, evidence: Evidence, weak: bool | None = None) -> SubScore:
    """The sub-score with its reason, and a fix where it is weak or the evidence shows something to mend.

    `weak` is the judgement of who compared it with other thumbnails than those behind `WEAK`: a niche's.
    """
    if weak is None:
        weak = value < WEAK[name]
    if name == "title_match":
        return SubScore(name, value, *_matched(value, evidence, weak))
    mend = _to_mend(evidence) if name == "hierarchy" else None
    if mend is not None:
        return SubScore(name, value, *mend)
    if weak:
        return SubScore(name, value, *_WEAKNESS[name](evidence))
    return SubScore(name, value, _FINE[name](evidence), None)


def quoted(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…")


def _subject(evidence: Evidence) -> str:
    if evidence.faces:
        return "the face" if len(evidence.faces) == 1 else "the largest face"
    return "the picture" if evidence.subject is None else "the most salient part"


def _share(evidence: Evidence) -> str:
    """Of the picture that its faces take; asked only where there are some."""
    area = sum(face.box.area for face in evidence.faces or ())
    count = len(evidence.faces or ())
    return f"{'a face takes' if count == 1 else f'{count} faces take'} {area:.0%} of the picture"


def _soft(evidence: Evidence) -> Sentences:
    return f"{_subject(evidence)} has soft edges", "use a sharper frame, or sharpen before exporting"


def _lost(evidence: Evidence) -> Sentences:
    fix = "make one subject larger and calm what is behind it"
    if evidence.faces:
        return f"{_share(evidence)}, and little else stands out", fix
    return "nothing stands out", fix


def _pale(evidence: Evidence) -> Sentences:
    return f"little contrast: {_distance(evidence)}", "separate subject and ground in lightness or colour"


def _distance(evidence: Evidence) -> str:
    light, colour = evidence.luminance_contrast, evidence.colour_contrast
    return f"{_subject(evidence)} and its ground differ by {light:.2f} in lightness and {colour:.2f} in colour, of 1"


def _calm(evidence: Evidence) -> Sentences:
    return "the colours are calm (the expression of a face is not read)", "use more saturated colours"


def _busy(evidence: Evidence) -> Sentences:
    return "much of it is small detail", "fewer and larger elements: it is mostly seen 120 pixels wide"


def _matched(value: float, evidence: Evidence, weak: bool) -> tuple[str, str | None]:
    """What the match of title and picture says: only of texts it is known from where on they go together."""
    if evidence.title_match_by == PICTURE:
        if weak:
            return "picture and title are further apart than most", "show what the title promises"
        return "how well picture and title go together; from where on they do was not measured for pictures", None
    text = f"the text {quoted(' '.join(line.text for line in evidence.texts or ()))}"
    if value >= GOES:
        return f"{text} goes with the title", None
    if weak:
        return f"{text} shares little with the title", "show what the title promises"
    return f"whether {text} goes with the title cannot be told", None


def _to_mend(evidence: Evidence) -> Sentences | None:
    """What hides a line, or takes most from the text where half of its letters cannot be read."""
    for line in evidence.lines:
        hidden = line.box.covered_by(BADGE)
        if hidden >= _HIDDEN:
            return f"the length badge hides {hidden:.0%} of {_named(line)}", "move it out of the corner"
    if evidence.legibility is None or evidence.legibility >= _LEGIBLE:
        return None
    worst = max(evidence.lines, key=lambda line: line.letters * (1 - readable(line)))
    why = factors(worst)
    if why["contrast"] < why["height"]:
        return (
            f"{_named(worst)} has a contrast of {_below(worst.contrast)} to 1 with its ground",
            f"make its letters lighter or darker than what is behind them, by at least {CONTRAST:g} to 1",
        )
    return f"{_named(worst)} {_height(worst)}", f"make it at least {READABLE:g} px there, or leave it out"


def _named(line: Line) -> str:
    return f"the text {quoted(line.text)}" if isinstance(line, TextLine) else "text that this reader cannot read"


def _below(value: float) -> str:
    """With one digit, never rounded up to what is asked for."""
    return f"{math.floor(10 * value) / 10:.1f}"


def _height(line: Line) -> str:
    return f"is {_below(line.height_at_120)} px high at 120 px wide"


def _legible(evidence: Evidence) -> str:
    if not evidence.lines:
        return "its large shapes survive at 120 px wide"
    largest = max(evidence.lines, key=lambda line: line.height_at_120)
    return f"{_named(largest)} {_height(largest)}"


_WEAKNESS: dict[str, Callable[[Evidence], Sentences]] = {
    "clarity": _soft,
    "prominence": _lost,
    "contrast": _pale,
    "emotion": _calm,
    "hierarchy": _busy,
}
_FINE: dict[str, Callable[[Evidence], str]] = {
    "clarity": lambda evidence: f"{_subject(evidence)} is sharp",
    "prominence": lambda evidence: _share(evidence) if evidence.faces else "one part stands out",
    "contrast": lambda evidence: (
        f"{_subject(evidence)} is set off in lightness or colour, or the picture is rich in both"
    ),
    "emotion": lambda evidence: "the colours are lively (the expression of a face is not read)",
    "hierarchy": _legible,
}
