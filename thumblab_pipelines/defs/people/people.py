"""Define the asset `people`. It counts, for each channel and each person, the thumbnails that show the person."""

import dagster as dg

from thumblab_pipelines.defs.checks import advisory, explained, results
from thumblab_pipelines.defs.groups import PEOPLE
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.people.report import check_names, people_report


@dg.asset(
    deps=["face_clusters", "faces", "thumbnails", "videos"],
    kinds={"pandas", "postgres"},
    check_specs=advisory(
        "people", enough_names="At least five people have a name, so that the matching head can learn from them."
    ),
    description="Counts, for each channel and each named person, the thumbnails that show the person. Measures how "
    "well the videos of these thumbnails performed (docs/people.md). No name is written into the metadata.",
    **about("people", "people.md", people_report, check_names),
    **PEOPLE,
)
def people(lab: LabResource) -> dg.MaterializeResult:
    with explained():
        report = people_report(lab.open())
    statistics = report.statistics
    # Names of people must not be in Dagster's event log, because nobody could delete the names from the log.
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": statistics.people,
            "unknown_clusters": statistics.unknown_clusters,
            "faces": statistics.faces,
            "faces_in_people": statistics.faces_in_people,
            "faces_in_unknown_clusters": statistics.faces_in_unknown_clusters,
            "faces_in_none": statistics.faces_in_none,
            "pictures": statistics.pictures,
            "pictures_with_faces": statistics.pictures_with_faces,
            "people_on_channels": len(report.appearances),
        },
        check_results=results(check_names(report)),
    )
