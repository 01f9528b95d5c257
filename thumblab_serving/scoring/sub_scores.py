"""Present the sub-scores and the evidence of a picture in an answer."""

from thumblab_core.sub_scores import Evidence, Measurement, SubScore
from thumblab_core.sub_scores.distribution import WEAK_BELOW, ScoreDistribution
from thumblab_core.sub_scores.explanations import WEAK, explain
from thumblab_core.sub_scores.layout import BADGE
from thumblab_serving.schemas.evidence import EvidenceOut, SubScoreOut

CACHED_EVIDENCE = 512, 16 * 2**20
"""Maximum number of pictures whose evidence is cached as an answer shows it, and maximum bytes of the evidence."""


def present_sub_scores(measurement: Measurement, library: ScoreDistribution | None) -> dict[str, SubScoreOut]:
    """Return the sub-scores by name.

    The sub-scores are compared with `library`, the distribution of the sub-scores in the library of a niche. If
    `library` is None, the sub-scores are compared with the fixed thresholds `WEAK`.
    """
    return {name: _present(score, measurement.evidence, library) for name, score in measurement.scores.items()}


def present_evidence(evidence: Evidence, width: int, height: int) -> EvidenceOut:
    """Return the evidence of a picture of `width` by `height` pixels.

    The evidence includes the corner of the picture that YouTube covers with the length of the video.
    """
    picture = {"width": width, "height": height, "badge": BADGE.as_json()}
    return EvidenceOut.model_validate(evidence.as_json() | picture)


def _present(score: SubScore, evidence: Evidence, library: ScoreDistribution | None) -> SubScoreOut:
    if score.value is None:
        return SubScoreOut(value=None, niche_percentile=None, weak=False, reason=score.reason, fix=None)
    percentile = None if library is None else library.percentile(score.name, score.value)
    weak = score.value < WEAK[score.name] if percentile is None else percentile < WEAK_BELOW
    explanation = explain(score.name, score.value, evidence, weak)
    return SubScoreOut(
        value=score.value, niche_percentile=percentile, weak=weak, reason=explanation.reason, fix=explanation.fix
    )
