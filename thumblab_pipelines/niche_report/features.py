"""Define the features that a niche report compares, and compute their values for each video.

All values come from what the lab has stored: the sub-scores with their evidence, the title under which the picture was
shown, and the length of the video.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.ranking.title_facts import title_facts
from thumblab_core.sub_scores import NAMES

if TYPE_CHECKING:
    import pandas as pd

TEXT, FACES, SUBJECT, COLOUR, SUB_SCORES, TITLE, VIDEO = (
    "text",
    "faces",
    "subject",
    "colour",
    "sub-scores",
    "title",
    "video",
)
"""The parts of a video's package. Each feature belongs to one of these parts."""


@dataclass(frozen=True)
class Feature:
    """A feature that a niche report compares.

    `more`: the sentence about winners that have more of the feature than other videos. `less`: the sentence about
    winners that have less of the feature. Both sentences lack the full stop. `flag`: whether the feature is either
    present or absent. `unit`: the unit of the values. `logarithmic`: whether the usual value is a geometric mean,
    because a few values are very large.
    """

    name: str
    part: str
    more: str
    less: str
    unit: str = ""
    flag: bool = False
    logarithmic: bool = False


def _flag(name: str, part: str, thing: str) -> Feature:
    return Feature(name, part, f"More often {thing}", f"Less often {thing}", flag=True)


_SUB_SCORES = {
    "clarity": ("Clearer at small size", "Less clear at small size"),
    "prominence": ("The subject stands out more", "The subject stands out less"),
    "contrast": ("Higher contrast score", "Lower contrast score"),
    "emotion": ("Higher emotion score", "Lower emotion score"),
    "hierarchy": ("A clearer visual order", "A less clear visual order"),
    "title_match": ("Picture and title match more", "Picture and title match less"),
}

_TITLE_FLAGS = {
    5: ("title_question_mark", "a question mark in the title"),
    6: ("title_exclamation_mark", "an exclamation mark in the title"),
    7: ("title_bar", "a | in the title"),
    8: ("title_colon", "a colon in the title"),
    9: ("title_hashtag", "a # in the title"),
    10: ("title_dollar", "a $ in the title"),
    12: ("title_quotes", "quotation marks in the title"),
    13: ("title_brackets", "brackets in the title"),
    14: ("title_dots", "three dots in the title"),
    15: ("title_question_word", "a question word in the title"),
    16: ("title_first_person", "I, my, we or our in the title"),
    17: ("title_second_person", "you or your in the title"),
    18: ("title_versus", "vs in the title"),
    19: ("title_pictograph", "an emoji in the title"),
}
"""The name of each flag, and the words that stand for the flag in a sentence. The key is the flag's position in
`title_facts`."""

FEATURES: tuple[Feature, ...] = (
    *(Feature(name, SUB_SCORES, *_SUB_SCORES[name]) for name in NAMES),
    _flag("has_text", TEXT, "text in the picture"),
    Feature("text_words", TEXT, "More words in the picture", "Fewer words in the picture", "words"),
    Feature("text_area", TEXT, "The text covers more of the picture", "The text covers less of the picture", "%"),
    Feature("text_height", TEXT, "The largest text is larger", "The largest text is smaller", "% of the height"),
    Feature("text_contrast", TEXT, "The text has more contrast", "The text has less contrast", ": 1"),
    Feature(
        "legibility",
        TEXT,
        "More of the text is legible at a small size",
        "Less of the text is legible at a small size",
        "%",
    ),
    Feature("text_x", TEXT, "The text is further right", "The text is further left", "% from the left"),
    Feature("text_y", TEXT, "The text is further down", "The text is further up", "% from the top"),
    _flag("has_face", FACES, "a face in the picture"),
    Feature("face_count", FACES, "More faces", "Fewer faces", "faces"),
    Feature("face_area", FACES, "The largest face is larger", "The largest face is smaller", "% of the picture"),
    Feature(
        "face_x", FACES, "The largest face is further right", "The largest face is further left", "% from the left"
    ),
    _flag("has_subject", SUBJECT, "a subject that stands out"),
    Feature("subject_area", SUBJECT, "The subject is larger", "The subject is smaller", "% of the picture"),
    Feature(
        "subject_off_centre", SUBJECT, "The subject is further from the middle", "The subject is nearer to the middle"
    ),
    Feature("sharpness", SUBJECT, "The subject is sharper", "The subject is less sharp"),
    Feature("badge_overlap", SUBJECT, "The length badge hides more", "The length badge hides less", "%"),
    Feature(
        "luminance_contrast",
        COLOUR,
        "Subject and background differ more in brightness",
        "Subject and background differ less in brightness",
    ),
    Feature(
        "colour_contrast",
        COLOUR,
        "Subject and background differ more in colour",
        "Subject and background differ less in colour",
    ),
    Feature("title_length", TITLE, "The title is longer", "The title is shorter", "characters"),
    Feature("title_words", TITLE, "The title has more words", "The title has fewer words", "words"),
    Feature(
        "title_capital_words",
        TITLE,
        "More of the title's words are in capitals",
        "Fewer of the title's words are in capitals",
        "%",
    ),
    _flag("title_number", TITLE, "a number in the title"),
    *(_flag(name, TITLE, words) for name, words in _TITLE_FLAGS.values()),
    Feature("duration", VIDEO, "The video is longer", "The video is shorter", "minutes", logarithmic=True),
)
"""All features that are compared. A report leaves out a feature that is too rare or does not vary within channels."""

