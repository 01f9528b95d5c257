"""Define the settings of the search for people in thumbnails.

The last five settings of the class are also read from variables without the prefix `THUMBLAB_`.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from thumblab_core.setting_groups import setting


def _also_bare(name: str, default: Any, description: str, unit: str | None = None, **constraints: Any) -> Any:
    """Return a setting that is read from `THUMBLAB_name`, or else from `name`."""
    choices = AliasChoices(f"THUMBLAB_{name}", name)
    return setting(default, f"{description} `{name}` is read too.", unit, validation_alias=choices, **constraints)


class PeopleSettings(BaseSettings):
    """People in thumbnails."""

    people: Literal["off", "own", "all"] = setting(
        "off",
        "On whose thumbnails the lab looks for people: `off` (no face embedding is ever computed), `own` (those of "
        "your own channel) or `all`. YouTube's policy requires the consent of the person for facial-recognition data.",
    )
    face_embedder: Path | None = setting(
        None,
        "The ONNX file of the face embedder. Unset: the file that `thumblab models pull sface` put into the data folder, "
        "if there is one.",
    )
    score_people: bool = setting(
        False,
        "Whether `POST /v1/score` says which named people are on the pictures of a request. The request must name one "
        "of your own channels, and its key must have the scope `admin`. `THUMBLAB_PEOPLE` must be `own` or `all`. "
        "Nothing about the faces is stored. See [People](people.md#who-is-seen-in-a-scored-picture).",
    )
    face_person_match_threshold: float = _also_bare(
        "FACE_PERSON_MATCH_THRESHOLD",
        0.7,
        "A face is assigned to a named person only if its match score is at least this value. The match score is not a "
        "cosine, see [People](people.md#what-the-threshold-means).",
        "match score (0 to 1)",
        gt=0.1,
        le=1,
    )
    face_unknown_clustering_method: Literal["hdbscan", "dbscan", "agglomerative"] = _also_bare(
        "FACE_UNKNOWN_CLUSTERING_METHOD",
        "hdbscan",
        "How faces of unknown people are grouped: `hdbscan`, `dbscan` or `agglomerative`.",
    )
    face_unknown_min_cluster_size: int = _also_bare(
        "FACE_UNKNOWN_MIN_CLUSTER_SIZE",
        3,
        "The smallest number of faces in a group of an unknown person.",
        "faces",
        ge=2,
    )
    face_triplet_margin: float = _also_bare(
        "FACE_TRIPLET_MARGIN",
        0.2,
        "The margin of the triplet loss in the training of the matching head on named people.",
        gt=0,
        le=2,
    )
    face_training_epochs: int = _also_bare(
        "FACE_TRAINING_EPOCHS",
        20,
        "The largest number of epochs in the training of the matching head on named people.",
        "epochs",
        ge=1,
        le=1_000,
    )
