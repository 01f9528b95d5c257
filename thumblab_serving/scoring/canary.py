"""Score drawn pictures after a failure, to check whether the service still works.

After a hostile picture, a decoder or a model may fail for each later picture. Only a picture that is known to be good
can show whether this has happened.
"""

import io
import logging
import secrets
import threading
from collections.abc import Callable
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from thumblab_serving.loading.faults import message

PAUSE_S = 10.0
"""Minimum number of seconds between two checks. So a client that sends only bad pictures causes few checks."""

_log = logging.getLogger("thumblab_serving")

State = Literal["unused", "checking", "fine", "failed"]


class Canary:
    """A thread that calls `check` after each failure. If the check fails, it is repeated until it succeeds.

    If there are failures during a check or during the pause after it, one further check follows. `check` raises an
    exception if the service does not work. Many threads may use this object at the same time.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._checking = False
        self.checks = 0
        self.failure: str | None = None

    def start(self) -> None:
        """Start the thread. Before this call, `alarm` does nothing."""
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread when the present check has ended."""
        self._closed.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(10)

    def alarm(self) -> None:
        """Ask for a check, because something failed."""
        if self._thread is not None:
            self._wanted.set()

    @property
    def state(self) -> State:
        """The state is `unused` until the first failure. After a failure, it is `checking` until the following check
        has ended.
        """
        if self.failure is not None:
            return "failed"
        if self._checking or self._wanted.is_set():
            return "checking"
        return "fine" if self.checks else "unused"

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            if self._closed.is_set():
                return
            self._checking = True
            self._wanted.clear()
            try:
                self._check()
            except Exception as error:  # noqa: BLE001  a broken runtime may raise anything; /health shows it
                self.failure = f"a picture that the service drew for itself could not be scored ({message(error)})"
                self._wanted.set()
                _log.error("%s; next try in %.0f seconds", self.failure, PAUSE_S)
            else:
                self.failure = None
            self.checks += 1
            self._checking = False
            self._closed.wait(PAUSE_S)


def drawn_thumbnail() -> bytes:
    """Draw a picture with some text in it, and return it as a JPEG. Each call returns a different picture.

    The number in the picture is random, so that no worker finds the picture in the cache that the workers share on the
    disk. If a worker found the picture there, it would not examine the picture, and nothing would be checked.
    """
    number = secrets.randbits(64)
    image = Image.new("RGB", (640, 360), (20, 60, 90 + number % 160))
    drawing = ImageDraw.Draw(image)
    drawing.text((40, 90), "READY", fill="white", font=ImageFont.load_default(size=90))
    drawing.text((40, 220), f"{number:016X}", fill="white", font=ImageFont.load_default(size=50))
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()