BY_NAME = {feature.name: feature for feature in FEATURES}


def measure(videos: pd.DataFrame) -> pd.DataFrame:
    """Return the value of each feature for each video [n]. A value that was not measured is NaN.

    `videos` has the columns of `thumblab_pipelines.niche_report.read.read_videos`. The size and the position of a text
    are known only for pictures with a text. The size and the position of a face or of a subject are known only for
    pictures with a face or a subject.
    """
    import pandas as pd

    seen = pd.DataFrame([_seen(evidence) for evidence in videos.evidence], index=videos.index)
    facts = title_facts(videos.title.tolist()).astype(np.float64)
    columns: dict[str, Any] = {name: videos[name] for name in NAMES}
    columns |= {str(name): seen[name] for name in seen}
    columns["title_length"] = videos.title.str.len()
    columns["title_words"] = [len(title.split()) for title in videos.title]
    columns["title_capital_words"] = 100 * facts[:, 3]
    columns["title_number"] = (facts[:, 4] > 0).astype(float)
    columns |= {name: facts[:, place] for place, (name, _) in _TITLE_FLAGS.items()}
    columns["duration"] = videos.duration_s / 60
    return pd.DataFrame(columns, index=videos.index).astype(float).reindex(columns=[f.name for f in FEATURES])


def _seen(evidence: Mapping[str, Any] | None) -> dict[str, float]:
    """Return the features that come from the stored evidence of a picture. Without evidence, all these features are
    NaN."""
    unknown = float("nan")
    found = {name: unknown for part in (_TEXT_SIZES, _FACE_SIZES, _SUBJECT_SIZES) for name in part}
    found |= dict.fromkeys(("has_text", "text_words", "has_face", "face_count", "has_subject"), unknown)
    found |= dict.fromkeys(("sharpness", "luminance_contrast", "colour_contrast", "badge_overlap"), unknown)
    if evidence is None:
        return found
    found |= {name: float(evidence[name]) for name in ("sharpness", "luminance_contrast", "colour_contrast")}
    found["badge_overlap"] = 100 * evidence["badge_overlap"]
    if evidence["texts"] is not None:
        found |= _of_text(evidence)
    if evidence["faces"] is not None:
        found |= _of_faces(evidence["faces"])
    found["has_subject"] = float(evidence["subject"] is not None)
    if evidence["subject"] is not None:
        found |= {name: size(evidence["subject"]) for name, size in _SUBJECT_SIZES.items()}
    return found


def _area(box: Mapping[str, float]) -> float:
    return 100 * box["width"] * box["height"]


def _middle_x(box: Mapping[str, float]) -> float:
    return 100 * (box["x"] + box["width"] / 2)


def _middle_y(box: Mapping[str, float]) -> float:
    return 100 * (box["y"] + box["height"] / 2)


def _off_centre(box: Mapping[str, float]) -> float:
    return float(np.hypot(_middle_x(box) - 50, _middle_y(box) - 50)) / 100


_Size = Callable[[Mapping[str, float]], float]
_TEXT_SIZES = ("text_area", "text_height", "text_contrast", "legibility", "text_x", "text_y")
_FACE_SIZES: dict[str, _Size] = {"face_area": _area, "face_x": _middle_x}
_SUBJECT_SIZES: dict[str, _Size] = {"subject_area": _area, "subject_off_centre": _off_centre}


def _of_text(evidence: Mapping[str, Any]) -> dict[str, float]:
    lines = [*evidence["texts"], *evidence["unread"]]
    words = sum(len(line["text"].split()) for line in evidence["texts"])
    found = {"has_text": float(bool(lines)), "text_words": float(words)}
    if not lines:
        return found
    boxes = [line["box"] for line in lines]
    areas = np.array([_area(box) for box in boxes])
    weights = areas / areas.sum() if areas.sum() > 0 else np.full(len(areas), 1 / len(areas))
    found["text_area"] = min(100.0, float(areas.sum()))
    found["text_height"] = 100 * max(box["height"] for box in boxes)
    found["text_contrast"] = float(weights @ [line["contrast"] for line in lines])
    found["text_x"] = float(weights @ [_middle_x(box) for box in boxes])
    found["text_y"] = float(weights @ [_middle_y(box) for box in boxes])
    if evidence["legibility"] is not None:
        found["legibility"] = 100 * evidence["legibility"]
    return found


def _of_faces(faces: list[Mapping[str, Any]]) -> dict[str, float]:
    found = {"has_face": float(bool(faces)), "face_count": float(len(faces))}
    if faces:
        largest = max((face["box"] for face in faces), key=_area)
        found |= {name: size(largest) for name, size in _FACE_SIZES.items()}
    return found
