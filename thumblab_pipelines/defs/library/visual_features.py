"""Define the asset `visual_features`: the six measured sub-scores of every thumbnail."""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import LIBRARY
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features.sub_scores import check_features, measure_features


@dg.asset(
    # If the image encoder can also encode texts, the sub-score title_match compares the vectors of titles with the
    # vectors of the pictures. The asset `embeddings` stores the vectors of the pictures, so it must be made first.
    deps=["thumbnails", "embeddings"],
    kinds={"opencv", "openvino", "postgres"},
    check_specs=blocking("visual_features", "complete", "in_range"),
    description="Clarity, prominence, contrast, emotion, hierarchy and title match, each 0 to 1, with the evidence.",
    **LIBRARY,
)
def visual_features(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        report = measure_features(lab.open(), context.partition_key, lab.progress(context))
        check_results = check_features(lab.open(), context.partition_key)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.had + report.measured,
            "measured": report.measured,
            "pictures_per_second": round(report.pictures_per_second, 1),
            "had_already": report.had,
            "unreadable": len(report.unreadable),
            "unreadable_first": ", ".join(report.unreadable[:10]) or "none",
            "title_match_by": dg.MetadataValue.json(dict(report.matched)),
            "missing": "; ".join(report.missing) or "nothing",
        },
        check_results=results(check_results),
    )
