"""The six sub-scores: what is measured in a thumbnail, each 0 to 1, none of them derived from views.

    clarity       sharpness: variance of the Laplacian of the luminance      Pech-Pacheco et al., ICPR 2000
    prominence    how much of the spectral-residual saliency lies in the
                  most salient tenth of the picture                          Hou & Zhang, CVPR 2007
    contrast      RMS contrast of the luminance and colourfulness            Peli, JOSA A 1990; Hasler & Suesstrunk, 2003
    emotion       arousal that the colours carry, 0.60 S - 0.31 V; not yet
                  the expression of a face                                   Valdez & Mehrabian, J. Exp. Psychol. 1994
    hierarchy     share of the edges that are still there when the picture
                  is shown 120 pixels wide: large shapes over small detail   this lab
    title_match   cosine of picture and title, where the image encoder has
                  a text tower; else not measured                            Radford et al., ICML 2021

A raw figure x becomes x / (x + half), so `half` is the figure that scores 0.5. A score that cannot be measured is None and
says why. Known failures are in docs/sub-scores.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import Pixels

VERSION = "1"
"""Of the formulas; a new one makes `visual_features` measure again."""

NAMES = ("clarity", "prominence", "contrast", "emotion", "hierarchy", "title_match")

_WIDTH = 320
_SMALL = 120
_HALF = {"clarity": 900.0}
_CLIP_RANGE = (0.10, 0.35)
"""Cosines of unrelated and of well-matched pairs in CLIP's space (Hessel et al., EMNLP 2021)."""

_WEAK = {
    "clarity": 0.49,
    "prominence": 0.17,
    "contrast": 0.35,
    "emotion": 0.24,
    "hierarchy": 0.58,
    "title_match": 0.2,
}
"""Below this a score is weak: the lowest tenth of 2,252 thumbnails of 7 niches; of title_match a guess until measured."""
_ADVICE = {
    "clarity": ("edges are soft", "use a sharper frame, or sharpen before exporting"),
    "prominence": ("nothing stands out", "make one subject larger and calm what is behind it"),
    "contrast": ("light, dark and colours are close together", "separate subject and ground in lightness or colour"),
    "emotion": ("the colours are calm", "use more saturated colours, or show a strong expression"),
    "hierarchy": ("much of it is small detail", "fewer and larger elements: it is mostly seen 120 pixels wide"),
    "title_match": ("picture and title speak of different things", "show what the title promises"),
}


@dataclass(frozen=True)
class SubScore:
    """One sub-score, 0 to 1; `value` is None when it could not be measured, and `reason` says why."""

    name: str
    value: float | None
    reason: str
    fix: str | None


def measure(
    image: Pixels, image_vector: Vectors | None = None, title_vector: Vectors | None = None
) -> dict[str, SubScore]:
    """Measure a picture, uint8 [h, w, 3] RGB.

    `image_vector` and `title_vector`, float32 [d], are given together when they lie in one space (a text tower), and are
    what `title_match` is measured on.
    """
    import cv2

    height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
    picture = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    values: dict[str, float | None] = {
        "clarity": _saturating("clarity", float(cv2.Laplacian(grey, cv2.CV_64F).var())),
        "prominence": _prominence(grey),
        "contrast": _contrast(picture, grey),
        "emotion": _arousal(picture),
        "hierarchy": _hierarchy(grey),
        "title_match": None,
    }
    if image_vector is not None and title_vector is not None:
        low, high = _CLIP_RANGE
        values["title_match"] = float(np.clip((float(image_vector @ title_vector) - low) / (high - low), 0, 1))
    return {name: _explain(name, value) for name, value in values.items()}


def _explain(name: str, value: float | None) -> SubScore:
    if value is None:
        return SubScore(name, None, "not measured: the image encoder has no text tower", None)
    reason, fix = _ADVICE[name]
    return SubScore(name, value, reason, fix) if value < _WEAK[name] else SubScore(name, value, "fine", None)


def _saturating(name: str, raw: float) -> float:
    return raw / (raw + _HALF[name])


def _prominence(grey: Pixels) -> float:
    """Share of saliency in its top tenth, from 0 (spread evenly: 0.1 of it lies there) to 1."""
    import cv2

    small = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float64)
    spectrum = np.fft.fft2(small)
    amplitude = np.log(np.abs(spectrum) + 1e-8)
    residual = amplitude - cv2.blur(amplitude, (3, 3))
    saliency = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    saliency = np.sort(cv2.GaussianBlur(saliency, (0, 0), 2.5).ravel())
    share = float(saliency[-saliency.size // 10 :].sum() / max(saliency.sum(), 1e-12))
    return float(np.clip((share - 0.1) / 0.9, 0, 1))


def _contrast(picture: Pixels, grey: Pixels) -> float:
    """Mean of the RMS contrast (0.5 is the most there can be) and the colourfulness (109 is "extremely colourful")."""
    red, green, blue = (picture[..., channel].astype(np.float32) for channel in range(3))
    opponents = red - green, 0.5 * (red + green) - blue
    spread = float(np.hypot(*(o.std() for o in opponents)) + 0.3 * np.hypot(*(o.mean() for o in opponents)))
    luminance = float(grey.std()) / 255.0 / 0.5
    return float(np.clip(0.5 * luminance + 0.5 * spread / 109.0, 0, 1))


def _arousal(picture: Pixels) -> float:
    """Arousal 0.60 S - 0.31 V of the mean colour, from its range -0.31 to 0.60 to 0 to 1."""
    import cv2

    hsv: npt.NDArray[Any] = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).reshape(-1, 3).mean(axis=0) / 255.0
    return float((0.60 * hsv[1] - 0.31 * hsv[2] + 0.31) / 0.91)


def _hierarchy(grey: Pixels) -> float:
    """Edge energy that survives being shown 120 pixels wide, over the edge energy at 320."""
    import cv2

    height = max(1, round(grey.shape[0] * _SMALL / grey.shape[1]))
    seen = cv2.resize(grey, (_SMALL, height), interpolation=cv2.INTER_AREA)
    shown = cv2.resize(seen, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    return float(np.clip(_edges(shown) / max(_edges(grey), 1e-6), 0, 1))


def _edges(grey: Pixels) -> float:
    import cv2

    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3)
    return float(cv2.magnitude(dx, dy).mean())
