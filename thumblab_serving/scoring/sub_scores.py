"""What a measurement says in an answer: each sub-score in its niche, and the evidence."""

from thumblab_core.sub_scores import Evidence, Measurement, SubScore
from thumblab_core.sub_scores.distribution import WEAK_BELOW, ScoreDistribution
from thumblab_core.sub_scores.explanations import WEAK, explained
from thumblab_core.sub_scores.layout import BADGE
from thumblab_serving.schemas import EvidenceOut, SubScoreOut


def judged(measurement: Measurement, library: ScoreDistribution | None) -> dict[str, SubScoreOut]:
    """The sub-scores by name, each judged by the niche's library, or by the lab's own thresholds where there is none."""
    return {name: _judged(score, measurement.evidence, library) for name, score in measurement.scores.items()}


def shown(evidence: Evidence, width: int, height: int) -> EvidenceOut:
    """The evidence of a picture of that many pixels, with the corner that YouTube covers."""
    whole = {"width": width, "height": height, "badge": BADGE.as_json()}
    return EvidenceOut.model_validate(evidence.as_json() | whole)


def _judged(score: SubScore, evidence: Evidence, library: ScoreDistribution | None) -> SubScoreOut:
    if score.value is None:
        return SubScoreOut(value=None, niche_percentile=None, weak=False, reason=score.reason, fix=None)
    place = None if library is None else library.percentile(score.name, score.value)
    weak = score.value < WEAK[score.name] if place is None else place < WEAK_BELOW
    said = explained(score.name, score.value, evidence, weak)
    return SubScoreOut(value=score.value, niche_percentile=place, weak=weak, reason=said.reason, fix=said.fix)
