"""Define the asset `visual_features`: the six measured sub-scores of every thumbnail."""

import dagster as dg

from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import ENCODER, LIBRARY
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import crawl_seconds
from thumblab_pipelines.features.sub_scores import check_features, measure_features


@dg.asset(
    # If the image encoder can also encode texts, the sub-score title_match compares title vectors with picture vectors.
    # The asset `embeddings` stores the picture vectors, so `embeddings` must be made first.
    deps=["thumbnails", "videos", "embeddings"],
    kinds={"python", "postgres"},
    pool=ENCODER,
    check_specs=blocking(
        "visual_features",
        complete="At least 99 % of the niche's thumbnails were measured with the present version of the meter. The "
        "crawl's videos may still wait to be measured.",
        in_range="Every sub-score is between 0 and 1.",
    ),
    description=f"Sub-scores, each 0 to 1, with their evidence: {', '.join(NAMES).replace('_', ' ')}.",
    **about("visual_features", "sub-scores.md", measure_features, check_features),
    **LIBRARY,
)
def visual_features(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        turn = crawl_seconds(context)
        report = measure_features(lab.open(), context.partition_key, lab.progress(context), turn)
        check_results = check_features(lab.open(), context.partition_key)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.had + report.measured,
            "measured": report.measured,
            "pictures_per_second": round(report.pictures_per_second, 1),
            "computed_by": dg.MetadataValue.json(dict(report.places)),
            "had_already": report.had,
            "left_to_the_background": report.left,
            "unreadable": len(report.unreadable),
            "unreadable_first": ", ".join(report.unreadable[:10]) or "none",
            "title_match_by": dg.MetadataValue.json(dict(report.matched)),
            "missing": "; ".join(report.missing) or "nothing",
        },
        check_results=results(check_results),
    )
