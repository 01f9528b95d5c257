"""Print a niche report."""

from rich.console import Console

from thumblab_cli.printing.printable import printable
from thumblab_cli.printing.tables import table
from thumblab_core.niche_report.niche_figures import NicheReport
from thumblab_pipelines.niche_report.sentences import agreement, change, left_out, outcome, rule, scope, size, usual

_COLUMNS = ("winners", "difference (95 % interval)", "usual", "channels", "last 28 days")


def print_report(console: Console, report: NicheReport) -> None:
    """Print the data of the report, its findings, and what the report does not show."""
    for line in filter(None, (outcome(report), scope(report), rule(report), left_out(report))):
        console.print(printable(line), markup=False, highlight=False)
    if report.findings:
        rows = table(*_COLUMNS, words=_COLUMNS)
        for finding in report.findings:
            rows.add_row(
                finding.words, size(finding), usual(finding), agreement(finding), change(finding) or "no clear change"
            )
        console.print(rows)
    for caveat in report.caveats:
        console.print(f"- {caveat}", markup=False, highlight=False)
