"""The answers about clusters of faces, about faces, and about changes and deletions."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from thumblab_serving.schemas.people.face_values import FaceBox, FaceConfidence, FaceQuality
from thumblab_serving.schemas.strict import StrictModel


class FaceClusterOut(StrictModel):
    """A cluster of faces. A cluster that was given a name is a person."""

    cluster_id: str = Field(
        description=(
            "`person_` or `unknown_cluster_`, followed by a key of 12 hexadecimal digits. In a request, the key may "
            "also stand alone or follow `clu_`. A request may also use an id that the cluster had before it was named "
            "or merged."
        )
    )
    person_id: str | None = Field(description="The same as `cluster_id` if the cluster has a name, otherwise null.")
    kind: Literal["person", "unknown"]
    name: str | None = Field(description="The name that a person gave. The lab never guesses a name.")
    is_owner: bool = Field(description="Whether a user marked this person as the owner of a channel.")
    faces: int
    pictures: int
    channels: int = Field(description="How many channels show or showed the pictures of this cluster.")
    pinned: int = Field(
        description="How many faces a person put into the cluster. The lab never moves these faces by itself."
    )
    samples: list[str] = Field(description="The ids of the faces of best quality, at most 6.")
    created_at: datetime


class LabelledClusterOut(FaceClusterOut):
    """The answer to a request that gives a name to a cluster: the cluster that has this name now."""

    merged: bool = Field(
        description=(
            "Whether another cluster had this name already. If so, the cluster of the request was merged into the "
            "other cluster, and the answer describes the other cluster."
        )
    )
    merge_id: int | None = Field(
        description="The number with which the merge can be undone. Null if nothing was merged."
    )


class FaceClustersOut(StrictModel):
    """A part of the list of clusters. The largest cluster comes first."""

    total: int = Field(description="How many clusters the whole list has.")
    clusters: list[FaceClusterOut]


class FaceCropOut(StrictModel):
    """The crop of a face."""

    face_id: str
    image_base64: str = Field(description="A JPEG of 112x112 pixels in base64.")


class FaceCropsOut(StrictModel):
    """The crops of several faces."""

    crops: list[FaceCropOut]
    missing: list[str] = Field(
        description=(
            "The faces that the lab does not have, and the faces whose picture cannot be read. `GET {face_id}/crop` "
            "says why."
        )
    )


class StoredFaceOut(StrictModel):
    """A face in a stored picture."""

    face_id: str
    sha256: str = Field(description="The SHA-256 of the picture's file.")
    box: FaceBox
    confidence: FaceConfidence
    quality: FaceQuality
    cluster_id: str | None = Field(description="The cluster of the face. Null if the face is in no cluster.")
    name: str | None = Field(description="The name of the face's cluster, if the cluster has a name.")
    pinned: bool = Field(description="Whether a person put the face into its cluster.")
    similarity: float | None = Field(
        description="The cosine similarity of the face to its cluster. Null if a person put the face into the cluster."
    )
    detected_at: datetime


class FaceClusterFacesOut(FaceClusterOut):
    """A cluster with a part of its faces. The best faces come first. `faces` counts all faces of the cluster."""

    members: list[StoredFaceOut]


class NearFaceOut(StoredFaceOut):
    """A face that looks like the face of the request."""

    cosine: float = Field(
        description="The cosine of the vectors of the two faces. The meaning of the cosine depends on the network."
    )


class NearFacesOut(StrictModel):
    """The faces that look most like a given face. The most similar face comes first."""

    faces: list[NearFaceOut]


class UnassignedFacesOut(StrictModel):
    """A part of the faces that are in no cluster. Faces of the best quality come first."""

    faces: list[StoredFaceOut]


class ShownPictureOut(StrictModel):
    """A place where a picture is shown: a video that shows or showed the picture, or a file that a person added."""

    video_id: str | None = Field(
        description="The video that shows or showed the picture. Null if a person added the picture."
    )
    title: str | None
    channel_id: str | None
    channel: str | None = Field(description="The title of the channel.")
    current: bool = Field(description="Whether the video shows this picture now.")
    file_name: str | None = Field(description="The file name, if a person added the picture. Null for a thumbnail.")


class PictureFacesOut(StrictModel):
    """The faces of a picture, from left to right."""

    sha256: str
    video_id: str | None = Field(description="The video in the request, if the request was for a video.")
    faces: list[StoredFaceOut]
    shown_in: list[ShownPictureOut] = Field(
        description="The videos that show or showed the picture, the newest first, at most 100."
    )


class FaceChangeOut(StrictModel):
    """A change that a person made. The kind `ban`: the person said that a face does not belong to the cluster."""

    change_id: int
    kind: Literal["label", "unlabel", "owner", "merge", "unmerge", "move", "ban"]
    cluster_id: str | None = Field(description="The id of the changed cluster.")
    other_id: str | None = Field(
        description="The cluster that was merged into the changed cluster, or split off from it."
    )
    name: str | None = Field(description="The name that the changed cluster has now.")
    name_before: str | None = Field(
        description=(
            "The name before the change. For a merge, this is the name of the cluster that was merged into the changed "
            "cluster. For any other change, this is the name of the changed cluster."
        )
    )
    faces: int = Field(description="How many faces the change concerned.")
    reverted: bool = Field(description="Whether the change was a merge and has been undone.")
    changed_at: datetime


class FaceChangesOut(StrictModel):
    """The latest changes. The newest change comes first. Changes that were undone are left out."""

    changes: list[FaceChangeOut]


class ForgottenOut(StrictModel):
    """The faces, pictures and heads that were deleted permanently."""

    faces: int = Field(
        description="How many faces were deleted, with their vectors and the changes that people made to them."
    )
    pictures: int = Field(
        description="The number of deleted pictures that a person had added. The thumbnails of videos stay."
    )
    heads: list[str] = Field(description="The deleted releases of trained heads that had learnt from these faces.")
