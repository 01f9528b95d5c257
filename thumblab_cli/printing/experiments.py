"""Print experiments, the result of their import, and the outcomes of each channel."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from thumblab_cli.printing.printable import cell, printable
from thumblab_cli.printing.tables import table

if TYPE_CHECKING:
    from thumblab_core.experiments.records import StoredExperiment
    from thumblab_pipelines.experiments.import_csv import ExperimentImport
    from thumblab_pipelines.experiments.report import ChannelReport


def print_experiment_import(console: Console, report: "ExperimentImport", limit: int) -> None:
    """Print a line for each remark and each row that has a problem, and the totals.

    At most `limit` remarks and at most `limit` problems are printed.
    """
    lines = [f"note: {remark}" for remark in report.remarks[:limit]]
    if len(report.remarks) > limit:
        lines.append(f"and {len(report.remarks) - limit} more notes; --limit {len(report.remarks)} lists all of them")
    lines += [
        f"{report.file} line {problem.line}: {'skipped' if problem.skipped else 'taken'}: {problem.problem}"
        for problem in report.problems[:limit]
    ]
    if len(report.problems) > limit:
        lines.append(
            f"and {len(report.problems) - limit} more problems; --limit {len(report.problems)} lists all of them"
        )
    skipped = sum(problem.skipped for problem in report.problems)
    lines.append(
        f"{report.stored} of {report.rows} experiments stored ({report.new} new, {report.changed} changed, "
        f"{report.unchanged} unchanged), {skipped} skipped"
    )
    for line in lines:
        print_line(console, printable(line))


def print_experiments(console: Console, stored: Sequence["StoredExperiment"]) -> None:
    """Print a table with a row for each experiment."""
    words = ("channel", "video", "started", "outcome", "tested", "shares")
    rows = table("id", *words, words=words)
    for one in stored:
        experiment = one.experiment
        outcome = experiment.outcome.replace("_", " ")
        rows.add_row(
            str(one.experiment_id),
            cell(one.channel_title or experiment.channel_id),
            cell(experiment.video_id),
            str(experiment.started_on),
            outcome if experiment.winner is None else f"{outcome}: variant {experiment.winner}",
            f"{len(experiment.variants)} {experiment.tested}",
            ", ".join(
                "?" if variant.watch_time_share is None else f"{100 * variant.watch_time_share:.1f} %"
                for variant in experiment.variants
            ),
        )
    console.print(rows)


def print_channel_reports(console: Console, reports: Sequence["ChannelReport"]) -> None:
    """Print a table with a row for each channel. The last columns show how often the model preferred the variant that
    won, and how often a random order would prefer it.
    """
    columns = ["experiments", "winner", "the same", "inconclusive", "compared", "model agreed", "by chance"]
    rows = table("channel", *columns, words=("channel",))
    for report in reports:
        agreement = report.agreement
        compared = [] if agreement is None else [str(agreement.compared)]
        if agreement is not None and agreement.compared:
            compared += [f"{agreement.agreed:g}", f"{agreement.by_chance:.1f}"]
        numbers = (report.experiments, report.winner, report.performed_the_same, report.inconclusive)
        cells = [*map(str, numbers), *compared]
        cells += ["-"] * (len(columns) - len(cells))
        rows.add_row(cell(report.title or report.channel_id), *cells)
    console.print(rows)


def print_line(console: Console, line: str) -> None:
    """Print a line unchanged. Rich does not wrap the line, and does not read square brackets in it as markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
