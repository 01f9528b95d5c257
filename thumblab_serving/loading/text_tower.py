"""The text tower of an image encoder: the part of a model such as CLIP that encodes texts.

Only the sub-score `title_match` needs a text tower. If the text tower cannot be loaded, the service answers without
this sub-score.
"""

import logging
import threading

from thumblab_core.encoders.protocol import TextEncoder
from thumblab_core.errors import LabError
from thumblab_serving.loading.faults import Backoff, message

PATIENCE = 30.0
"""Maximum number of seconds that loading an image encoder waits for its text tower.

If the download of the text tower takes longer, it continues in the background.
"""

_log = logging.getLogger("thumblab_serving")


class TextTowerError(LabError):
    """The error that is raised if a text tower cannot be used at present. The message says why."""


class TextTower:
    """The state of an image encoder's text tower, which is loaded in the background.

    If loading fails, `Backoff` says when to try again. The weights of the text tower are a separate file. Without a
    network, this file may be missing although the image tower could be loaded from the disk.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._fingerprint = encoder.fingerprint
        self._lock = threading.Lock()
        self._backoff = Backoff()
        self._ready = False
        self._reason = "it is still being loaded"
        self._start_loading(encoder).join(PATIENCE)

    @property
    def missing(self) -> str | None:
        """A sentence that says why `title_match` is not measured, or None if it is measured."""
        if self._ready:
            return None
        return f"title_match is not measured: the text tower of {self._fingerprint} is missing ({self._reason})"

    def require(self, encoder: TextEncoder) -> None:
        """Raise `TextTowerError` unless the text tower is loaded.

        If the last try to load the text tower failed and `Backoff` allows another try, start a new try in the
        background.
        """
        if self._ready:
            return
        if self._backoff.due and not self._lock.locked():
            self._start_loading(encoder)
        raise TextTowerError(self.missing or "")

    def _start_loading(self, encoder: TextEncoder) -> threading.Thread:
        thread = threading.Thread(target=self._load, args=(encoder,), name="text-tower", daemon=True)
        thread.start()
        return thread

    def _load(self, encoder: TextEncoder) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            encoder.encode_texts(["warm"])
        except Exception as error:  # noqa: BLE001  no error may stop the service, because answers need no text tower
            self._reason = message(error)
            self._backoff.failed(error)
            _log.warning("%s; next try in %.0f seconds", self.missing, self._backoff.seconds)
        else:
            self._ready = True
        finally:
            self._lock.release()
