"""Write pictures into Markdown, as data URIs. Dagster's page loads no other pictures."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from thumblab_core.images.small_copy import as_jpeg

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

_QUALITY = 65
_DPI = 70

MOST_BYTES = 300_000
"""Maximum length of a preview. Dagster stores a preview with each materialization, and the page of the asset loads all
previews."""


def picture(name: str, image: Image) -> str:
    """Return a picture as a Markdown image that contains a JPEG file."""
    return _image(name, "jpeg", as_jpeg(image, _QUALITY))


def plot(name: str, figure: Figure) -> str:
    """Return a plot as a Markdown image that contains a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return _image(name, "png", file.getvalue())


def within_limit(images: list[str]) -> str:
    """Return the Markdown images below each other. Leave out an image that would make the text longer than
    `MOST_BYTES`.
    """
    kept: list[str] = []
    for image in images:
        if sum(map(len, kept)) + len(image) <= MOST_BYTES:
            kept.append(image)
    return "\n\n".join(kept)


def _image(name: str, kind: str, data: bytes) -> str:
    return f"![{name}](data:image/{kind};base64,{base64.b64encode(data).decode()})"
