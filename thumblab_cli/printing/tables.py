"""The console, the tables and the progress bars of all commands."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from threading import Event, Thread
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from thumblab_pipelines.progress import Progress as ProgressListener

_NO_WIDTH = 100_000
"""The width, in characters, of a console that is not a terminal. Every line that the lab prints is shorter."""

_LINE_SECONDS = 10.0
"""The least number of seconds between two lines of progress if the output is not a terminal."""

_SILENT_SECONDS = 30.0
"""The largest number of seconds between two lines of progress if the output is not a terminal."""


def wide_console(stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console. If the output is not a terminal, but for example a pipe or a file, the console wraps no lines.

    Programs such as grep and less need each row on one line. So without a terminal, the console ignores the variable
    COLUMNS.
    """
    console = Console(stderr=stderr, quiet=quiet)
    if not console.is_terminal:
        console.width = _NO_WIDTH
    return console


def table(*columns: str, words: Collection[str] = (), title: str | None = None) -> Table:
    """Return an empty table. If the table is too wide for the console, the text in its cells is wrapped and never cut.

    The columns in `words` are aligned to the left. The other columns contain numbers and are aligned to the right.
    """
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="left" if column in words else "right", overflow="fold")
    return made


@contextmanager
def progress_bars(console: Console) -> Iterator[ProgressListener]:
    """Yield a progress listener for pipeline steps.

    On a terminal, the listener draws a progress bar for the current task. The next task replaces the bar with its own
    bar. If the output is not a terminal, the listener prints a line to standard error every few seconds, and at least
    every 30 s. If the console is quiet, nothing is printed.
    """
    if not console.is_terminal:
        with nullcontext(_no_lines) if console.quiet else progress_lines() as listener:
            yield listener
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None, visible=False)
        current = ""

        def listen(what: str, done: int, total: int) -> None:
            nonlocal current
            if what != current:
                current = what
                bars.reset(task, total=total, description=what, visible=True)
            bars.update(task, completed=done, total=total)

        yield listen


def _no_lines(what: str, done: int, total: int) -> None:
    """Ignore the progress of a task."""


@contextmanager
def progress_lines(silent_seconds: float = _SILENT_SECONDS) -> Iterator[ProgressListener]:
    """Yield a progress listener that prints a line to standard error every `_LINE_SECONDS` seconds.

    The first line comes `_LINE_SECONDS` seconds after the first report, so shorter work prints nothing. If there is no
    report for `silent_seconds`, a line says that the work goes on. A log file thus shows that long work is not stuck.
    """
    started = shown = time.monotonic()
    first: float | None = None
    said, ended = "working", Event()

    def show(line: str) -> None:
        nonlocal shown
        shown = time.monotonic()
        print(line, file=sys.stderr, flush=True)

    def listen(what: str, done: int, total: int) -> None:
        nonlocal first, said
        now, said = time.monotonic(), f"{what}: {done} of {total}"
        if first is None:
            first = now
        elif now - max(first, shown) >= _LINE_SECONDS:
            show(said)

    def repeat() -> None:
        while not ended.wait(max(0.01, shown + silent_seconds - time.monotonic())):
            if time.monotonic() - shown >= silent_seconds:
                show(f"{said}; still working after {time.monotonic() - started:.0f} s")

    thread = Thread(target=repeat, name="progress", daemon=True)
    thread.start()
    try:
        yield listen
    finally:
        ended.set()
        thread.join()
