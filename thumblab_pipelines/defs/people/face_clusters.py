"""Define the asset `face_clusters`: named people, and groups of unknown faces."""

import dagster as dg
from pydantic import Field

from thumblab_pipelines.defs.checks import advisory, explained, results
from thumblab_pipelines.defs.groups import PEOPLE, TRAINER
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.people.distances import distance_plot
from thumblab_pipelines.people.group import check_groups, cluster_settings, group_faces


class Grouping(dg.Config):
    """How faces are grouped. A value that is not given comes from the lab's settings."""

    person_threshold: float | None = Field(
        default=None, description="The lowest match score with which a face is added to a person."
    )
    unknown_method: str | None = Field(
        default=None, description="How unknown faces are grouped: hdbscan, dbscan or agglomerative."
    )
    min_cluster_size: int | None = Field(
        default=None, description="The smallest number of faces in an unknown cluster."
    )
    max_faces: int | None = Field(
        default=None, description="The largest number of faces without a cluster that one run groups."
    )


@dg.asset(
    deps=["faces", "matching_head", "thumbnails", "videos"],
    kinds={"python", "postgres"},
    pool=TRAINER,
    check_specs=advisory(
        "face_clusters",
        kept="Every face that a person moved is still in the chosen cluster. No two faces of one picture share a cluster.",
        calibrated="The match scores were calibrated on pairs of faces. Without enough pairs, they are only estimated "
        "from the network's dimension.",
    ),
    description="Matches faces to named people, and groups all other faces into unknown clusters (docs/people.md).",
    **about("face_clusters", "people.md", group_faces, check_groups),
    **PEOPLE,
)
def face_clusters(context: dg.AssetExecutionContext, config: Grouping, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        opened = lab.open()
        how = cluster_settings(opened.settings, config.person_threshold, config.unknown_method, config.min_cluster_size)
        grouped = group_faces(opened, how, config.max_faces, lab.progress(context))
        check_results = check_groups(opened, grouped)
    figures = grouped.as_json()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": grouped.people + grouped.unknown_clusters,
            **{name: value for name, value in figures.items() if isinstance(value, int | float)},
            "calibration": dg.MetadataValue.json(figures["calibration"]),
            "preview": dg.MetadataValue.md(distance_plot(grouped.distances)),
        },
        check_results=results(check_results),
    )
