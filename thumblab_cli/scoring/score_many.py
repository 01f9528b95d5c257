"""Score the requests of a folder or a table, and write the results to a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from thumblab_cli.printing.tables import progress_bars, wide_console
from thumblab_cli.scoring.picture_ids import picture_ids
from thumblab_cli.scoring.refused import RefusedRequestError
from thumblab_cli.scoring.results_file import ResultsFile
from thumblab_cli.scoring.score_requests import Defaults, RequestTable, ScoreRequest, folder_requests
from thumblab_core.errors import LabError
from thumblab_serving.batches.result_table import Row, rows_of
from thumblab_serving.schemas.answer import ScoreAnswer

Ask = Callable[[ScoreRequest], ScoreAnswer]


def score_path(path: Path, defaults: Defaults, out: Path, again: bool, ask: Ask) -> bool:
    """Score the pictures of a folder or of a CSV table, and print what was done.

    Return True if every row of the table could be used, and no result has an error. Results of earlier calls count too.
    A row that cannot be used is reported and skipped. Raises `LabError` if no row or picture can be used.
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
    counts = score_many(requests, out, again, ask)
    known = f", {counts.before} were done before" if counts.before else ""
    click.echo(f"Scored {counts.scored} requests{known}. The results are in {out}.")
    if counts.failed:
        click.echo(f"{counts.failed} requests were answered, but none of their thumbnails has a score.")
    if counts.with_errors:
        click.echo(
            f"{counts.with_errors} of all requests have a row with an error; the column `error` says why. "
            "Use --again to score these requests again."
        )
    if skipped:
        click.echo(f"{skipped} rows of {path} were skipped, see above.")
    return not skipped and not counts.with_errors


@dataclass(frozen=True)
class Counts:
    """The numbers of requests by their outcome.

    `scored` counts the requests that this call has scored. `before` counts the requests that earlier calls had scored.
    `failed` counts the requests of this call for which no thumbnail could be scored. `with_errors` counts the requests
    with a row that has an error, in all calls.
    """

    scored: int
    failed: int
    before: int
    with_errors: int


def score_many(requests: Sequence[ScoreRequest], out: Path, again: bool, ask: Ask) -> Counts:
    """Score each request whose results are not in the file `out` yet, and write the results to `out`.

    With `again`, the requests with an error are scored again. `ask` returns the answer to a request. If `ask` raises
    `RefusedRequestError`, the request gets a row with the error. If `ask` raises another error, the work ends, and the
    next call of the command continues the work.
    """
    results = ResultsFile(out, again)
    left = [request for request in requests if request.key not in results.done]
    failed, with_errors = 0, sum(request.key in results.with_errors for request in requests)
    try:
        with progress_bars(wide_console(stderr=True)) as progress:
            for number, request in enumerate(left):
                progress("scoring", number, len(left))
                rows, is_scored = _rows(request, ask)
                results.write(request, rows)
                failed += not is_scored
                with_errors += any(row.get("error") for row in rows)
            progress("scoring", len(left), len(left))
    finally:
        results.close()
    return Counts(len(left), failed, len(requests) - len(left), with_errors)


def _rows(request: ScoreRequest, ask: Ask) -> tuple[Sequence[Row], bool]:
    """Return the rows of a request for the results file, and whether at least one thumbnail was scored."""
    try:
        answer = ask(request)
    except RefusedRequestError as error:
        return [{"title": request.titles[0], "niche": request.niches[0], "error": str(error)}], False
    names = {id_: name for name, id_ in picture_ids(request.images).items()}
    rows = [
        dict(row) | {"title": row["title"] or request.titles[0], "thumbnail": names.get(str(row["thumbnail"]))}
        for row in rows_of(answer)
    ]
    return rows, answer.verdict is not None
