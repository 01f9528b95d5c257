"""Count the false findings on shuffled views. Measure how often the intervals of a niche report cover the true share.

The share of a feature is defined in `thumblab_pipelines.niche_report.compared`.
"""

import numpy as np

from benchmarks.niche_reports.planted_niche import PLANTED, PlantedNiche, plant, shuffled
from thumblab_pipelines.niche_report.compared import Compared, difference, winners_of
from thumblab_pipelines.niche_report.features import BY_NAME
from thumblab_pipelines.niche_report.findings import find


def false_findings(shuffles: int, channels: int = 15, videos: int = 100) -> int:
    """Return how many of `shuffles` niches with shuffled views have at least one finding.

    With shuffled views, no feature has an effect, so each finding is false.
    """
    wrong = 0
    for seed in range(shuffles):
        niche = shuffled(plant(channels, videos, seed), seed)
        wrong += bool(find(niche.videos, niche.values)[0])
    return wrong


def true_shares(effects: dict[str, float] = PLANTED) -> dict[str, float]:
    """Return the true share of each planted feature, measured in a niche of 300 channels with 400 videos each."""
    niche = plant(300, 400, 12_345, effects)
    return {name: share_of(niche, name)[0] for name in effects}


def share_of(niche: PlantedNiche, name: str) -> tuple[float, float, float]:
    """Return the share of comparisons in which the winner has more of the feature `name`, and the lower and upper end
    of its interval.
    """
    column = niche.values[name].to_numpy()
    everything = Compared.of(niche.videos, winners_of(niche.videos))
    compared = everything.informative(np.isfinite(column[everything.rows]))
    share = difference(compared, column[compared.rows], BY_NAME[name].flag, BY_NAME[name].logarithmic, 0, draws=1).share
    return share.value, share.low, share.high


def coverage(niches: int, channels: int, videos: int) -> dict[str, float]:
    """Return, for each planted feature, how often (0 to 1) its 95 % interval contains the true value."""
    truth = true_shares()
    covered = dict.fromkeys(PLANTED, 0)
    for seed in range(niches):
        niche = plant(channels, videos, 1_000 + seed)
        for name, share in truth.items():
            _, low, high = share_of(niche, name)
            covered[name] += low <= share <= high
    return {name: count / niches for name, count in covered.items()}
