"""What went wrong while something was loaded: in which words, whether it may pass, and when to try again."""

import time

from thumblab_core.errors import LabError

PASSING_SECONDS = (1.0, 60.0)
"""The first and the longest wait after a fault that may be over by then, such as a disk or a network that did not answer."""
LASTING_SECONDS = (60.0, 600.0)
"""The same after a fault in what was read, such as a wrong checksum: somebody has to mend it, or to publish anew."""


class Backoff:
    """When to try again after a failure; the wait doubles with each one."""

    def __init__(self) -> None:
        self._wait = 0.0
        self._again_at = 0.0

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._again_at

    @property
    def seconds(self) -> float:
        """Until the next try."""
        return max(0.0, self._again_at - time.monotonic())

    def failed(self, error: BaseException) -> None:
        first, longest = PASSING_SECONDS if passing(error) else LASTING_SECONDS
        self._wait = min(max(first, 2 * self._wait), longest)
        self._again_at = time.monotonic() + self._wait

    def reset(self) -> None:
        self._wait = self._again_at = 0.0


def passing(error: BaseException | None) -> bool:
    """Whether the system refused something. A `LabError` says it in words, and keeps what it was raised for."""
    while error is not None:
        if isinstance(error, OSError | MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def said(error: BaseException) -> str:
    return str(error)[:300] if isinstance(error, LabError) else f"{type(error).__name__}: {str(error)[:200]}"
