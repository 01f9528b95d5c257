"""Define the asset `faces`: the faces of the stored thumbnails."""

import dagster as dg

from thumblab_pipelines.defs.checks import advisory, explained, results
from thumblab_pipelines.defs.groups import BY_NICHE, ENCODER, PEOPLE
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.people.detect import check_faces, detect_faces


@dg.asset(
    # With THUMBLAB_PEOPLE=own, the list of your channels decides which pictures are searched. No face is read from this
    # list, so the list is not among `deps`.
    deps=["thumbnails", "videos"],
    kinds={"python", "postgres"},
    pool=ENCODER,
    check_specs=advisory(
        "faces",
        searched="At least 99 % of the pictures that may be searched were searched with the networks that the lab uses "
        "now.",
        embedded="At least 99 % of the faces that were found have a vector.",
    ),
    description="Finds and embeds the faces of every thumbnail (docs/people.md). Off by default: THUMBLAB_PEOPLE decides "
    "whose thumbnails are searched.",
    **about("faces", "people.md", detect_faces, check_faces),
    **BY_NICHE,
    **PEOPLE,
)
def faces(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        opened = lab.open()
        detected = detect_faces(opened, context.partition_key, lab.progress(context))
        check_results = check_faces(opened, context.partition_key)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": detected.stored,
            "searched": detected.searched,
            "new_faces": detected.faces,
            "forgotten": detected.forgotten,
            "without_vector": detected.without_vector,
            "unreadable": len(detected.problems),
            "unreadable_first": ", ".join(detected.problems[:10]) or "none",
            "pictures_per_second": round(detected.pictures_per_second, 1),
        },
        check_results=results(check_results),
    )
