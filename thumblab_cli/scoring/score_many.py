"""Score the requests of a folder or a table, and write the results to a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from thumblab_cli.printing.tables import progress_bars, wide_console
from thumblab_cli.scoring.refused import RefusedRequestError
from thumblab_cli.scoring.results_file import ResultsFile
from thumblab_cli.scoring.score_requests import Defaults, RequestTable, ScoreRequest, folder_requests
from thumblab_core.errors import LabError
from thumblab_serving.batches.result_table import Row, rows_of
from thumblab_serving.schemas.answer import ScoreAnswer

Ask = Callable[[ScoreRequest], ScoreAnswer]


def score_path(path: Path, defaults: Defaults, out: Path, again: bool, ask: Ask) -> None:
    """Score the pictures of a folder or of a CSV table, and print what was done.

    A row of the table that cannot be used is reported and skipped. Raises `LabError` if nothing can be used.
    """
    skipped = 0
    if path.is_dir():
        requests = folder_requests(path, defaults)
    else:
        given = RequestTable(path=path, defaults=defaults)
        requests, skipped = given.read(), len(given.problems)
        for problem in given.problems:
            click.echo(f"{path} line {problem.line} is skipped: {problem.problem}", err=True)
        if not requests:
            raise LabError(f"{path} has no row that can be used")
    scored, failed, before = score_many(requests, out, again, ask)
    known = f", {before} were done before" if before else ""
    click.echo(f"Scored {scored} requests{known}. The results are in {out}.")
    if failed:
        click.echo(f"{failed} of them have no scored thumbnail; the column `error` says why. --again tries them again.")
    if skipped:
        click.echo(f"{skipped} rows of {path} were skipped, see above.")


def score_many(requests: Sequence[ScoreRequest], out: Path, again: bool, ask: Ask) -> tuple[int, int, int]:
    """Score each request whose results are not in the file `out` yet, and write them there.

    `again`: whether to score the requests with an error again. `ask` returns the answer to a request. If it raises
    `RefusedRequestError`, the request gets a row with the error. If it raises another error, the work ends, and the next
    call continues.

    Returns how many requests were scored, how many of these have no scored thumbnail, and how many were done before.
    """
    results = ResultsFile(out, again)
    left = [request for request in requests if request.key not in results.done]
    failed = 0
    try:
        with progress_bars(wide_console(stderr=True)) as progress:
            for number, request in enumerate(left):
                progress("scoring", number, len(left))
                rows, is_scored = _rows(request, ask)
                results.write(request, rows)
                failed += not is_scored
            progress("scoring", len(left), len(left))
    finally:
        results.close()
    return len(left), failed, len(requests) - len(left)


def _rows(request: ScoreRequest, ask: Ask) -> tuple[Sequence[Row], bool]:
    """Return the rows of a request, and whether a thumbnail was scored."""
    try:
        answer = ask(request)
    except RefusedRequestError as error:
        return [{"title": request.titles[0], "niche": request.niches[0], "error": str(error)}], False
    return list(rows_of(answer)), answer.verdict is not None
