"""ICC profiles: colours as they are meant, brought to sRGB by littleCMS.

Relative colorimetric with black point compensation: what both can show stays as it is, and the rest is clipped.
A profile that is broken, of another kind of colours than the picture or larger than is read is left aside, and the picture
is read as browsers then do: as sRGB.
"""

import io

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE = 4 * 2**20
"""Bytes. Profiles of displays have some kilobytes, those of presses up to about 3 MiB."""

_OF_MODE = {"L": (b"GRAY", b"RGB "), "RGB": (b"RGB ",), "CMYK": (b"CMYK",)}
"""Grey pictures come with profiles of RGB too: grey is then equal parts of its three."""
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
_FLOATING = (b"D2B0", b"D2B1", b"D2B2", b"D2B3")
"""Tables of stages without end, each of which would cost time for every colour; a profile with them has others beside."""
_LEVELS = 9
_NOTHING = 2


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An L, LA, RGB, RGBA or CMYK image as sRGB: L, LA, RGB or RGBA. Alpha stays as it is."""
    if image.mode in ("LA", "RGBA"):
        colours = to_srgb(image.convert(image.mode[:-1]), profile)
        colours.putalpha(image.getchannel("A"))
        return colours
    transform = _transform(profile, image.mode) if profile else None
    if transform is not None:
        return transform.apply(image.convert(transform.input_mode))
    return image.convert("RGB") if image.mode == "CMYK" else image


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What brings colours of the profile to sRGB; None where it is of no use, or moves none of them visibly."""
    space = profile[16:20]
    if profile[12:16] not in _CLASSES or space not in _OF_MODE[mode]:
        return None
    entering = "RGB" if space == b"RGB " else mode
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(_finite(profile))),
            ImageCms.createProfile("sRGB"),
            entering,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        probe = _probe(entering)
        moved = np.asarray(transform.apply(probe), np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if np.abs(moved).max() > _NOTHING else None


def _finite(profile: bytes) -> bytes:
    """The profile with its floating point tables renamed, so that they are not found."""
    changed = bytearray(profile)
    for at in range(132, min(132 + 12 * int.from_bytes(profile[128:132], "big"), len(profile) - 3), 12):
        if changed[at : at + 4] in _FLOATING:
            changed[at : at + 3] = b"off"
    return bytes(changed)


def _probe(mode: str) -> Image.Image:
    """One row of colours from all over the space of a mode."""
    levels = np.linspace(0, 255, _LEVELS).astype(np.uint8)
    channels = len(mode)
    grid = np.stack(np.meshgrid(*[levels] * channels), axis=-1).reshape(1, -1, channels)
    return Image.fromarray(grid[..., 0] if channels == 1 else grid, mode)
