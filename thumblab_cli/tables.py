"""What several commands print: evaluations, import reports, progress."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from thumblab_pipelines.steps.catalogue import Imported, RowProblem
    from thumblab_pipelines.steps.evaluate import Evaluation
    from thumblab_pipelines.steps.progress import Progress as Listener

_SPLITS = {
    "future": "the future of known channels (last 20 % of each by time)",
    "new_channels": "channels never seen in training",
}
_SCORERS = {
    "model": "the model",
    "age": "age only",
    "length": "length only",
    "title": "title only (ridge)",
    "planted": "planted truth (ceiling)",
}
_PROBLEMS_SHOWN = 50


def evaluation_table(evaluations: Sequence["Evaluation"], split: str) -> Table:
    """AUC with its 95 % interval, of all pairs and of those with a twofold gap, a row per scorer."""
    of_split = [e for e in evaluations if e.split == split]
    pairs = {e.slice: f"{e.pairs:,}" for e in of_split}
    table = Table(title=f"Held-out AUC on {_SPLITS[split]}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    table.add_column(f"all {pairs.get('all', 0)} pairs")
    table.add_column(f"{pairs.get('2x', 0)} with a 2x gap")
    for scorer in dict.fromkeys(e.scorer for e in of_split):
        cells = {e.slice: _interval(e) for e in of_split if e.scorer == scorer}
        style = "bold" if scorer == "model" else None
        table.add_row(_SCORERS.get(scorer, scorer), cells.get("all", ""), cells.get("2x", ""), style=style)
    return table


def _interval(evaluation: "Evaluation") -> str:
    if evaluation.auc is None:
        return "no pairs"
    return f"{evaluation.auc:.3f}  [{evaluation.auc_low:.3f}, {evaluation.auc_high:.3f}]"


def print_import(console: Console, report: "Imported") -> None:
    """Each row that was skipped or taken with a remark, then the totals."""
    for remark in report.remarks:
        console.print(f"note: {remark}", markup=False)
    print_problems(console, report.problems)
    skipped = sum(problem.skipped for problem in report.problems)
    console.print(
        f"{report.good} of {report.rows} rows read ({report.new_videos} new videos, {report.new_observations} new "
        f"observations), {skipped} skipped"
    )


def print_problems(console: Console, problems: Sequence["RowProblem"]) -> None:
    """A line for each of the first fifty."""
    for problem in problems[:_PROBLEMS_SHOWN]:
        what = "skipped" if problem.skipped else "taken"
        console.print(f"line {problem.line} {problem.video_id or '(no id)'}: {what}: {problem.problem}", markup=False)
    if len(problems) > _PROBLEMS_SHOWN:
        console.print(f"and {len(problems) - _PROBLEMS_SHOWN} more; --json lists all of them")


@contextmanager
def progress_bars(console: Console) -> Iterator["Listener"]:
    """A listener for steps that draws one bar for what is being done; a finished bar gives way to the next."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=None, visible=False)
        current = ""

        def listen(what: str, done: int, total: int) -> None:
            nonlocal current
            if what != current:
                current = what
                bars.reset(task, total=total, description=what, visible=True)
            bars.update(task, completed=done, total=total)

        yield listen
