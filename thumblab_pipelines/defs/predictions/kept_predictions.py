"""Define the asset `kept_predictions`: the answers that the scoring service keeps."""

import dagster as dg

from thumblab_pipelines.defs.groups import OWNERS
from thumblab_pipelines.defs.kept import kept

# Dagster does not materialize this asset. In Dagster's graph, the asset shows that the service answers from the served
# index and model.
kept_predictions = dg.AssetSpec(
    "kept_predictions",
    deps=["served_index", "served_model"],
    group_name="predictions",
    owners=OWNERS,
    kinds={"postgres"},
    description="Answers of the scoring service. The service writes them to the database if "
    "THUMBLAB_KEEP_PREDICTIONS is set (docs/predictions.md).",
    metadata=kept("kept_predictions", "predictions.md"),
)
