"""Run several steps. If one step fails, the later steps still run."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

from thumblab_core.errors import LabError

T = TypeVar("T")


class Attempts:
    """The errors of the steps that failed so far, in order."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    def run(self, default: T, step: Callable[[], T]) -> T:
        """Call `step` and return its result. If `step` fails, keep the error and return `default`."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001  the error must not stop the other steps; `raise_first` raises it
            self.failures.append(error)
            return default

    def raise_first(self, *more: str) -> NoReturn:
        """Raise the first failure. The message of the error also contains the messages of all other failures, and the
        sentences `more`.
        """
        first, *others = self.failures
        sentences = [
            *(str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}" for error in others),
            *more,
        ]
        if not isinstance(first, LabError) or not sentences:
            for sentence in sentences:
                first.add_note(sentence)
            raise first
        combined = LabError("; ".join([str(first), *sentences]))
        combined.transient = first.transient
        raise combined from first
