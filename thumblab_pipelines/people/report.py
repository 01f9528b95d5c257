"""Report how many faces and people there are. Compare the clusters with the folders of the pictures that users added."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from thumblab_core.database.tables import face_assignments, faces, people_pictures
from thumblab_core.people.figures import people_statistics
from thumblab_core.people.records import PeopleStatistics
from thumblab_core.recognition.appearances import NOTE, Appearance, appearances
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.clustering.agreement import Agreement, agreement
from thumblab_pipelines.people.matching.labelled_faces import LEAST_PEOPLE


@dataclass(frozen=True)
class PeopleReport:
    """The figures of the people in a lab.

    Attributes:
        statistics: numbers of pictures, faces and clusters, and the share of thumbnails of each person.
        appearances: for each channel, how often each person appears.
        folders: how well the clusters agree with the subfolders of the pictures that users added with `add_folder`.
            If no added picture is in a subfolder, the value is None.
    """

    statistics: PeopleStatistics
    appearances: list[Appearance]
    folders: Agreement | None

    def as_json(self) -> dict[str, Any]:
        figures = asdict(self.statistics)
        figures["shares"] = [
            {
                "cluster_id": share.cluster.id,
                "name": share.cluster.name,
                "faces": share.cluster.faces,
                "thumbnails": share.thumbnails,
                "searched": share.searched,
                "share": share.share,
            }
            for share in self.statistics.shares
        ]
        figures["channels"] = [asdict(each) | {"share": each.share} for each in self.appearances]
        figures["note"] = NOTE
        figures["folders"] = None if self.folders is None else self.folders._asdict()
        return figures


def people_report(lab: Lab) -> PeopleReport:
    """Return the figures of the lab's people. The figures are also available while the setting `people` is off."""
    with lab.engine.connect() as connection:
        statistics, on_channels = people_statistics(connection), appearances(connection)
    return PeopleReport(statistics, on_channels, folder_agreement(lab))


def check_names(report: PeopleReport) -> list[CheckResult]:
    """Check that enough people have a name for a training of the matching head."""
    named = report.statistics.people
    return [
        CheckResult(
            "enough_names",
            named >= LEAST_PEOPLE,
            f"{named} people have a name; training needs {LEAST_PEOPLE}",
            advisory=True,
            figures={"named": named},
        )
    ]


def folder_agreement(lab: Lab) -> Agreement | None:
    """Return how well the clusters agree with the subfolders of the pictures that users added with `add_folder`. Each
    subfolder must have the pictures of one person.

    Only the best face of a picture is used, because other people may be in the background. Return None if none of the
    added pictures is in a subfolder.
    """
    statement = (
        select(people_pictures.c.name, face_assignments.c.cluster_key)
        .ext(distinct_on(people_pictures.c.sha256))
        .join(faces, faces.c.sha256 == people_pictures.c.sha256)
        .outerjoin(face_assignments, face_assignments.c.face_id == faces.c.face_id)
        .where(people_pictures.c.name.contains("/"))
        .order_by(people_pictures.c.sha256, faces.c.quality.desc(), faces.c.face_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    if not rows:
        return None
    folders = np.unique([row.name.rpartition("/")[0] for row in rows], return_inverse=True)[1]
    keys = sorted({row.cluster_key for row in rows if row.cluster_key is not None})
    code_of = {key: code for code, key in enumerate(keys)}
    return agreement(np.array([code_of.get(row.cluster_key, -1) for row in rows], np.intp), folders.astype(np.intp))
