"""training_pairs: the corpus, its splits and its same-channel pairs."""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import RANKING
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.steps.pairs import build_pairs, judge_pairs


@dg.asset(
    deps=["channel_baselines", "visual_features", "embeddings", "faiss_index"],
    kinds={"pandas", "parquet"},
    check_specs=blocking(
        "training_pairs", "enough", "no_leak_of_videos", "no_leak_of_pictures", "same_channel", "whole_channels"
    ),
    description="Pairs of one channel published within 30 days, labelled by age-corrected views; near-duplicates removed.",
    **RANKING,
)
def training_pairs(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        built = build_pairs(lab.open(), context.run.run_id)
    info = built.release.info
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(info["pairs"].values()),
            "release": built.release.release_id,
            "reused": built.reused,
            "videos": info["videos"],
            "channels": info["channels"],
            "age_exponent": info["age_exponent"],
            **{f"pairs_{part}": count for part, count in info["pairs"].items()},
            "excluded": info["excluded"],
        },
        check_results=results(judge_pairs(built.release)),
    )
