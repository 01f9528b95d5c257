"""Make one-video pairs of experiments. In YouTube's Test & Compare, each variant gets a share of the watch time.

The variants of an experiment are shown about equally often. So the ratio of two shares is the ratio of the watch time
per impression. `gap` of a pair is the logarithm of this ratio.

Each pair consists of the winner and one of the other variants. So an experiment with three variants gives two pairs. If
the experiment has no winner, its first variant takes the place of the winner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from thumblab_core.experiments.planning import ASSUMED_CTR
from thumblab_core.experiments.records import INCONCLUSIVE, PERFORMED_THE_SAME, WINNER, known_shares
from thumblab_core.ranking.skill import EXPERIMENT
from thumblab_pipelines.features.compared import variants_query
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN_WIN, UNKNOWN_WIN_VARIANCE = 0.25, 0.15**2
"""The assumed gap between a winner and another variant if the shares are not known, and the variance of this gap.

Assume 20,000 impressions for each variant and a click-through rate of `ASSUMED_CTR`. An experiment then finds a winner
if the gap is above about 0.13. The true gap of a known winner is probably larger, so about twice this value is assumed.
"""

SAME_VARIANCE = 0.05**2
"""The gap between two variants that performed the same is assumed to be 0, with this variance."""

ASSUMED_CLICKS = 500
"""The assumed number of clicks for each variant if its impressions are not known."""

WATCH_TIME_SPREAD = 2.0
"""The variance of a share of watch time, divided by the variance of a share of clicks.

Let r be the standard deviation of the watch time of a click, divided by the mean watch time of a click. The value of
the constant is 1 + r^2. The value is 2 if watch times have an exponential distribution.
"""

LEAST_SHARE = 0.005
"""The share of watch time that replaces every smaller share.

YouTube shows shares as whole percentages, so it shows a very small share as 0. The logarithm of 0 is not defined.
"""

ONE_PICTURE = "experiment with one picture"
UNDECIDED = "inconclusive experiment without shares"
CONTRADICTED = "experiment whose shares do not confirm its winner"
UNCOLLECTED = "experiment on a video that the lab does not have"
"""The four texts from `ONE_PICTURE` to `UNCOLLECTED` are reasons for leaving out an experiment or a pair of its
variants."""

_PICTURES = text("SELECT count(DISTINCT experiment_id) FROM experiment_variants WHERE sha256 IS NOT NULL")


def read_experiment_pairs(lab: Lab) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the one-video pairs of all experiments, and how many experiments or pairs were left out for each reason.

    The pairs still lack the columns `words_a`, `words_b`, `part` and `fold`.
    """
    import pandas as pd

    statement = text(f"{variants_query()} ORDER BY e.experiment_id, x.position")
    with lab.engine.connect() as connection:
        variants = connection.execute(statement).all()
        tested = int(connection.scalar(_PICTURES) or 0)
    by_experiment = [list(group) for _, group in groupby(variants, key=lambda row: row.experiment_id)]
    left_out = dict.fromkeys((ONE_PICTURE, UNDECIDED, CONTRADICTED), 0)
    left_out[UNCOLLECTED] = tested - len(by_experiment)
    pairs: list[dict[str, Any]] = []
    for rows in by_experiment:
        for first, second in _pairs_of(rows):
            result = _gap(rows, first, second)
            if first.sha256 == second.sha256:
                left_out[ONE_PICTURE] += 1
            elif isinstance(result, str):
                left_out[result] += 1
            else:
                pairs.append(_row(first, second, *result))
    return pd.DataFrame(pairs), {reason: count for reason, count in left_out.items() if count}


def _pairs_of(rows: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Pair the winner of an experiment with each other variant. Without a winner, pair the first variant with each
    later variant.

    In each pair, the variant with the lower position comes first.
    """
    one = next((row for row in rows if row.position == row.winner), rows[0])
    return [(one, row) if one.position < row.position else (row, one) for row in rows if row is not one]


def _gap(rows: Sequence[Any], first: Any, second: Any) -> tuple[float, float] | str:
    """Return the gap of two variants and its variance. If the pair is left out, return the reason.

    `first` and `second` are the two variants. `rows` are all variants of the experiment.
    """
    if first.outcome == PERFORMED_THE_SAME:
        return 0.0, SAME_VARIANCE
    shares = known_shares([row.watch_time_share for row in rows])
    if shares is None:
        if first.outcome == INCONCLUSIVE:
            return UNDECIDED
        return (UNKNOWN_WIN if first.position == first.winner else -UNKNOWN_WIN), UNKNOWN_WIN_VARIANCE
    known = [row.impressions for row in rows if row.impressions is not None]
    clicks = ASSUMED_CTR * sum(known) if len(known) == len(rows) and sum(known) else ASSUMED_CLICKS * len(rows)
    share, other_share = max(first.watch_time_share, LEAST_SHARE), max(second.watch_time_share, LEAST_SHARE)
    gap = math.log(share / other_share)
    if first.outcome == WINNER and (gap if first.position == first.winner else -gap) <= 0:
        return CONTRADICTED
    return gap, WATCH_TIME_SPREAD * (1 / share + 1 / other_share) / clicks


def _row(first: Any, second: Any, gap: float, variance: float) -> dict[str, Any]:
    return {
        "pair_id": f"experiment {first.experiment_id}: {first.position}-{second.position}",
        "channel_id": first.channel_id,
        "video_id": first.video_id,
        "source": EXPERIMENT,
        "happened_on": first.started_on,
        "title_a": first.title,
        "title_b": second.title,
        "gap": gap,
        "variance": variance,
        "decided": first.outcome == WINNER,
        "sha256_a": first.sha256,
        "sha256_b": second.sha256,
    }
