"""How a step tells how far it is, without knowing who listens."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""

T = TypeVar("T")


def silent(what: str, done: int, total: int) -> None:
    """A listener that does not listen."""


def batches(items: Sequence[T], size: int, what: str, progress: Progress) -> Iterator[Sequence[T]]:
    """The items in batches, telling the progress after each."""
    if items:
        progress(what, 0, len(items))
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        yield batch
        progress(what, start + len(batch), len(items))
