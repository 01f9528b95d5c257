"""Define the asset `training_pairs`: the corpus, its splits, and the pairs of videos of the same channel."""

import dagster as dg

from thumblab_pipelines.dataset.checks import CHECKS
from thumblab_pipelines.dataset.pairs import build_pairs, check_built_pairs
from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import RANKING
from thumblab_pipelines.defs.kept import about, release_metadata
from thumblab_pipelines.defs.previews import picture_preview
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.previews.pairs_sample import pairs_sample


@dg.asset(
    deps=[
        "videos",
        "thumbnails",
        "embeddings",
        "visual_features",
        "view_history",
        "crawled_videos",
        "true_ctr",
        "experiments",
    ],
    kinds={"pandas", "file"},
    check_specs=blocking("training_pairs", **CHECKS),
    description=(
        "Pairs of videos that one channel published within 30 days, without near-duplicates. A pair is labelled by "
        "views at the same age or by age-corrected views."
    ),
    **about("training_pairs", "training-pairs.md", build_pairs, check_built_pairs),
    **RANKING,
)
def training_pairs(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        built = build_pairs(lab.open(), context.run.run_id)
        checks = check_built_pairs(lab.open(), built)
        shown = picture_preview(context, pairs_sample(lab.open(), built.release))
    info = built.release.info
    one_video = info["one_video"]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(info["pairs"].values()),
            **release_metadata(built.release),
            "reused": built.reused,
            "videos": info["videos"],
            "channels": info["channels"],
            "half_age_hours": info["growth"]["half_age"],
            "histories": info["growth"]["histories"],
            "as_of": str(info["as_of"]),
            **{f"pairs_{part}": count for part, count in info["pairs"].items()},
            "labels": info["labels"],
            "excluded": info["excluded"],
            **{f"one_video_{source}_pairs": count for source, count in one_video["pairs"].items()},
            **{f"one_video_{source}_decided": count for source, count in one_video["decided"].items()},
            "one_video_left_out": one_video["left_out"],
            **shown,
        },
        check_results=results(checks),
    )
