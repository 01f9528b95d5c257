"""What several commands print: evaluations, import reports, progress."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from thumblab_pipelines.collection.catalogue import Imported
    from thumblab_pipelines.evaluation.questions import Evaluation
    from thumblab_pipelines.progress import Progress as Listener
    from thumblab_pipelines.tables.problems import RowProblem

_SPLITS = {
    "future": "the future of known channels (last 20 % of each by time)",
    "new_channels": "channels never seen in training",
    "adapted": "new channels, adapted on the first 80 % of each",
}
_SCORERS = {
    "model": "the model",
    "global": "the model, not adapted",
    "age": "age only",
    "length": "length only",
    "title": "title only (ridge)",
    "image": "image only (ridge)",
    "linear": "title and image (ridge)",
    "partial_pooling": "and a ridge per channel",
    "planted": "planted truth (ceiling)",
}
_CHANNEL = "channel:"
_PROBLEMS_SHOWN = 50
_NO_WIDTH = 100_000


def print_evaluation(console: Console, evaluations: Sequence["Evaluation"]) -> None:
    """All that is worth a look: the scorers on each question, the deep channels, what win probabilities are worth."""
    for split in _SPLITS:
        if any(e.split == split for e in evaluations):
            console.print(evaluation_table(evaluations, split))
    channels = channel_table(evaluations)
    if channels.row_count:
        console.print(channels)
    for line in calibration_lines(evaluations):
        console.print(line, highlight=False)


def evaluation_table(evaluations: Sequence["Evaluation"], split: str) -> Table:
    """AUC with its 95 % interval, of all pairs and of those with a twofold gap, a row per scorer."""
    of_split = [e for e in evaluations if e.split == split and e.metric == "auc" and e.slice in ("all", "2x")]
    pairs = {e.slice: f"{e.pairs:,}" for e in of_split}
    columns = ("", f"all {pairs.get('all', 0)} pairs", f"{pairs.get('2x', 0)} with a 2x gap")
    made = table(*columns, words=columns, title=f"Held-out AUC on {_SPLITS[split]}")
    for scorer in dict.fromkeys(e.scorer for e in of_split):
        cells = {e.slice: _interval(e) for e in of_split if e.scorer == scorer}
        style = "bold" if scorer == "model" else None
        made.add_row(_SCORERS.get(scorer, scorer), cells.get("all", ""), cells.get("2x", ""), style=style)
    return made


def channel_table(evaluations: Sequence["Evaluation"]) -> Table:
    """The model's AUC on the last 20 % of each channel that has a hundred pairs there; intervals by drawing its videos."""
    columns = ("", "", "all pairs", "with a 2x gap")
    made = table(*columns, words=columns, title="Held-out AUC by channel (last 20 % by time)")
    figures = {(e.split, e.slice, e.metric): _interval(e) for e in evaluations if e.scorer == "model"}
    for split, channel, metric in figures:
        if (split, metric) == ("future", "auc_2x"):
            for question, name in (("future", channel.removeprefix(_CHANNEL)), ("adapted", "")):
                cells = (figures.get((question, channel, m), "") for m in ("auc", "auc_2x"))
                made.add_row(name, "known" if question == "future" else question, *cells)
    return made


def calibration_lines(evaluations: Sequence["Evaluation"]) -> list[str]:
    """A sentence per question on the win probabilities; none for evaluations that did not look at them."""
    found = {(e.split, e.metric): e.value for e in evaluations if (e.slice, e.scorer) == ("all", "model")}
    lines = []
    for split, name in (
        ("future", "known channels"),
        ("new_channels", "new channels"),
        ("adapted", "adapted channels"),
    ):
        error, abstained, right = (found.get((split, m)) for m in ("ece", "abstained", "accuracy_decided"))
        if error is not None and abstained is not None:
            decided = "" if right is None else f", right on {right:.0%} of the others"
            lines.append(
                f"Win probabilities, {name}: off by {error:.3f} on average (ECE); too close to call {abstained:.0%}{decided}"
            )
    return lines


def _interval(evaluation: "Evaluation") -> str:
    if evaluation.value is None:
        return "no pairs"
    if evaluation.low is None or evaluation.high is None:
        return f"{evaluation.value:.3f}"
    return f"{evaluation.value:.3f} [{evaluation.low:.3f}, {evaluation.high:.3f}]"


def print_import(console: Console, report: "Imported") -> None:
    """Each row that was skipped or taken with a remark, then the totals."""
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
    """A line for each of the first fifty."""
    for problem in problems[:_PROBLEMS_SHOWN]:
        what = "skipped" if problem.skipped else "taken"
        said = f"line {problem.line} {problem.video_id or '(no id)'}: {what}: {problem.problem}"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    if len(problems) > _PROBLEMS_SHOWN:
        console.print(f"and {len(problems) - _PROBLEMS_SHOWN} more; --json lists all of them")


def whole_console(stderr: bool = False, quiet: bool = False) -> Console:
    """A console for people; what is no terminal has no width, so that lines are as long as they are."""
    console = Console(stderr=stderr, quiet=quiet)
    if not console.is_terminal:
        console.width = _NO_WIDTH
    return console


def table(*columns: str, words: Collection[str] = (), title: str | None = None) -> Table:
    """An empty table, `words` to the left and numbers to the right. Where it does not fit, cells are folded, never cut."""
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="left" if column in words else "right", overflow="fold")
    return made


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
