"""embeddings: thumbnails and titles as unit vectors."""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import LIBRARY
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features.embed import check_embeddings, embed


@dg.asset(
    deps=["thumbnails"],
    kinds={"openvino", "postgres"},
    check_specs=blocking("embeddings", "complete", "unit_length"),
    description="One vector per thumbnail and per title, keyed by the encoder's fingerprint; none is made twice.",
    **LIBRARY,
)
def embeddings(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        found = embed(lab.open(), context.partition_key, lab.progress(context))
        verdicts = check_embeddings(lab.open(), context.partition_key)
    for sentence in (*found.unreadable, *found.without):
        context.log.warning(sentence)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.had + found.images + found.titles,
            "images_encoded": found.images,
            "titles_encoded": found.titles,
            "earlier_encoded": found.earlier,
            "had_already": found.had,
            "images_per_second": round(found.images_per_second, 1),
            "encoder": found.encoder,
            "precision_settled": found.settled or "nothing to settle",
            "unreadable": len(found.unreadable),
            "unreadable_first": ", ".join(found.unreadable[:10]) or "none",
            "without_vector": len(found.without),
            "without_vector_first": ", ".join(found.without[:10]) or "none",
        },
        check_results=results(verdicts),
    )
