"""The text tower of an image encoder, which answers may do without: only `title_match` needs it."""

import logging
import threading

from thumblab_core.encoders.protocol import TextEncoder
from thumblab_core.errors import LabError
from thumblab_serving.loading.faults import Backoff, said

PATIENCE = 30.0
"""Seconds that the loading of an encoder waits for its text tower; a larger download goes on without anybody waiting."""

_log = logging.getLogger("thumblab_serving")


class TextTowerError(LabError):
    """There is no text tower for now; the message says why."""


class TextTower:
    """Whether the text tower can be used. It has weights of its own to read, which may be out of reach while the image
    tower, compiled, is at hand: it is loaded beside the requests, and again by `Backoff`."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._fingerprint = encoder.fingerprint
        self._lock = threading.Lock()
        self._backoff = Backoff()
        self._ready = False
        self._reason = "it is still being loaded"
        self._begin(encoder).join(PATIENCE)

    @property
    def missing(self) -> str | None:
        """Why `title_match` is not measured; None where it is."""
        if self._ready:
            return None
        return f"title_match is not measured: the text tower of {self._fingerprint} is missing ({self._reason})"

    def require(self, encoder: TextEncoder) -> None:
        """Raise `TextTowerError` unless it can be used; where it is time, have it loaded meanwhile."""
        if self._ready:
            return
        if self._backoff.due and not self._lock.locked():
            self._begin(encoder)
        raise TextTowerError(self.missing or "")

    def _begin(self, encoder: TextEncoder) -> threading.Thread:
        thread = threading.Thread(target=self._load, args=(encoder,), name="text-tower", daemon=True)
        thread.start()
        return thread

    def _load(self, encoder: TextEncoder) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            encoder.encode_texts(["warm"])
        except Exception as error:  # noqa: BLE001  whatever it is, the answers go on without
            self._reason = said(error)
            self._backoff.failed(error)
            _log.warning("%s; tried again in %.0f seconds", self.missing, self._backoff.seconds)
        else:
            self._ready = True
        finally:
            self._lock.release()
