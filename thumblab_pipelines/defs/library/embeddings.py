"""Define the asset `embeddings`: a unit vector for each thumbnail and each title."""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import ENCODER, LIBRARY
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import crawl_seconds
from thumblab_pipelines.features.check_vectors import check_embeddings
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.features.export_encoder import export_encoder


@dg.asset(
    deps=["thumbnails", "videos", "experiments"],
    kinds={"python", "postgres"},
    pool=ENCODER,
    check_specs=blocking(
        "embeddings",
        complete="Every title and at least 99 % of the readable thumbnails have a vector of the encoder that the "
        "settings name. The crawl's videos may still wait for their vectors.",
        unit_length="Every vector has length 1.",
    ),
    description="One vector per thumbnail and per title, with the encoder's fingerprint. Existing vectors are kept.",
    **about("embeddings", "encoders.md", embed, export_encoder, check_embeddings),
    **LIBRARY,
)
def embeddings(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        report = embed(lab.open(), context.partition_key, lab.progress(context), crawl_seconds(context))
        not_exported = export_encoder(lab.open(), lab.progress(context))
        check_results = check_embeddings(lab.open(), context.partition_key)
    for sentence in (*report.unreadable, *report.without, *([not_exported] if not_exported else [])):
        context.log.warning(sentence)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.had + report.images + report.titles,
            "images_encoded": report.images,
            "titles_encoded": report.titles,
            "earlier_encoded": report.earlier,
            "had_already": report.had,
            "left_to_the_background": report.left,
            "images_per_second": round(report.images_per_second, 1),
            "encoder": report.encoder,
            "computed_by": dg.MetadataValue.json(dict(report.places)),
            "precision_settled": report.settled or "nothing to settle",
            "unreadable": len(report.unreadable),
            "unreadable_first": ", ".join(report.unreadable[:10]) or "none",
            "without_vector": len(report.without),
            "without_vector_first": ", ".join(report.without[:10]) or "none",
        },
        check_results=results(check_results),
    )
