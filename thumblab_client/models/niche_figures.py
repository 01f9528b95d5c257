"""The data classes of a niche report: how winners of a niche differ from other videos of their channels.

This file is generated: change `thumblab_core/niche_report/niche_figures.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    """Lower end of the 95 % interval."""

    high: float
    """Upper end of the 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Period:
    """The `share` of a `Finding`, computed from the videos of one period of time only."""

    share: Estimate
    winners: int
    videos: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Change:
    """How the `share` of a `Finding` differs between the newest videos and the older videos. A report states a change
    only if the 95 % interval of the difference excludes 0.
    """

    recent: Period
    before: Period
    difference: Estimate
    """The `share` of the newest videos minus the `share` of the older videos."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A winner and another video of its channel. They differ in the feature that the finding is about."""

    winner: str
    """The video id of the winner."""

    other: str
    """The video id of the video that is compared with the winner."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A feature that winners have more often, or less often, than other videos of their channels."""

    feature: str
    """The name of what was measured, such as `text_area`."""

    part: str
    """The part of the package: text, faces, subject, colour, sub-scores, title or video."""

    words: str
    """The difference in words, such as `The text is larger`."""

    kind: Literal["number", "flag"]
    """`number`: a measured size or count. `flag`: something that is there or not."""

    unit: str
    """The unit of `winners_usual` and `others_usual`. Empty for a figure from 0 to 1."""

    share: Estimate
    """How often a winner has more of the feature than another video of its channel, 0 to 1. A tie counts as 0.5, so
    0.5 means no difference.
    """

    standardized: Estimate | None
    """For a number: the difference in standard deviations (Cohen's d). The lab computes it from `share`, as if the
    values were normally distributed.
    """

    odds_ratio: float | None
    """For a flag: the odds ratio of Mantel and Haenszel over the channels."""

    winners_usual: float
    """The mean of the feature over the winners. For a flag: the share of the winners with this feature."""

    others_usual: float
    """As `winners_usual`, but for the compared videos that are not winners."""

    q_value: float
    """The p value, corrected for all compared features (Benjamini and Yekutieli)."""

    winners: int
    videos: int
    channels: int
    channels_agreeing: int
    """The number of channels whose difference has the same sign as the difference in the whole niche."""

    change: Change | None
    """How `share` changed in the last 28 days, compared with the time before. Null if no change was found."""

    examples: list[Example] = field(default_factory=list)
    """Pairs of videos that differ in this feature."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The data from which a report is made, and the data that were left out."""

    videos: int
    """The number of videos whose features were compared."""

    channels: int
    """The number of channels that have at least one winner and one video that is not a winner."""

    winners: int
    least_multiple: float | None
    """A winner has at least this multiple of the views that its channel usually gets."""

    features: int
    """The number of features in which winners were compared with other videos."""

    left_out: dict[str, int]
    """How many videos of the niche were left out, by reason."""


@dataclass(frozen=True, kw_only=True)
class NicheReport:
    """The report on a niche. If the report has no figures, `too_few` says why. Otherwise, `too_few` is null."""

    niche: str
    made_at: datetime
    as_of: datetime | None
    """The moment of the niche's newest observation of views."""

    too_few: str | None
    coverage: Coverage
    findings: list[Finding]
    """The differences, the largest first."""

    caveats: list[str]
