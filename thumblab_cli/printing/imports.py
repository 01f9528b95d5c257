"""Print what an import read, and which rows it skipped."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from thumblab_pipelines.collection.catalogue import Imported
    from thumblab_pipelines.tables.problems import RowProblem

_MOST_PROBLEMS = 50


def print_import(console: Console, report: "Imported") -> None:
    """Print the remarks of an import, a line for each row that has a problem, and the totals."""
    for remark in report.remarks:
        console.print(f"note: {remark}", markup=False, highlight=False, soft_wrap=True)
    print_problems(console, report.problems)
    skipped = sum(problem.skipped for problem in report.problems)
    console.print(
        f"{report.good} of {report.rows} rows read ({report.new_videos} new videos, {report.new_observations} new "
        f"observations), {skipped} skipped",
        soft_wrap=True,
    )


def print_problems(console: Console, problems: Sequence["RowProblem"]) -> None:
    """Print a line for each of the first fifty problems, and the number of the other problems."""
    for problem in problems[:_MOST_PROBLEMS]:
        what = "skipped" if problem.skipped else "taken"
        line = f"line {problem.line} {problem.video_id or '(no id)'}: {what}: {problem.problem}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(problems) > _MOST_PROBLEMS:
        console.print(f"and {len(problems) - _MOST_PROBLEMS} more; --json lists all of them")
