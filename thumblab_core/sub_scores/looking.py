"""One look at a picture: the evidence, and the five sub-scores that need no title."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thumblab_core.images import Pixels
from thumblab_core.sub_scores import faces as faces_of
from thumblab_core.sub_scores import layout, light
from thumblab_core.sub_scores import text as text_of
from thumblab_core.sub_scores.evidence import Box, Evidence, Face, TextLine, UnreadLine
from thumblab_core.sub_scores.faces import FaceFinder
from thumblab_core.sub_scores.saliency import concentration, grid, saliency, salient_box
from thumblab_core.sub_scores.scene import Scene, fitted
from thumblab_core.sub_scores.text import TextReader

_SIDE = 640  # pixels of the longer side that text is read from: what is smaller there nobody reads at 120
_FACES_HALF = 0.15
_SALIENCY_HALF = 0.20
_HEAD = 0.2


@dataclass(frozen=True)
class Eyes:
    """The engines that one thread looks with; None where there is none."""

    reader: TextReader | None
    finder: FaceFinder | None


@dataclass(frozen=True)
class Look:
    """What was seen, and the sub-scores by name, 0 to 1, without `title_match`."""

    evidence: Evidence
    values: dict[str, float]


def look(image: Pixels, eyes: Eyes) -> Look:
    """Look at a picture, uint8 [h, w, 3] RGB."""
    image = fitted(image, _SIDE, enlarge=False)
    scene = Scene.of(image)
    found_lines = () if eyes.reader is None else eyes.reader.read(image)
    lines = tuple(replace(line, contrast=layout.contrast(scene, line)) for line in found_lines)
    texts = None if eyes.reader is None else tuple(line for line in lines if isinstance(line, TextLine))
    faces = None if eyes.finder is None else eyes.finder.find(image)
    found = saliency(scene.lab)
    subject = _head(faces[0].box) if faces else salient_box(found)
    light_apart, colour_apart = light.separation(scene, subject)
    legibility = layout.legibility(lines)
    evidence = Evidence(
        texts=texts,
        faces=faces,
        missing=tuple(
            sentence for sentence, seen in ((text_of.MISSING, texts), (faces_of.MISSING, faces)) if seen is None
        ),
        subject=subject,
        saliency=grid(found),
        sharpness=light.sharpness(scene, subject),
        luminance_contrast=light_apart,
        colour_contrast=colour_apart,
        legibility=legibility,
        badge_overlap=layout.badge_overlap(lines, faces or (), subject),
        unread=tuple(line for line in lines if isinstance(line, UnreadLine)),
    )
    whole = light.rms_contrast(scene), light.colourfulness(scene)
    values = {
        "clarity": evidence.sharpness,
        "prominence": _prominence(concentration(found), faces or ()),
        "contrast": float(np.mean([*whole, min(1.0, float(np.hypot(light_apart, colour_apart)))])),
        "emotion": light.arousal(scene),
        "hierarchy": layout.surviving_edges(scene) * (1 if legibility is None else 0.5 + 0.5 * legibility),
    }
    return Look(evidence, values)


def _prominence(concentrated: float, faces: Sequence[Face]) -> float:
    """Of faces and saliency together: what stands out by one need not by the other (a noisy or)."""
    area = min(1.0, sum(face.box.area for face in faces))
    of_faces = (area / (area + _FACES_HALF)) ** 0.5
    of_saliency = concentrated / (concentrated + _SALIENCY_HALF)
    return float(1 - (1 - of_faces) * (1 - of_saliency))


def _head(face: Box) -> Box:
    """A detector's box ends at the brow and the chin; hair and ears are the subject too."""
    dx, dy = _HEAD * face.width, _HEAD * face.height
    return Box.within(face.x - dx, face.y - dy, face.x + face.width + dx, face.y + face.height + dy)
