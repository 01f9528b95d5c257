"""Decode one AVIF or HEIC file in a process with limits on its memory and time.

`heif` runs this file as a script. The script imports only Pillow, and for HEIC also the package pi-heif:

    python -I heif_process.py KIND MAX_PIXELS MAX_PROFILE MEMORY CPU_SECONDS < FILE

KIND is AVIF or HEIC. The script writes one line of JSON, and then the pixels, 1 to 4 bytes each. The JSON has the
width, height, mode and number of frames, and the ICC profile and EXIF data in hexadecimal. If a picture has more than
MAX_PIXELS pixels, the script writes only the line. If the file cannot be read, the line has only an `error`.
"""

import io
import json
import resource
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_STRIP = 64
"""Number of rows of pixels that are written at a time."""


def main() -> None:
    """Limit the memory and the CPU time of this process, and decode the picture file on standard input."""
    kind = sys.argv[1]
    most_pixels, longest_profile, memory, cpu_s = map(int, sys.argv[2:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    try:
        image = (_avif if kind == "AVIF" else _heic)(sys.stdin.buffer.read())
        profile, frames = image.info.get("icc_profile") or b"", getattr(image, "n_frames", 1)
        decoded = image.width * image.height <= most_pixels
        if decoded:
            image.load()  # The decoder refuses a picture whose size differs from the size in the header.
        facts = {
            "width": image.width,
            "height": image.height,
            "mode": image.mode,
            "frames": frames,
            "profile": profile.hex() if len(profile) <= longest_profile else "",
            "exif": (image.info.get("exif") or b"")[:65_536].hex(),
        }
    except Exception as error:  # noqa: BLE001  a decoder may raise almost any exception for hostile bytes
        _write({"error": str(error)[:120] or type(error).__name__})
        return
    _write(facts)
    if decoded:
        for top in range(0, image.height, _STRIP):  # Converting the whole picture at once would double the memory.
            strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
            sys.stdout.buffer.write(strip.tobytes())


def _avif(data: bytes) -> "ImageFile":
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if not AvifImagePlugin.SUPPORTED:
        raise ValueError("this build of Pillow cannot decode AVIF")
    return AvifImagePlugin.AvifImageFile(io.BytesIO(data))


def _heic(data: bytes) -> "ImageFile":
    """Open a HEIC file. pi-heif rotates and mirrors the picture as the file says. The EXIF orientation repeats this
    instruction, so pi-heif sets the orientation to 1 (upright).
    """
    import pi_heif

    pi_heif.options.DECODE_THREADS = 1
    # Only the main picture is read. Thumbnails, depth images and auxiliary images are not read.
    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    image: ImageFile = pi_heif.HeifImageFile(io.BytesIO(data))
    return image


def _write(facts: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n")


if __name__ == "__main__":
    main()
