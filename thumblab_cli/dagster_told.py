"""Tell the lab's Dagster, if it has one, what a command changed in what is served."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # Only type checkers import this module here, which keeps `thumblab --help` fast.
    from thumblab_pipelines.lab import Lab


@contextmanager
def dagster_told(lab: "Lab", command: str) -> Iterator[None]:
    """Report each pointer that the `with` block moves, also if the block fails. `command` is the cause that is shown.

    If Dagster cannot be told, a note says so. Dagster is imported only if a pointer was moved, because that takes a
    second.
    """
    from thumblab_pipelines.pointer_moves import Move, pointer_moves

    moves: list[Move] = []
    try:
        with pointer_moves(lab) as moves:
            yield
    finally:
        data_dir = lab.settings.data_dir.resolve()
        if moves and (data_dir / "dagster" / "dagster.yaml").is_file():  # `thumblab up` has made this file.
            from thumblab_pipelines.dagster_observations import tell_dagster

            problem = tell_dagster(data_dir, moves, f"`thumblab {command}`")
            if problem is not None:
                click.echo(f"note: {problem}", err=True)
