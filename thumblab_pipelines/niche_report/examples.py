"""Choose examples of a finding: pairs of a winner and another video of the same channel.

The pairs are chosen because they show the difference. So the examples illustrate a finding, but do not prove it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.niche_report.niche_figures import Example, Finding
from thumblab_pipelines.niche_report.compared import Compared, winners_of

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
"""Number of examples of a finding."""


def with_examples(findings: list[Finding], videos: pd.DataFrame, values: pd.DataFrame) -> list[Finding]:
    """Return the findings with up to three examples each. The examples of a finding are from different channels.

    `videos` and `values`: see `find`. An example is a pair from one stratum (see `compared`). If winners have more of
    the feature, the pair is the winner with the highest value and the other video with the lowest value. If winners
    have less of the feature, the pair is the winner with the lowest value and the other video with the highest value.
    The channels with the largest differences are chosen. A pair whose two videos have the same picture file is not
    used.
    """
    if not findings:
        return []
    everything = Compared.of(videos, winners_of(videos))
    return [
        finding.model_copy(update={"examples": _examples(finding, everything, videos, values)}) for finding in findings
    ]


def _examples(
    finding: Finding, everything: Compared, videos: pd.DataFrame, values: pd.DataFrame
) -> tuple[Example, ...]:
    column = values[finding.feature].to_numpy(float)
    compared = everything.informative(np.isfinite(column[everything.rows]))
    sign = 1.0 if finding.share.value > 0.5 else -1.0
    ids, pictures = videos.video_id.to_numpy(object), videos.sha256.to_numpy(object)
    best: dict[int, tuple[float, int, int]] = {}
    order = np.argsort(compared.stratum, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(compared.stratum[order])) + 1):
        rows, won = compared.rows[members], compared.winner[members]
        directed = sign * column[rows]
        top = int(rows[won][np.argmax(directed[won])])
        low = int(rows[~won][np.argmin(directed[~won])])
        gap = float(sign * (column[top] - column[low]))
        channel = int(compared.channel[members[0]])
        if gap > 0 and pictures[top] != pictures[low] and gap > best.get(channel, (0.0, 0, 0))[0]:
            best[channel] = gap, top, low
    chosen = sorted(best.values(), key=lambda one: (-one[0], one[1]))[:EXAMPLES]
    return tuple(Example(winner=str(ids[top]), other=str(ids[low])) for _, top, low in chosen)
