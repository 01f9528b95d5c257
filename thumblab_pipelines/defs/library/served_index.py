"""Define the asset `served_index`: the index that the service reads for the niche.

The service reads the newest index that passes its checks, unless a person holds an older index.
"""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import LIBRARY
from thumblab_pipelines.defs.kept import about, release_metadata
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.library.build import check_served_index, promote_index


@dg.asset(
    deps=["faiss_index", "videos"],
    kinds={"python", "file"},
    check_specs=blocking("served_index", pointer="The service reads this release, or a newer release."),
    description="Serves the newest build of the index after its checks have passed, unless a person holds an older "
    "build.",
    **about("served_index", "library-index.md", promote_index, check_served_index),
    **LIBRARY,
)
def served_index(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        served = promote_index(lab.open(), context.partition_key)
    release = served.release
    if served.held is not None:
        context.log.warning(
            f"the index of {context.partition_key} is held: {served.held}; `thumblab index resume` ends the hold"
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": release.info["count"],
            **release_metadata(release),
            "held": str(served.held or "no"),
            "changed_since_built": release.info.get("changed_since", 0),
        },
        check_results=results(check_served_index(lab.open(), release)),
    )
