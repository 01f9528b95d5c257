"""Define the record of a prediction: what the scoring service answered to a request.

The service writes predictions to the database (`thumblab_core.database.predictions`), and the pipelines read them.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class KeptCandidate:
    """A candidate of a prediction, with a picture that the service could read. `position` is the place of the candidate
    in the request, from 1.

    `phash` is the perceptual hash. `score`, `win_probability` and `rank` are None if the answer has no such value.
    """

    position: int
    sha256: str
    phash: int
    score: float | None
    win_probability: float | None
    rank: int | None


@dataclass(frozen=True)
class KeptPrediction:
    """A request that the scoring service answered, with its answer.

    `ordered_by` says whether the ranks were made by the `model` or by the `evidence`. `ordered_by` is None if no
    candidate has a rank.

    `knowledge` says which adapter of the channel the model used. Its value is one of the splits on which a model is
    evaluated (`thumblab_core.ranking.skill`):

    - `new_channels`: the model ranked the candidates like those of an unseen channel.
    - `future`: the model used its own adapter of the channel, from its training.
    - `adapted`: the model used an adapter that was added after its training.
    """

    prediction_id: UUID
    scored_at: datetime
    model_release: str
    channel_id: str | None
    niche: str
    title: str
    verdict: str | None
    confidence: float | None
    ordered_by: str | None
    knowledge: str
    candidates: tuple[KeptCandidate, ...] = ()
