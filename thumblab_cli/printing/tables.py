"""The console, the tables and the progress bars of all commands."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from thumblab_pipelines.progress import Progress as Listener

_NO_WIDTH = 100_000
"""Columns of a console that is not a terminal: more than any line has."""


def wide_console(stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console that does not wrap lines if its output is not a terminal, such as a pipe or a file.

    There COLUMNS has no effect either, because programs such as grep and less need each row on one line.
    """
    console = Console(stderr=stderr, quiet=quiet)
    if not console.is_terminal:
        console.width = _NO_WIDTH
    return console


def table(*columns: str, words: Collection[str] = (), title: str | None = None) -> Table:
    """Return an empty table whose cells are folded, never cut, if it is too wide for the console.

    The columns in `words` are aligned to the left, the others, which hold numbers, to the right.
    """
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="left" if column in words else "right", overflow="fold")
    return made


@contextmanager
def progress_bars(console: Console) -> Iterator["Listener"]:
    """Yield a progress listener for pipeline steps that draws a bar for the current task, and none without a terminal.

    When the next task starts, its bar replaces the one before.
    """
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
