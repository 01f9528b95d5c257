"""Convert pictures with an ICC profile to sRGB, with littleCMS.

The conversion is relative colorimetric with black point compensation. Colours that both colour spaces can show stay the
same, and all other colours are clipped. Profiles come from untrusted files. If one of these checks fails, the profile
is ignored and the picture is read as sRGB, as in browsers:

    size            at most 4 MiB (`MAX_PROFILE`), checked by the parser of each format
    class           input, display, output or colour space
    colour space    matches the mode of the picture
    contents        littleCMS accepts them

The floating-point tables of a profile (`_FLOATING`) are never used, because the time that they take has no limit.
"""

import io

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE = 4 * 2**20
"""Maximum size of a profile in bytes.

Display profiles have a few kilobytes, printing press profiles up to about 3 MiB.
"""

_SPACES = {"L": (b"GRAY", b"RGB "), "RGB": (b"RGB ",), "CMYK": (b"CMYK",)}
"""Colour spaces that a profile may have, by the mode of the picture.

A grey picture may have an RGB profile. Its grey values are then converted as RGB colours with R = G = B.
"""
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
"""Accepted profile classes: input, display, output, colour space."""
_FLOATING = (b"D2B0", b"D2B1", b"D2B2", b"D2B3")
"""Names of floating-point tables. Such a table may have any number of stages, and each stage takes time for every
colour.

A profile with such tables also has older kinds of tables (such as `A2B0`) or curves, which are used instead.
"""
_LEVELS = 9
"""Number of levels per channel in the test colours, which show whether a profile changes anything."""
_INVISIBLE = 2
"""A profile is ignored if it changes each channel of every test colour by at most this number, on the scale 0 to 255.
"""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an L, LA, RGB, RGBA or CMYK image to sRGB, as L, LA, RGB or RGBA. Alpha is unchanged."""
    if image.mode in ("LA", "RGBA"):
        colours = to_srgb(image.convert(image.mode[:-1]), profile)
        colours.putalpha(image.getchannel("A"))
        return colours
    transform = _transform(profile, image.mode) if profile else None
    if transform is not None:
        return transform.apply(image.convert(transform.input_mode))
    return image.convert("RGB") if image.mode == "CMYK" else image


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB, or None if the profile is unusable or the transform changes no colour visibly."""
    space = profile[16:20]
    if profile[12:16] not in _CLASSES or space not in _SPACES[mode]:
        return None
    input_mode = "RGB" if space == b"RGB " else mode
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(_without_floating_tables(profile))),
            ImageCms.createProfile("sRGB"),
            input_mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        probe = _probe(input_mode)
        moved = np.asarray(transform.apply(probe), np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if np.abs(moved).max() > _INVISIBLE else None


def _without_floating_tables(profile: bytes) -> bytes:
    """Return the profile with its floating-point tables renamed, so that littleCMS does not find them."""
    changed = bytearray(profile)
    for at in range(132, min(132 + 12 * int.from_bytes(profile[128:132], "big"), len(profile) - 3), 12):
        if changed[at : at + 4] in _FLOATING:
            changed[at : at + 3] = b"off"
    return bytes(changed)


def _probe(mode: str) -> Image.Image:
    """Return an image of one row with test colours, which are spread evenly over the colour space of `mode`."""
    levels = np.linspace(0, 255, _LEVELS).astype(np.uint8)
    channels = len(mode)
    grid = np.stack(np.meshgrid(*[levels] * channels), axis=-1).reshape(1, -1, channels)
    return Image.fromarray(grid[..., 0] if channels == 1 else grid, mode)
