"""Measure the sharpness, contrast and colour of a picture and of its subject."""

import numpy as np

from thumblab_core.sub_scores.evidence import Box
from thumblab_core.sub_scores.scaled_picture import Plane, ScaledPicture

_TAPS = 9
"""Width in pixels of the box blur that sharpness is measured with."""
_LEAST = 48
"""Minimum side in pixels of the region that sharpness is measured on. It is about five times `_TAPS`."""
_SEPARATION = 60.0
"""Difference in CIELAB units that counts as full separation of subject and background."""


def sharpness(picture: ScaledPicture, subject: Box | None) -> float:
    """Return the sharpness of the subject, 0 to 1, or of the whole picture if there is no subject.

    A blur of 9 pixels removes a share of the differences between neighbouring pixels. This share is measured
    horizontally and vertically, and the lower of the two shares is the sharpness. The sharpness does not depend on
    contrast. A flat surface has sharpness 0. Crete, Dolmiere, Ladret & Nicolas (Human Vision and Electronic Imaging
    2007) define one minus this value as the blur effect.
    """
    import cv2

    whole = picture.grey.astype(np.float32)
    plane: Plane = whole if subject is None else picture.part(whole, subject, _LEAST)
    removed = []
    for axis, size in ((1, (_TAPS, 1)), (0, (1, _TAPS))):
        before = np.abs(np.diff(plane, axis=axis))
        after = np.abs(np.diff(cv2.blur(plane, size), axis=axis))
        total = float(before.sum())
        removed.append(float(np.maximum(before - after, 0).sum()) / total if total > before.size * 1e-3 else 0.0)
    return min(removed)


def rms_contrast(picture: ScaledPicture) -> float:
    """Return the standard deviation of the luminance, divided by its largest possible value, 0 to 1.

    This is the RMS contrast of Peli, JOSA A 1990.
    """
    return min(1.0, float(picture.grey.std()) / 127.5)


def colourfulness(picture: ScaledPicture) -> float:
    """Return the colourfulness, 0 to 1, by Hasler & Suesstrunk, Human Vision and Electronic Imaging 2003.

    The formula's result is divided by 109, which the authors call "extremely colourful".
    """
    red, green, blue = (picture.rgb[..., channel].astype(np.float32) for channel in range(3))
    opponents = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(*(o.std() for o in opponents)) + 0.3 * np.hypot(*(o.mean() for o in opponents))
    return min(1.0, float(spread) / 109)


def separation(picture: ScaledPicture, subject: Box | None) -> tuple[float, float]:
    """Return how far subject and background differ in lightness and in colour, each 0 to 1.

    The colours are compared in CIELAB. The first result is the difference between the mean L* of subject and
    background, divided by 60. The second is the distance between their mean (a*, b*), divided by 60. Without a subject,
    each difference is replaced by twice the standard deviation over the whole picture.
    """
    if subject is None:
        spread = picture.lab.reshape(-1, 3).std(axis=0)
        light, colour = 2 * float(spread[0]), 2 * float(np.hypot(spread[1], spread[2]))
    else:
        inside = picture.part(picture.lab, subject).reshape(-1, 3)
        whole = picture.lab.reshape(-1, 3)
        outside = (whole.sum(axis=0) - inside.sum(axis=0)) / max(len(whole) - len(inside), 1)
        difference = inside.mean(axis=0) - outside if len(whole) > len(inside) else np.zeros(3)
        light, colour = abs(float(difference[0])), float(np.hypot(difference[1], difference[2]))
    return min(1.0, light / _SEPARATION), min(1.0, colour / _SEPARATION)


def arousal(picture: ScaledPicture) -> float:
    """Return the arousal of the mean colour: how exciting people find the colour, rescaled to 0 to 1.

    Arousal is 0.60 S - 0.31 V, with the saturation S and the value V of the colour. It ranges from -0.31 to 0.60. The
    formula is by Valdez & Mehrabian, Journal of Experimental Psychology: General 1994.
    """
    import cv2

    hsv = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2HSV).reshape(-1, 3).mean(axis=0) / 255.0
    return float(np.clip((0.60 * hsv[1] - 0.31 * hsv[2] + 0.31) / 0.91, 0, 1))
