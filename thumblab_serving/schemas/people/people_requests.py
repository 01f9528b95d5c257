"""The queries and bodies of the requests below `/api/v1/faces`."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict, WithJsonSchema

from thumblab_core.people.names import LONGEST_NAME
from thumblab_serving.schemas.niche import Niche
from thumblab_serving.schemas.strict import AS_WHOLE, Number, StrictModel

MOST_LISTED = 1_000
"""The largest number of entries of one answer."""

MOST_MOVED = 1_000
"""The largest number of faces that one request moves."""

MOST_CROPS = 24
"""Maximum number of faces in a request for crops."""

_LARGEST_OFFSET = 2**31 - 1
_LARGEST_ID = 2**63 - 1
_FACE_ID = r"^[0-9a-f]{24}$"
_CLUSTER_ID = r"^(person_|unknown_cluster_|clu_)?[0-9a-f]{12}$"


def _face_id(text: str) -> str:
    if re.fullmatch(_FACE_ID, text) is None:
        raise ValueError("the id of a face has 24 hexadecimal digits")
    return text


def _cluster_id(text: str) -> str:
    if re.fullmatch(_CLUSTER_ID, text) is None:
        raise ValueError(
            "the id of a cluster looks like person_0123456789ab or unknown_cluster_0123456789ab; the list of clusters has "
            "the ids"
        )
    return text


FaceId = Annotated[str, AfterValidator(_face_id), WithJsonSchema({"type": "string", "pattern": _FACE_ID})]
ClusterId = Annotated[str, AfterValidator(_cluster_id), WithJsonSchema({"type": "string", "pattern": _CLUSTER_ID})]


class PartQuery(StrictModel):
    """The query of a request for a part of a list."""

    limit: int = Field(default=100, ge=1, le=MOST_LISTED, description="The maximum number of entries in the answer.")
    offset: int = Field(default=0, ge=0, le=_LARGEST_OFFSET, description="How many entries of the list to skip.")


class NearestQuery(StrictModel):
    """The query of a request for the faces that look like a given face."""

    limit: int = Field(default=20, ge=1, le=MOST_LISTED, description="The maximum number of entries in the answer.")


class CropsQuery(StrictModel):
    """The query of a request for the crops of several faces."""

    face_id: list[FaceId] = Field(
        min_length=1, max_length=MOST_CROPS, description="The ids of the faces. An id may be repeated."
    )


class ClustersQuery(PartQuery):
    """The query of a request for the list of clusters."""

    kind: Literal["all", "person", "unknown"] = Field(default="all", description="Which clusters to list.")


class ScoreQuery(StrictModel):
    """The query of `POST /v1/score`."""

    people: Literal["true", "false"] = Field(
        default="true",
        description="If `false`, the pictures are not searched for people, even if the settings allow the search.",
    )


class ChangesQuery(StrictModel):
    """The query of a request for the list of changes."""

    limit: int = Field(default=50, ge=1, le=MOST_LISTED, description="The maximum number of entries in the answer.")
    kind: Literal["all", "label", "unlabel", "owner", "merge", "unmerge", "move", "ban"] = Field(
        default="all", description="Which changes to list."
    )


class _Queued(StrictModel):
    queue: bool = Field(
        default=True,
        strict=True,
        description="True: start the run, and answer at once with its id. False: answer when the run has ended, or when "
        "`timeout_s` is over.",
    )


class ClusterFacesRequest(_Queued):
    """How to group faces. A field that is left out has the value of the lab's settings."""

    person_threshold: Annotated[Number, Field(gt=0.1, le=1)] | None = Field(
        default=None,
        description="The lowest match score with which a face joins a person who has a name.",
        examples=[0.7],
    )
    unknown_method: Literal["hdbscan", "dbscan", "agglomerative"] | None = Field(
        default=None, description="How faces of unknown people are grouped."
    )
    min_cluster_size: Annotated[int, Strict(), Field(ge=2, le=10_000), AS_WHOLE] | None = Field(
        default=None, description="The minimum number of faces in an unknown cluster.", examples=[3]
    )
    max_faces: Annotated[int, Strict(), Field(ge=1, le=2**31 - 1), AS_WHOLE] | None = Field(
        default=None,
        description=(
            "The maximum number of faces without a cluster that are grouped. The faces of best quality are taken."
        ),
        examples=[1_000],
    )


class TrainFacesRequest(_Queued):
    """How to train the matching head. A field that is left out has the value of the lab's settings, or the default."""

    epochs: Annotated[int, Strict(), Field(ge=1, le=1_000), AS_WHOLE] | None = Field(
        default=None, description="The maximum number of epochs of the training.", examples=[20]
    )
    margin: Annotated[Number, Field(gt=0, le=2)] | None = Field(
        default=None, description="The margin of the triplet loss.", examples=[0.2]
    )
    min_faces: Annotated[int, Strict(), Field(ge=3, le=10_000), AS_WHOLE] | None = Field(
        default=None, description="People with fewer labelled faces than this number are left out.", examples=[10]
    )


class DetectFacesRequest(_Queued):
    """A request to look for faces in thumbnails."""

    niche: Niche | None = Field(
        default=None, description="The niche whose thumbnails are searched. Default: every niche."
    )


class LabelRequest(StrictModel):
    """The name of a person."""

    name: str = Field(
        min_length=1,
        max_length=LONGEST_NAME,
        description=(
            "The name of the person. If another cluster has this name and `merge` is true, the cluster of the request "
            "is merged into the other cluster."
        ),
        examples=["Alice"],
    )
    merge: bool = Field(
        default=True,
        strict=True,
        description="Whether the clusters are merged if another cluster has this name. Otherwise, the request is refused.",
    )


class OwnerRequest(StrictModel):
    """A request that says whether a person is the owner of a channel. The body may be left out."""

    is_owner: bool = Field(default=True, strict=True, description="Whether the person is the owner.")


class MergeRequest(StrictModel):
    """A request to merge the cluster in the path into another cluster, `into`."""

    into: ClusterId = Field(description="The cluster that gets the faces of both clusters.")


class MoveFaceRequest(StrictModel):
    """A request to move a face to another cluster. The body may be left out."""

    to: ClusterId | None = Field(
        default=None, description="The cluster to which faces are moved. Null stands for a new cluster."
    )


class MoveFacesRequest(MoveFaceRequest):
    """A request to move faces to another cluster."""

    faces: list[FaceId] = Field(min_length=1, max_length=MOST_MOVED, description="The ids of the faces.")


class NotThisPersonRequest(StrictModel):
    """A statement that a face does not belong to a cluster. The body may be left out."""

    cluster_id: ClusterId | None = Field(
        default=None,
        description="The cluster to which the face does not belong. Default: the present cluster of the face.",
    )


class UndoRequest(StrictModel):
    """The change to undo. The body may be left out."""

    change_id: Annotated[int, Strict(), Field(ge=1, le=_LARGEST_ID), AS_WHOLE] | None = Field(
        default=None,
        description=(
            "The number of the change that the caller wants to undo. If there is a later change, nothing is undone. "
            "So a repeated request never undoes two changes."
        ),
        examples=[1],
    )


BODIES: tuple[type[StrictModel], ...] = (
    ClusterFacesRequest,
    TrainFacesRequest,
    DetectFacesRequest,
    LabelRequest,
    OwnerRequest,
    MergeRequest,
    MoveFaceRequest,
    MoveFacesRequest,
    NotThisPersonRequest,
    UndoRequest,
)
"""The bodies of all requests. `app.py` adds them to the OpenAPI document."""
