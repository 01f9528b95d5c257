"""Define the asset `matching_head`: a linear map that brings the face vectors of one person closer together."""

import dagster as dg
from pydantic import Field

from thumblab_pipelines.defs.checks import advisory, explained, results
from thumblab_pipelines.defs.groups import PEOPLE, TRAINER
from thumblab_pipelines.defs.kept import about, release_metadata
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.people.training import check_head, head_config, train_matching


class Training(dg.Config):
    """How the head is trained. A value that is not given comes from the lab's settings."""

    epochs: int | None = Field(default=None, description="The maximum number of epochs.")
    margin: float | None = Field(default=None, description="The margin of the triplet loss.")
    min_faces: int | None = Field(
        default=None, description="People with fewer labelled faces than this number are left out."
    )


@dg.asset(
    # A person has given the labels to clusters. A new grouping does not change the labels, so `face_clusters` is not
    # among `deps`.
    deps=["faces", "thumbnails", "videos"],
    kinds={"python", "file"},
    pool=TRAINER,
    check_specs=advisory(
        "matching_head",
        not_worse="On unseen people, the head is not worse than the plain vectors. A worse head is not served.",
    ),
    description="Trains a small head on the labelled people by triplet loss. The head is served only if verification "
    "on unseen people does not get worse (docs/people.md).",
    **about("matching_head", "people.md", train_matching, check_head),
    **PEOPLE,
)
def matching_head(context: dg.AssetExecutionContext, config: Training, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        opened = lab.open()
        chosen = head_config(opened, config.epochs, config.margin, config.min_faces)
        published = train_matching(opened, chosen, context.run.run_id, lab.progress(context))
    info = published.release.info
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": info["faces"],
            "people": info["people"],
            "epochs": info["epochs"],
            "best_epoch": info["best_epoch"],
            "served": published.served,
            "reason": published.reason,
            "verification": dg.MetadataValue.json(info["verification"]),
            **release_metadata(published.release),
        },
        check_results=results(check_head(published)),
    )
