"""Show that a process is alive, by a file that the process writes. The reader may run on another host that shares this
file, but sees neither the process nor its locks.

The process writes a new random text into the file every second. A reader looks at the file several times. If the text
changes, the process is alive. No time is compared, so the clocks of the two hosts may differ by any amount.
"""

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

BEAT_SECONDS = 1.0
"""Seconds between two beats."""

SILENT_SECONDS = 30.0
"""A process counts as ended if it wrote no beat for this number of seconds. A busy disk delays a beat by a few
seconds.
"""


def beat(path: Path) -> None:
    """Write a new random text of 16 characters into the file `path`. A missing file is created with mode 0600.

    Raises OSError if the file cannot be written. A symbolic link is refused.
    """
    # The file is opened and closed for each beat, so that readers on NFS see the new text. NFS sends a text to its
    # server only when the file is closed. NFS asks the server for the newest text only when a file is opened.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(descriptor, secrets.token_hex(8).encode(), 0)
    finally:
        os.close(descriptor)


def beats(path: Path, seconds: float) -> bool:
    """Return whether the text in the file `path` changes within `seconds`. Return True as soon as it changes.

    The result is False if there is no such file. Raises OSError if the file cannot be read.
    """
    seen = _text(path)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if _text(path) != seen:
            return True
    return False


def _text(path: Path) -> bytes:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return b""
