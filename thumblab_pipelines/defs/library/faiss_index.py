"""Define the asset `faiss_index`: a new release with the index of the niche's library.

The release is served only after its checks have passed.
"""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import LIBRARY
from thumblab_pipelines.defs.kept import about, release_metadata
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.library.build import build_index, check_index


class IndexConfig(dg.Config):
    """Config that chooses the type of the FAISS index for one build."""

    factory: str = ""
    """A factory string such as `IDMap,IVF100,Flat`. If this text is empty, the setting THUMBLAB_INDEX_FACTORY is
    used."""


@dg.asset(
    deps=["embeddings", "channel_baselines", "visual_features", "thumbnails", "videos"],
    kinds={"python", "file"},
    check_specs=blocking(
        "faiss_index",
        intact="The release can be loaded, and its files match their checksums.",
        encoder="The index was made with the encoder that the settings name.",
        finds_itself="A search with the vector of a sampled thumbnail finds this thumbnail first.",
        size="The index is not much smaller than the served index.",
    ),
    description="The FAISS index of the niche and the facts that are shown with each neighbour, as an immutable release.",
    **about("faiss_index", "library-index.md", build_index, check_index),
    **LIBRARY,
)
def faiss_index(context: dg.AssetExecutionContext, lab: LabResource, config: IndexConfig) -> dg.MaterializeResult:
    with explained():
        built = build_index(lab.open(), context.partition_key, context.run.run_id, config.factory or None)
        check_results = check_index(lab.open(), built.release)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": built.release.info["count"],
            **release_metadata(built.release),
            "reused": built.reused,
            "encoder": built.release.info["encoder"],
            "dimension": built.release.info["dimension"],
            "measured": built.release.info["measured"],
            "kind": built.release.info["faiss"],
            "recall": built.release.info["search"]["recall"],
            "note": built.release.info["search"].get("note") or "none",
        },
        check_results=results(check_results),
    )
