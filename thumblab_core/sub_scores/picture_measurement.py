"""Find the evidence in one picture, and compute the five sub-scores that need no title."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thumblab_core.faces.detector import MISSING as NO_FACE_MODEL
from thumblab_core.images import Pixels
from thumblab_core.sub_scores import layout, light_and_colour
from thumblab_core.sub_scores import text as text_reading
from thumblab_core.sub_scores.evidence import Box, Evidence, Face, TextLine, UnreadLine
from thumblab_core.sub_scores.faces import FaceFinder
from thumblab_core.sub_scores.saliency import concentration, grid, saliency, salient_box
from thumblab_core.sub_scores.scaled_picture import ScaledPicture, fitted
from thumblab_core.sub_scores.text import TextReader

_SIDE = 640
"""Number of pixels of the longer side of the scaled copy in which text is read.

Text that is too small to be read at this size cannot be read at a width of 120 pixels either.
"""
_FACES_HALF = 0.15
"""If all faces together take this share of the picture, their prominence is sqrt(1/2)."""
_SALIENCY_HALF = 0.20
"""If the saliency has this concentration, the prominence is 1/2."""
_HEAD = 0.2
"""How far the head extends beyond the box of the face on each side, as a share of the box's width or height."""


@dataclass(frozen=True)
class Engines:
    """The text reader and the face detector, for one thread at a time. A field is None if its engine is not installed."""

    reader: TextReader | None
    finder: FaceFinder | None


@dataclass(frozen=True)
class PictureMeasurement:
    """The evidence of a picture, and its sub-scores by name, 0 to 1, without `title_match`."""

    evidence: Evidence
    values: dict[str, float]


def measure_picture(image: Pixels, engines: Engines) -> PictureMeasurement:
    """Measure a picture, uint8 [h, w, 3] RGB, without its title."""
    image = fitted(image, _SIDE, enlarge=False)
    picture = ScaledPicture.of(image)
    read_lines = () if engines.reader is None else engines.reader.read(image)
    lines = tuple(replace(line, contrast=layout.contrast(picture, line)) for line in read_lines)
    texts = None if engines.reader is None else tuple(line for line in lines if isinstance(line, TextLine))
    faces = None if engines.finder is None else engines.finder.find(image)
    saliency_map = saliency(picture.lab)
    subject = _head(faces[0].box) if faces else salient_box(saliency_map)
    lightness_difference, colour_difference = light_and_colour.separation(picture, subject)
    legibility = layout.legibility(lines)
    evidence = Evidence(
        texts=texts,
        faces=faces,
        missing=tuple(
            sentence for sentence, results in ((text_reading.MISSING, texts), (NO_FACE_MODEL, faces)) if results is None
        ),
        subject=subject,
        saliency=grid(saliency_map),
        sharpness=light_and_colour.sharpness(picture, subject),
        luminance_contrast=lightness_difference,
        colour_contrast=colour_difference,
        legibility=legibility,
        badge_overlap=layout.badge_overlap(lines, faces or (), subject),
        unread=tuple(line for line in lines if isinstance(line, UnreadLine)),
    )
    whole_picture = light_and_colour.rms_contrast(picture), light_and_colour.colourfulness(picture)
    subject_contrast = min(1.0, float(np.hypot(lightness_difference, colour_difference)))
    values = {
        "clarity": evidence.sharpness,
        "prominence": _prominence(concentration(saliency_map), faces or ()),
        "contrast": float(np.mean([*whole_picture, subject_contrast])),
        "emotion": light_and_colour.arousal(picture),
        "hierarchy": layout.surviving_edges(picture) * (1 if legibility is None else 0.5 + 0.5 * legibility),
    }
    return PictureMeasurement(evidence, values)


def _prominence(concentrated: float, faces: Sequence[Face]) -> float:
    """Return the prominence, 0 to 1.

    The prominences of the faces and of the saliency are combined by noisy-or, 1 - (1 - a)(1 - b). So the result is high
    if one of the two prominences is high.
    """
    area = min(1.0, sum(face.box.area for face in faces))
    from_faces = (area / (area + _FACES_HALF)) ** 0.5
    from_saliency = concentrated / (concentrated + _SALIENCY_HALF)
    return float(1 - (1 - from_faces) * (1 - from_saliency))


def _head(face: Box) -> Box:
    """Return the box of the whole head. The detector's box ends at the brow and the chin, without hair and ears."""
    dx, dy = _HEAD * face.width, _HEAD * face.height
    return Box.within(face.x - dx, face.y - dy, face.x + face.width + dx, face.y + face.height + dy)
