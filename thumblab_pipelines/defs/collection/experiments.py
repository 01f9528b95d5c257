"""Define the asset `experiments`: all stored experiments. An experiment tested two or three variants on one video."""

import dagster as dg

from thumblab_core.experiments.store import read_experiments
from thumblab_pipelines.defs.checks import advisory, blocking, explained, results
from thumblab_pipelines.defs.groups import COLLECTION
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.experiments.report import check_experiments, count_outcomes, preview, report_channels


@dg.asset(
    deps=["videos"],
    kinds={"youtube", "postgres"},
    check_specs=[
        *blocking("experiments", pictures="The image store has the pictures of all variants of every experiment."),
        *advisory("experiments", consistent="The winner has the largest share of watch time, if the shares are known."),
    ],
    description="Results of creators who tried two or three thumbnails on one video. `thumblab experiment` stores "
    "them, because YouTube has no API for them. No schedule runs this asset: see docs/experiments.md.",
    **about("experiments", "experiments.md", read_experiments, check_experiments),
    **COLLECTION,
)
def experiments(lab: LabResource) -> dg.MaterializeResult:
    with explained():
        opened = lab.open()
        with opened.engine.connect() as connection:
            stored = read_experiments(connection)
    variants = [variant for one in stored for variant in one.experiment.variants]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(stored),
            "channels": len(report_channels(stored)),
            "videos": len({one.experiment.video_id for one in stored}),
            **count_outcomes(stored),
            "variants": len(variants),
            "variants_with_share": sum(variant.watch_time_share is not None for variant in variants),
            "variants_with_impressions": sum(variant.impressions is not None for variant in variants),
            "preview": dg.MetadataValue.md(preview(stored)),
        },
        check_results=results(check_experiments(opened, stored)),
    )
