"""Define the asset `niche_report`: how the winners of a niche differ from other videos of the same channels."""

import dagster as dg

from thumblab_pipelines.defs.checks import advisory, explained, results
from thumblab_pipelines.defs.groups import REPORTS
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.niche_report.findings import LEAST_CHANNELS, LEAST_WINNERS
from thumblab_pipelines.niche_report.preview import markdown
from thumblab_pipelines.niche_report.report import check_report, store_report


@dg.asset(
    deps=["visual_features", "channel_baselines", "thumbnails", "videos"],
    kinds={"pandas", "postgres"},
    check_specs=advisory(
        "niche_report",
        enough_videos=f"The niche has at least {LEAST_WINNERS} winners on {LEAST_CHANNELS} channels. Otherwise, the "
        "report has no figures.",
        pictures_measured="The pictures of at least half of the compared videos were measured.",
    ),
    description="How the 10 % of a niche's videos with the highest outlier multiples differ from other videos of the same "
    "channels. The report has effect sizes, intervals and control of false discoveries. The newest report is stored "
    "(docs/niche-report.md).",
    **about("niche_report", "niche-report.md", store_report, check_report),
    **REPORTS,
)
def niche_report(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        made = store_report(lab.open(), context.partition_key)
    report = made.report
    # The preview names no video, because Dagster's event log keeps the preview.
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": 1,
            "findings": len(report.findings),
            "changes": sum(finding.change is not None for finding in report.findings),
            "compared_things": report.coverage.features,
            "winners": report.coverage.winners,
            "videos": report.coverage.videos,
            "channels": report.coverage.channels,
            "left_out": report.coverage.left_out,
            "preview": dg.MetadataValue.md(markdown(report)),
        },
        check_results=results(check_report(made)),
    )
