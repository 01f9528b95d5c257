"""The answer of `GET /v1/lab`: what the lab has, and how old its releases are."""

from datetime import date, datetime

from pydantic import Field

from thumblab_serving.schemas.strict import StrictModel
from thumblab_serving.schemas.verdict import SkillOut


class LibraryStateOut(StrictModel):
    """The library of a niche. If no library is served, all fields except `reason` are null."""

    release: str | None
    made_at: datetime | None = Field(description="When the served release was made.")
    videos: int | None
    winners: int | None = Field(description="How many videos are winners. Null until this process has the library.")
    newest_video: date | None = Field(
        description="When the newest video was published. Null if `winners` is null, and in old releases."
    )
    changed: int | None = Field(description="How many videos were put in or taken out since the library was built.")
    encoder: str | None = Field(description="The image encoder of the vectors, by its name in the settings.")
    held: str | None = Field(description="Why a person holds the release, so that no newer release replaces it.")
    reason: str | None = Field(description="Why no library is served, or why the promoted release was refused.")


class ModelStateOut(StrictModel):
    """The ranking model. If no model is served, all fields except `reason` are null."""

    release: str | None
    made_at: datetime | None
    videos: int | None = Field(description="How many videos the model was trained on. Null in old releases.")
    channels_adapted: int | None = Field(description="For how many channels the model has its own adapter.")
    skills: list[SkillOut] = Field(
        description="The model's accuracy by question and by kind of channel. Above chance if `low` is above 0.5."
    )
    reason: str | None = Field(description="Why no model is served, or why the promoted release was refused.")


class LinksOut(StrictModel):
    """The addresses of the lab's other servers, without user names and passwords.

    An address is null if the lab's `thumblab up` does not run and the settings have no address. All addresses are null
    if the key lacks the scope `admin`.
    """

    dagster: str | None
    mlflow: str | None


class LabOut(StrictModel):
    """The answer of `GET /v1/lab`."""

    model: ModelStateOut
    libraries: dict[str, LibraryStateOut]
    links: LinksOut
    library_note: str | None = Field(description="What the library is made of, if it does not come from YouTube.")
