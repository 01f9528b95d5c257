"""Write a niche report as Markdown, for the metadata of its asset. Dagster keeps the text. So the text must not name a
video, because the video may have to be deleted later.
"""

from thumblab_core.niche_report.niche_figures import NicheReport
from thumblab_pipelines.niche_report.sentences import agreement, change, left_out, outcome, rule, scope, size, usual


def markdown(report: NicheReport) -> str:
    """Return the report as Markdown: a table of the findings, and what the report does not prove."""
    parts = [" ".join(filter(None, [outcome(report), scope(report), rule(report)]))]
    if report.findings:
        rows = [
            f"| {finding.words} | {size(finding)} | {usual(finding)} | {agreement(finding)} | "
            f"{change(finding) or 'no clear change'} |"
            for finding in report.findings
        ]
        heads = "| winners of the niche | difference (95 % interval) | usual | channels | last 28 days |"
        parts.append("\n".join([heads, "|---|---|---|---|---|", *rows]))
    if left_out(report):
        parts.append(left_out(report))
    parts.append("\n".join(f"- {caveat}" for caveat in report.caveats))
    return "\n\n".join(parts).replace("a | in", "a \\| in")
