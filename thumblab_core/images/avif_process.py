"""Decode one AVIF file in a process with limits on its memory and time.

`avif` runs this file as a script, which imports nothing but Pillow:

    python -I avif_process.py MAX_PIXELS MAX_PROFILE MEMORY CPU_SECONDS < FILE

It writes one line of JSON (width, height, mode, frames, and the ICC profile and EXIF data in hexadecimal), and then the
pixels, 3 or 4 bytes each. A picture with more than MAX_PIXELS pixels is described and not decoded. For a file that
cannot be read, the line has only an `error`.
"""

import io
import json
import resource
import sys

_STRIP = 64
"""Number of rows that are written at a time."""


def main() -> None:
    """Limit this process, and decode the file that standard input holds."""
    most_pixels, longest_profile, memory, cpu_s = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if not AvifImagePlugin.SUPPORTED:
        _write({"error": "this build of Pillow cannot decode AVIF"})
        return
    try:
        image = AvifImagePlugin.AvifImageFile(io.BytesIO(sys.stdin.buffer.read()))
        profile = image.info.get("icc_profile") or b""
        facts = {
            "width": image.width,
            "height": image.height,
            "mode": image.mode,
            "frames": image.n_frames,
            "profile": profile.hex() if len(profile) <= longest_profile else "",
            "exif": (image.info.get("exif") or b"")[:65_536].hex(),
        }
        decoded = image.width * image.height <= most_pixels
        if decoded:
            image.load()
    except Exception as error:  # noqa: BLE001  a decoder may raise almost any exception for hostile bytes
        _write({"error": str(error)[:120] or type(error).__name__})
        return
    _write(facts)
    if decoded:
        for top in range(0, image.height, _STRIP):  # Converting the whole picture at once would double the memory.
            strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
            sys.stdout.buffer.write(strip.tobytes())


def _write(facts: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n")


if __name__ == "__main__":
    main()
