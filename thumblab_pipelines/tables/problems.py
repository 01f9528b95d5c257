"""What is wrong with a row of a table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RowProblem:
    """What is wrong with one row of a table; `line` counts from 1, the header included.

    `skipped` is False where the row was taken all the same.
    """

    line: int
    video_id: str
    problem: str
    skipped: bool = True
