"""Join predictions with the experiments that tested their candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from thumblab_core.errors import LabError
from thumblab_core.experiments.records import WINNER, Experiment, StoredExperiment
from thumblab_core.image_store import ImageStore
from thumblab_core.images import ImageError, decode
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_core.predictions import KeptPrediction
from thumblab_pipelines.predictions.matching import ShownPicture, matching_candidate

WON, LOST = "won", "lost"
"""The possible results of a variant in an experiment with a winner. Without a winner, the result of each variant is the
outcome of the experiment."""

_DAY_IS_OVER = timedelta(hours=36)
"""Time from the start of a day in UTC until the day has ended everywhere on Earth (UTC-12)."""


@dataclass(frozen=True)
class VariantOutcome:
    """The result of a candidate in an experiment. `variant`: position of the variant that shows the candidate."""

    prediction_id: UUID
    position: int
    experiment_id: int
    variant: int
    result: str


class VariantPictures:
    """The pictures of variants with their perceptual hashes. Each picture is read and hashed at most once.

    If a picture cannot be read, its hash is None.
    """

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._known: dict[str, ShownPicture] = {}

    def of(self, sha256: str) -> ShownPicture:
        if sha256 not in self._known:
            self._known[sha256] = ShownPicture(sha256, self._hash(sha256))
        return self._known[sha256]

    def _hash(self, sha256: str) -> int | None:
        try:
            return perceptual_hash(decode(self._images.get(sha256)).pixels)
        except (ImageError, LabError, OSError):
            return None


def experiment_outcomes(
    predictions: Mapping[str, Sequence[KeptPrediction]], stored: Sequence[StoredExperiment], pictures: VariantPictures
) -> list[VariantOutcome]:
    """Return the results of candidates that were tested in an experiment of their channel.

    `predictions`: the predictions by channel. A prediction and an experiment are joined if these rules hold:

    - The prediction was made before the end of the first day of the test. Later, the outcome could already be known.
    - The variants differ only in their pictures, because the candidates of a prediction share one title.
    - At least two variants each show a candidate, and no two variants show the same candidate.
    """
    outcomes = []
    for one in stored:
        experiment = one.experiment
        if experiment.tested != "pictures" or any(variant.sha256 is None for variant in experiment.variants):
            continue
        begins = datetime.combine(experiment.started_on, time(), UTC)
        for prediction in predictions.get(experiment.channel_id, ()):
            if prediction.scored_at >= begins + _DAY_IS_OVER:
                continue
            positions = _matched(prediction, experiment, pictures)
            if len(positions) < 2 or len(set(positions.values())) < len(positions):
                continue
            outcomes += [
                VariantOutcome(
                    prediction.prediction_id, position, one.experiment_id, variant, _result(experiment, variant)
                )
                for variant, position in positions.items()
            ]
    return outcomes


def _matched(prediction: KeptPrediction, experiment: Experiment, pictures: VariantPictures) -> dict[int, int]:
    """Return, by the position of each variant, the position of the candidate that the variant shows.

    A variant that shows no candidate is left out.
    """
    matched = {}
    for at, variant in enumerate(experiment.variants, 1):
        sha256 = variant.sha256
        assert sha256 is not None
        is_sent = any(candidate.sha256 == sha256 for candidate in prediction.candidates)
        # If a candidate has the same file as the variant, no hash is needed to find the candidate.
        picture = ShownPicture(sha256, None) if is_sent else pictures.of(sha256)
        candidate = matching_candidate(prediction.candidates, picture)
        if candidate is not None:
            matched[at] = candidate.position
    return matched


def _result(experiment: Experiment, variant: int) -> str:
    if experiment.outcome != WINNER:
        return experiment.outcome
    return WON if experiment.winner == variant else LOST
