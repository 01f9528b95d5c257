"""Define the class with which an import reports a problem with a row of a table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RowProblem:
    """A problem with one row of a table.

    `line` is the number of the row's line in the file, where the first line is 1. `skipped` is False if the row was
    used in spite of the problem.
    """

    line: int
    video_id: str
    problem: str
    skipped: bool = True
