"""From a figure and its evidence to a sentence: why a sub-score is what it is, and what would raise it."""

from collections.abc import Callable

from thumblab_core.sub_scores.evidence import Evidence, SubScore, TextLine
from thumblab_core.sub_scores.layout import BADGE
from thumblab_core.sub_scores.titles import PICTURE

WEAK = {
    "clarity": 0.63,
    "prominence": 0.36,
    "contrast": 0.31,
    "emotion": 0.24,
    "hierarchy": 0.46,
    "title_match": 0.03,
}
"""Below this a score is weak: the lowest tenth of 2,252 thumbnails of 7 niches."""

_LEAST_PIXELS = 8
_HIDDEN = 0.25
_QUOTED = 40

Sentences = tuple[str, str]


def explained(name: str, value: float, evidence: Evidence, weak: bool | None = None) -> SubScore:
    """The sub-score with its reason, and a fix where it is weak or the evidence shows something to mend.

    `weak` is the judgement of who compared it with other thumbnails than those behind `WEAK`: a niche's.
    """
    mend = _to_mend(evidence) if name == "hierarchy" else None
    if mend is not None:
        return SubScore(name, value, *mend)
    if weak if weak is not None else value < WEAK[name]:
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


def _apart(evidence: Evidence) -> Sentences:
    shown = "picture" if evidence.title_match_by == PICTURE else f"text {_said(evidence)}"
    return f"the {shown} and the title speak of different things", "show what the title promises"


def _said(evidence: Evidence) -> str:
    return quoted(" ".join(line.text for line in evidence.texts or ()))


def _to_mend(evidence: Evidence) -> Sentences | None:
    """The first line that is too small to be read or that the badge hides."""
    lines = evidence.texts or ()
    for line in lines:
        hidden = line.box.covered_by(BADGE)
        if hidden >= _HIDDEN:
            return f"the length badge hides {hidden:.0%} of the text {quoted(line.text)}", "move it out of the corner"
    small = [line for line in lines if line.height_at_120 < _LEAST_PIXELS]
    if not small or evidence.legibility is None or evidence.legibility >= 0.5:
        return None
    return (
        f"the text {_height(min(small, key=_prominent))}",
        f"make it at least {_LEAST_PIXELS} px there, or leave it out",
    )


def _prominent(line: TextLine) -> float:
    return -line.height_at_120


def _height(line: TextLine) -> str:
    return f"{quoted(line.text)} is {line.height_at_120:.0f} px high at 120 px wide"


def _legible(evidence: Evidence) -> str:
    if not evidence.texts:
        return "its large shapes survive at 120 px wide"
    return f"the text {_height(max(evidence.texts, key=lambda line: line.height_at_120))}"


_WEAKNESS: dict[str, Callable[[Evidence], Sentences]] = {
    "clarity": _soft,
    "prominence": _lost,
    "contrast": _pale,
    "emotion": _calm,
    "hierarchy": _busy,
    "title_match": _apart,
}
_FINE: dict[str, Callable[[Evidence], str]] = {
    "clarity": lambda evidence: f"{_subject(evidence)} is sharp",
    "prominence": lambda evidence: _share(evidence) if evidence.faces else "one part stands out",
    "contrast": lambda evidence: (
        f"{_subject(evidence)} is set off in lightness or colour, or the picture is rich in both"
    ),
    "emotion": lambda evidence: "the colours are lively (the expression of a face is not read)",
    "hierarchy": _legible,
    "title_match": lambda evidence: (
        "the picture shows what the title says"
        if evidence.title_match_by == PICTURE
        else f"the text {_said(evidence)} goes with the title"
    ),
}
