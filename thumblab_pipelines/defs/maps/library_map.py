"""Define the assets `library_map` and `library_map_of_all`: maps on which similar thumbnails are near each other."""

from typing import Any

import dagster as dg

from thumblab_core.releases.release import ALL
from thumblab_pipelines.defs.checks import advisory, blocking, explained, results
from thumblab_pipelines.defs.groups import BY_NICHE, MAPS
from thumblab_pipelines.defs.kept import about, release_metadata
from thumblab_pipelines.defs.previews import preview
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.library_map.build import (
    LEAST_TRUSTWORTHINESS,
    MOST_DRIFT,
    build_map,
    check_map,
    promote_map,
)
from thumblab_pipelines.previews.library_map import map_preview

_DEPS = ["embeddings", "channel_baselines", "visual_features", "thumbnails", "videos"]


def _checks(asset: str) -> list[dg.AssetCheckSpec]:
    return [
        *blocking(
            asset,
            intact="The files of the map match their checksums, and can be read.",
            finite="All coordinates on the map are numbers from 0 to 1.",
            placed="Each video of the library is on the map once.",
        ),
        *advisory(
            asset,
            trustworthiness="Thumbnails that are near each other on the map are similar: the trustworthiness for 15 "
            f"neighbours is at least {LEAST_TRUSTWORTHINESS}.",
            drift=f"At least half of the earlier map's videos have moved by at most {MOST_DRIFT:.0%} of the map's width.",
        ),
    ]


def _make(context: dg.AssetExecutionContext, lab: LabResource, scope: str) -> dg.MaterializeResult:
    run_id = context.run.run_id
    with explained():
        opened = lab.open()
        built = build_map(opened, scope, run_id)
        checks = check_map(built)
        served = promote_map(opened, built, checks, run_id)
        release = built.release if served is None else served.release
        shown = map_preview(release)
    if served is not None and served.held is not None:
        context.log.warning(f"the map of {scope} is held: {served.held}; the job roll_back_map ends the hold")
    info = release.info
    metadata: dict[str, Any] = {
        "dagster/row_count": info["videos"],
        **release_metadata(release),
        "reused": built.reused,
        "served": served is not None and served.held is None,
        "clusters": info["clusters"],
        "rising_clusters": info["rising"],
        "encoder": info["encoder"],
        "continued": info["continued"],
        **{f"{name}_of_map": value for name, value in (info["quality"] or {}).items()},
        **{f"{name}_of_pca": value for name, value in (info["quality_of_pca"] or {}).items()},
        **({} if info["drift"] is None else {"drift": info["drift"]}),
        **preview(shown),
    }
    return dg.MaterializeResult(metadata=metadata, check_results=results(checks))


@dg.asset(
    deps=_DEPS,
    kinds={"python", "file"},
    check_specs=_checks("library_map"),
    description="A map of the niche's library, on which similar thumbnails are near each other. The map has "
    "clusters with labels, and marks the rising clusters. A new map starts from the places on the served map. "
    "The new map is served if its checks pass (docs/library-map.md).",
    **about("library_map", "library-map.md", build_map, check_map, promote_map),
    **BY_NICHE,
    **MAPS,
)
def library_map(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    return _make(context, lab, context.partition_key)


@dg.asset(
    deps=_DEPS,
    kinds={"python", "file"},
    check_specs=_checks("library_map_of_all"),
    description="One map of the libraries of all niches together, made like `library_map`.",
    **about("library_map_of_all", "library-map.md", build_map, check_map, promote_map),
    **MAPS,
)
def library_map_of_all(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    return _make(context, lab, ALL)
