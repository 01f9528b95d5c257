"""Pictures: decode what somebody sent, check it before it costs anything, and keep it under the hash of its bytes."""

import hashlib
import io
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from thumblab_core.errors import LabError

MAX_BYTES = 16 * 2**20
MAX_PIXELS = 40_000_000
MIN_SIDE = 32
MAX_RATIO = 10
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

Pixels = npt.NDArray[np.uint8]
"""A decoded picture: uint8 [height, width, 3], RGB."""


class ImageError(LabError):
    """The bytes are no picture that the lab can read; the message says why."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what its file said of itself."""

    pixels: Pixels
    format: str
    sha256: str

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def decode(data: bytes) -> Picture:
    """Decode JPEG, PNG or WebP bytes, first frame only, upright, transparency on white.

    Size and format are read from the header and checked before a pixel is decoded. Raises `ImageError`.
    """
    if not data:
        raise ImageError("the file is empty")
    if len(data) > MAX_BYTES:
        raise ImageError(f"the file has {len(data) / 2**20:.0f} MiB; at most {MAX_BYTES // 2**20} MiB are read")
    try:
        # Pillow warns of odd metadata on standard error; what matters to us ends in an exception anyway.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
                _check_size(*image.size)
                found = image.format or ""
                image.seek(0)
                upright = ImageOps.exif_transpose(image)
                pixels = np.asarray(_opaque(upright), dtype=np.uint8)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("not a JPEG, PNG or WebP picture") from None
    except Image.DecompressionBombError:  # Pillow's own limit comes first where the header claims far too much
        raise ImageError(f"far too many pixels; at most {MAX_PIXELS / 1e6:.0f} million are decoded") from None
    except Exception as error:  # noqa: BLE001  a decoder fed hostile bytes raises almost anything
        raise ImageError(f"the picture is damaged ({str(error)[:120] or type(error).__name__})") from None
    return Picture(pixels, found, digest(data))


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(f"{width}x{height} pixels; at most {MAX_PIXELS / 1e6:.0f} million are decoded")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{width}x{height} pixels; both sides need at least {MIN_SIDE}")
    if max(width, height) > MAX_RATIO * min(width, height):  # brought to a fixed width, a strip would be a tower
        raise ImageError(f"{width}x{height} pixels; one side may be at most {MAX_RATIO} times the other")


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    if image.mode.startswith("I;16"):  # Pillow would clip its 65,536 levels to 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal: the name of a picture."""
    return hashlib.sha256(data).hexdigest()


class ImageStore:
    """Content-addressed files: a picture is stored once, under the SHA-256 of its bytes, and never changes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256[2:]

    def put(self, data: bytes) -> str:
        """Store the bytes and return their SHA-256; a crash leaves either the whole file or none."""
        sha256 = digest(data)
        path = self.path(sha256)
        if path.exists():
            return sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes stored under `sha256`. Raises `ImageError` when they are missing or no longer what was stored."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise ImageError(f"the image store has no {sha256[:12]}…") from None
        if digest(data) != sha256:
            raise ImageError(f"the image store's {sha256[:12]}… is damaged: its bytes no longer match its name")
        return data
