"""If a release or a model cannot be loaded, find the message to show, and the time to try again."""

import time

from thumblab_core.errors import LabError

TRANSIENT_WAITS = (1.0, 60.0)
"""The first and the longest wait in seconds after a failure that may be temporary.

Such a failure is, for example, that a disk or a network did not answer.
"""

PERMANENT_WAITS = (60.0, 600.0)
"""The first and the longest wait in seconds after a fault in the data that was read, such as a wrong checksum.

A person has to repair such a fault.
"""


class Backoff:
    """A timer for the next try after a failure. The wait doubles with each further failure."""

    def __init__(self) -> None:
        self._wait = 0.0
        self._next_try = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to try again."""
        return time.monotonic() >= self._next_try

    @property
    def seconds(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self._next_try - time.monotonic())

    def failed(self, error: BaseException) -> None:
        """Record a failure and set the time of the next try."""
        first, longest = TRANSIENT_WAITS if is_transient(error) else PERMANENT_WAITS
        self._wait = min(max(first, 2 * self._wait), longest)
        self._next_try = time.monotonic() + self._wait

    def reset(self) -> None:
        """Make the next try due at once. If this try fails, the waits begin again with the shortest wait."""
        self._wait = self._next_try = 0.0


def is_transient(error: BaseException | None) -> bool:
    """Return whether a failure may be temporary, so that a later try may succeed.

    A failure may be temporary if `error`, or an error that caused `error`, is an `OSError` or a `MemoryError`.
    """
    while error is not None:
        if isinstance(error, OSError | MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def message(error: BaseException) -> str:
    """Return the message of an error, cut to about 300 characters.

    The message begins with the type of the error, unless the error is a `LabError`.
    """
    return str(error)[:300] if isinstance(error, LabError) else f"{type(error).__name__}: {str(error)[:200]}"
