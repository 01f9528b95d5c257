"""Train the matching head on the faces of the people that have a name in the lab."""

import numpy as np
from sqlalchemy import Connection, func, select

from thumblab_core.database.tables import faces
from thumblab_core.errors import LabError
from thumblab_core.people.clustering import NONE, FacesToCluster, faces_for_clustering
from thumblab_core.people.pictures import scope_of
from thumblab_core.recognition.space import present_embedder
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.matching.fitting import HeadConfig
from thumblab_pipelines.people.matching.labelled_faces import LEAST_PEOPLE, LabelledFaces, TooFewPeopleError
from thumblab_pipelines.people.matching.publishing import PublishedHead, train_and_publish
from thumblab_pipelines.people.matching.training import TrainedHead, train_head
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.ray_cluster.tasks import tasks_of


def head_config(
    lab: Lab, epochs: int | None = None, margin: float | None = None, min_faces: int | None = None
) -> HeadConfig:
    """Return the settings of a training. A value that is not given comes from the lab's settings, or is the default.

    Raises `LabError` if a value is not allowed.
    """
    return HeadConfig(
        epochs=lab.settings.face_training_epochs if epochs is None else epochs,
        margin=lab.settings.face_triplet_margin if margin is None else margin,
        **({} if min_faces is None else {"min_faces": min_faces}),
    )


def train_matching(
    lab: Lab, config: HeadConfig | None = None, run_id: str | None = None, progress: Progress = silent
) -> PublishedHead:
    """Train a head on the faces of people with a name, publish the head, and serve it if it is good enough.

    The next grouping uses the served head. `run_id`: the Dagster run that trains. Raises `LabError` if the setting
    `people` is off, or if fewer than five people have enough faces.
    """
    embedder, scope = present_embedder(lab.settings), scope_of(lab.settings.people, lab.releases)
    with lab.engine.connect() as connection:
        given = faces_for_clustering(connection, embedder, scope)
    labelled = _labelled(given)

    def confirm() -> None:
        with lab.engine.connect() as connection:
            _require_faces(connection, labelled)

    def train(given: LabelledFaces, embedder: str, config: HeadConfig) -> TrainedHead:
        return train_head(given, embedder, config, progress, tasks_of(lab.settings))

    config = config or head_config(lab)
    return train_and_publish(lab.releases, labelled, embedder, config, confirm, run_id, train)


def _labelled(given: FacesToCluster) -> LabelledFaces:
    """Return the faces that a person put in a cluster with a name.

    Faces that the lab itself matched to a person are left out. A head that learns from its own answers would learn its
    own errors.
    """
    # A face in no cluster has the code -1. As an index, -1 means the last element, so False is added at the end.
    named = np.append(given.named, False)
    rows = np.flatnonzero((given.pinned != NONE) & named[given.pinned])
    # The number of a picture may change with every new face. So the key of a picture is the id of its first labelled
    # face.
    first: dict[int, str] = {}
    for row in rows.tolist():
        first.setdefault(int(given.pictures[row]), given.face_ids[row])
    if not len(rows):
        raise TooFewPeopleError(
            f"training needs {LEAST_PEOPLE} people with a name, and no face has a name; name clusters first"
        )
    return LabelledFaces(
        given.vectors[rows],
        [given.face_ids[row] for row in rows],
        [given.keys[given.pinned[row]] for row in rows],
        [first[int(given.pictures[row])] for row in rows],
    )


def _require_faces(connection: Connection, labelled: LabelledFaces) -> None:
    """Raise `LabError` if one of the faces was deleted."""
    of_faces = faces.c.face_id == func.any(list(labelled.faces))
    present = connection.scalar(select(func.count()).select_from(faces).where(of_faces)) or 0
    if present < len(labelled.faces):
        gone = len(labelled.faces) - present
        raise LabError(f"{gone} of the labelled faces were deleted during the training; train again")


def check_head(published: PublishedHead) -> list[CheckResult]:
    """Check that the new matching head was good enough to be served."""
    promotion = published.release.info["promotion"]
    return [CheckResult("not_worse", bool(promotion["promote"]), str(promotion["reason"]), advisory=True)]
