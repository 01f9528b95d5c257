"""Sharpness, contrast and colour of a scene and of the subject in it."""

import numpy as np

from thumblab_core.sub_scores.evidence import Box
from thumblab_core.sub_scores.scene import Plane, Scene

_TAPS = 9
_LEAST = 48  # pixels a side of what sharpness is measured on: a few blurs wide
_SEPARATION = 60.0


def sharpness(scene: Scene, subject: Box | None) -> float:
    """How much of the differences between neighbouring pixels a 9-pixel blur takes away, 0 to 1, of the worse direction.

    One minus the blur effect of Crete, Dolmiere, Ladret & Nicolas, Human Vision and Electronic Imaging 2007. A ratio, so
    that a faded picture is as sharp as a vivid one. Nothing to see is not sharp: a flat surface has 0.
    """
    import cv2

    whole = scene.grey.astype(np.float32)
    plane: Plane = whole if subject is None else scene.part(whole, subject, _LEAST)
    kept = []
    for axis, size in ((1, (_TAPS, 1)), (0, (1, _TAPS))):
        before = np.abs(np.diff(plane, axis=axis))
        after = np.abs(np.diff(cv2.blur(plane, size), axis=axis))
        total = float(before.sum())
        kept.append(float(np.maximum(before - after, 0).sum()) / total if total > before.size * 1e-3 else 0.0)
    return min(kept)


def rms_contrast(scene: Scene) -> float:
    """Standard deviation of the luminance over the largest there is (Peli, JOSA A 1990)."""
    return min(1.0, float(scene.grey.std()) / 127.5)


def colourfulness(scene: Scene) -> float:
    """Of Hasler & Suesstrunk, Human Vision and Electronic Imaging 2003, over 109, their "extremely colourful"."""
    red, green, blue = (scene.rgb[..., channel].astype(np.float32) for channel in range(3))
    opponents = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(*(o.std() for o in opponents)) + 0.3 * np.hypot(*(o.mean() for o in opponents))
    return min(1.0, float(spread) / 109)


def separation(scene: Scene, subject: Box | None) -> tuple[float, float]:
    """Lightness and colour between subject and ground, each 0 to 1: differences of the mean L* and of the mean (a*, b*)
    in CIELAB, over 60 units. Without a subject: twice the spread of each over the whole picture instead."""
    if subject is None:
        spread = scene.lab.reshape(-1, 3).std(axis=0)
        light, colour = 2 * float(spread[0]), 2 * float(np.hypot(spread[1], spread[2]))
    else:
        inside = scene.part(scene.lab, subject).reshape(-1, 3)
        whole = scene.lab.reshape(-1, 3)
        outside = (whole.sum(axis=0) - inside.sum(axis=0)) / max(len(whole) - len(inside), 1)
        apart = inside.mean(axis=0) - outside if len(whole) > len(inside) else np.zeros(3)
        light, colour = abs(float(apart[0])), float(np.hypot(apart[1], apart[2]))
    return min(1.0, light / _SEPARATION), min(1.0, colour / _SEPARATION)


def arousal(scene: Scene) -> float:
    """Arousal that the mean colour carries, 0.60 S - 0.31 V, brought from its range -0.31 to 0.60 to 0 to 1
    (Valdez & Mehrabian, Journal of Experimental Psychology: General 1994)."""
    import cv2

    hsv = cv2.cvtColor(scene.rgb, cv2.COLOR_RGB2HSV).reshape(-1, 3).mean(axis=0) / 255.0
    return float(np.clip((0.60 * hsv[1] - 0.31 * hsv[2] + 0.31) / 0.91, 0, 1))
