"""Define the class that reports a problem with a row of an imported table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RowProblem:
    """A problem with one row of a table.

    `line`: number of the row's line in the file, starting at 1. `skipped`: whether the row was left out. `skipped` is
    False if the row was used in spite of the problem.
    """

    line: int
    video_id: str
    problem: str
    skipped: bool = True
