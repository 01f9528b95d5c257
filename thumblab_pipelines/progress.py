"""The callback through which a pipeline step reports its progress."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Progress = Callable[[str, int, int], None]
"""A callback for progress.

A pipeline step calls the function with the name of the work, the number of items that are done, and the total number of
items.
"""

T = TypeVar("T")


def in_words(what: str, done: int, total: int) -> str:
    """Return the progress as a line. The scoring service reads such lines in the log of a run."""
    return f"{what}: {done} of {total}"


def silent(what: str, done: int, total: int) -> None:
    """Ignore the progress."""


def batches(items: Sequence[T], size: int, what: str, progress: Progress) -> Iterator[Sequence[T]]:
    """Yield the items in batches of `size`. Report the progress at the start and after each batch."""
    if items:
        progress(what, 0, len(items))
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        yield batch
        progress(what, start + len(batch), len(items))
