"""The requests that start runs of Dagster (refresh, rebuild, full embedding, change of items), and their answers."""

import re
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from thumblab_core.errors import LabError
from thumblab_core.index.factories import FACTORY_PATTERN, check_factory
from thumblab_core.niches import LARGEST_NICHES
from thumblab_serving.schemas.alternatives import exactly_one
from thumblab_serving.schemas.niche import Niche
from thumblab_serving.schemas.people.people_figures import PeopleRunOut
from thumblab_serving.schemas.strict import AS_WHOLE, StrictModel

MOST_ITEMS = 1_000
"""Maximum number of videos in one request."""

MOST_SECONDS = 3_600.0
"""The longest time in seconds that a request may wait for its runs."""

Status = Literal["ok", "partial", "failed", "started", "running"]
_STATUS = (
    "`ok`: every run succeeded. `partial`: some runs failed. `failed`: every run failed. `started`: the runs were "
    "started, and the request did not wait. `running`: `timeout_s` is over, and some runs have not ended."
)


def _as_text(value: object) -> object:
    """Return the text of a number, because some clients send ids as numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_VIDEO_ID = r"^[^\x00-\x1f\x7f]{1,200}$"
"""Regular expression of a video id. An imported catalogue may have ids of any visible characters."""


def _video_id(text: str) -> str:
    if re.fullmatch(_VIDEO_ID, text) is None:
        raise ValueError("the id of a video has 1 to 200 characters, without control characters")
    return text


VideoId = Annotated[
    str,
    BeforeValidator(_as_text),
    AfterValidator(_video_id),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _VIDEO_ID}, {"type": "integer"}]}),
]


class WaitQuery(StrictModel):
    """The query of a request that starts runs."""

    wait: bool = Field(default=False, description="Whether to answer only when the runs have ended.")
    timeout_s: float = Field(
        default=600.0, gt=0, le=MOST_SECONDS, description="With `wait=true`: the maximum number of seconds to wait."
    )


class ItemsQuery(WaitQuery):
    """The query of a request that adds videos to an index or removes them. By default, the request waits for the change,
    which takes seconds.
    """

    wait: bool = Field(default=True, description="Whether to answer only when the run has ended.")
    timeout_s: float = Field(
        default=120.0, gt=0, le=MOST_SECONDS, description="With `wait=true`: the maximum number of seconds to wait."
    )


class NichesRequest(StrictModel):
    """The niches of a request. The body may be left out."""

    niches: list[Niche] = Field(
        default_factory=list,
        min_length=1,
        max_length=LARGEST_NICHES,
        description="The niches. Default: every niche.",
        json_schema_extra={"uniqueItems": True},
    )

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        if len(set(self.niches)) != len(self.niches):
            raise ValueError("niches: a niche is named twice")
        return self


def _factory(text: str) -> str:
    try:
        check_factory(text)
    except LabError as error:
        raise ValueError(str(error)) from None
    return text


class RebuildRequest(NichesRequest):
    """The indices to rebuild. The body may be left out."""

    factory: (
        Annotated[str, AfterValidator(_factory), WithJsonSchema({"type": "string", "pattern": FACTORY_PATTERN})] | None
    ) = Field(
        default=None,
        description=(
            "A FAISS factory string for this build only. Its numbers have limits, such as IVF65536 and HNSW256. "
            "Default: the setting THUMBLAB_INDEX_FACTORY. The next build "
            "uses the setting again."
        ),
        examples=["IDMap,IVF100,Flat"],
    )
    dim: Annotated[int, Strict(), Field(ge=1, le=65_536), AS_WHOLE] | None = Field(
        default=None,
        description="This field has no effect, because the encoder decides the dimension of the vectors. `notes` says so.",
        examples=[768],
    )


class ItemsRequest(StrictModel):
    """The videos to put into the served index, or to take out of it. Give either `id` or `ids`."""

    model_config = ConfigDict(
        json_schema_extra=exactly_one("id", "ids", first_is=["string", "integer"], second_is="array")
    )

    id: VideoId | None = Field(default=None, description="The id of one video.", examples=["dQw4w9WgXcQ"])
    ids: list[VideoId] | None = Field(default=None, min_length=1, max_length=MOST_ITEMS, description="Ids of videos.")
    niche: Niche | None = Field(
        default=None, description="The niche of the videos. Default: the niche of the first video that the lab knows."
    )
    media_type: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        default=None, description="This field has no effect, because the lab holds only videos. `notes` says so."
    )

    @model_validator(mode="after")
    def _has_ids(self) -> Self:
        if (self.id is None) == (self.ids is None):
            raise ValueError("give either id or ids")
        return self

    @property
    def video_ids(self) -> list[str]:
        """The ids without repetitions."""
        return list(dict.fromkeys(self.ids if self.ids is not None else [str(self.id)]))


class RunOut(StrictModel):
    """A run of Dagster."""

    niche: Niche | None
    run_id: str | None = Field(description="The id of the run. Null if Dagster did not start the run.")
    state: Literal["queued", "running", "success", "failure", "canceled", "not_started"]
    reused: bool = Field(
        default=False,
        description="Whether this run already waited when the request arrived, so that no new run was started.",
    )
    url: str | None = Field(default=None, description="The run's page in Dagster.")
    reason: str | None = Field(default=None, description="Why the run failed or was not started.")


class NicheStats(StrictModel):
    """The result of a refresh for one niche. A field is null if the run ended before this field had a value."""

    videos_seen: int | None
    new_videos: int | None
    new_observations: int | None
    images_encoded: int | None
    titles_encoded: int | None
    num_vectors: int | None = Field(description="How many vectors of pictures the served index has.")
    release: str | None = Field(description="The served release of the index.")


class RunsOut(StrictModel):
    """The fields that all answers to requests for runs have in common."""

    status: Status = Field(description=_STATUS)
    message: str
    runs: list[RunOut]
    notes: list[str] = Field(default_factory=list, description="Which parts of the request had no effect.")
    timestamp: datetime


class ChangedItemsOut(StrictModel):
    """The result of a run of the job `change_index`. `skipped` maps the id of a skipped video to the reason."""

    niche: Niche | None
    put_in: list[str] = Field(default_factory=list)
    taken_out: list[str] = Field(default_factory=list)
    skipped: dict[str, str] = Field(default_factory=dict, description="Why a video was skipped, by its id.")
    rebuild_required: str | None = Field(default=None, description="Why a rebuild is needed, and when it starts.")
    release: str | None = Field(default=None, description="The release that the niche serves after the change.")


class RunProgressOut(StrictModel):
    """How much a run has done of its present work."""

    what: str = Field(description="The present work.", examples=["comparing faces"])
    done: int
    total: int


class RunStateOut(RunOut):
    """The state and the report of a run. The last four fields are null for jobs that do not report them."""

    job: str
    library_stats: NicheStats | None = Field(description="The report of a refresh, a rebuild or an embedding.")
    changed_items: ChangedItemsOut | None = Field(
        description="The report of a run that added videos to an index or removed them."
    )
    people: PeopleRunOut | None = Field(description="The report of a run about people, such as a search for faces.")
    progress: RunProgressOut | None = Field(
        description=(
            "The progress of a search for faces, a grouping or a training that is running. A run reports its "
            "progress every five "
            "seconds."
        )
    )


class RefreshOut(RunsOut):
    """The answer to a request that refreshes the library."""

    index_results: dict[str, bool | None] = Field(
        description="Whether the refresh of each niche succeeded; null while the refresh has not ended."
    )
    library_stats: dict[str, NicheStats | None] = Field(
        description="What the run of each niche did to its library. Null while the run has not ended."
    )


class RebuildOut(RunsOut):
    """The answer to a request for a rebuild, or for a full embedding with a rebuild."""

    results: dict[str, bool | None] = Field(
        description="Whether the rebuild of each niche succeeded; null while the rebuild has not ended."
    )


class ItemsOut(ChangedItemsOut, RunsOut):
    """The answer to a request that adds videos to an index or removes them. The lists are empty until the run ends."""

    outcome: Literal["changed", "unchanged", "rebuild_required", "failed", "pending"] = Field(
        description=(
            "`changed`: from now on, answers use the changed index. `unchanged`: every video was skipped. "
            "`rebuild_required`: the served index could not be changed, so a rebuild was requested. `failed`: nothing "
            "was changed. `pending`: the run has not ended."
        )
    )
