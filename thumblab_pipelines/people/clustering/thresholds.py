"""Compute the minimum cosines at which a face joins a cluster, and at which two clusters are merged."""

from __future__ import annotations

from dataclasses import dataclass

from thumblab_core.recognition.match_scores import Calibration, join_rate
from thumblab_pipelines.people.clustering.faces import ClusterSettings

_STRICTER = 0.1
"""The false accept rate for merging two clusters, divided by the false accept rate for joining a cluster.

Merging is stricter than joining, because a wrong merge is harder to see than a missing merge.
"""


@dataclass(frozen=True)
class Thresholds:
    """The minimum cosines at which a face joins a cluster (`join`), and at which two clusters are merged (`merge`)."""

    join: float
    merge: float

    @classmethod
    def of(cls, calibration: Calibration, settings: ClusterSettings, clusters: int) -> Thresholds:
        """Compute the thresholds that apply when there are this many `clusters`."""
        rate = join_rate(settings.person_match_threshold, clusters)
        return cls(calibration.cosine_at_rate(rate), calibration.cosine_at_rate(rate * _STRICTER))
