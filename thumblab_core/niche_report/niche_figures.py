"""The data classes of a niche report: how winners of a niche differ from other videos of their channels.

All figures compare videos of one channel. The compared videos are also in the same age band, and were published in the
same year. So the size of a channel, its growth and the age of a video do not affect the figures.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

NUMBER, FLAG = "number", "flag"

CAVEATS = (
    "The report shows what goes together within channels. It does not show that one thing causes the other: a channel may "
    "make its best thumbnails for the videos that would have won anyway.",
    "Each difference is measured by itself. The effects of features that often occur together, such as a face and "
    "little text, are not separated.",
    "What is not measured is not in the report: the topic, the expression of a face, or whether a title keeps its promise.",
)
"""What a reader must know before using a report."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Estimate(_Record):
    """A figure with its 95 % interval."""

    value: float
    low: float = Field(description="Lower end of the 95 % interval.")
    high: float = Field(description="Upper end of the 95 % interval.")


class Period(_Record):
    """The `share` of a `Finding`, computed from the videos of one period of time only."""

    share: Estimate
    winners: int
    videos: int
    channels: int


class Change(_Record):
    """How the `share` of a `Finding` differs between the newest videos and the older videos. A report states a change
    only if the 95 % interval of the difference excludes 0.
    """

    recent: Period
    before: Period
    difference: Estimate = Field(description="The `share` of the newest videos minus the `share` of the older videos.")


class Example(_Record):
    """A winner and another video of its channel. They differ in the feature that the finding is about."""

    winner: str = Field(description="The video id of the winner.")
    other: str = Field(description="The video id of the video that is compared with the winner.")


class Finding(_Record):
    """A feature that winners have more often, or less often, than other videos of their channels."""

    feature: str = Field(description="The name of what was measured, such as `text_area`.")
    part: str = Field(description="The part of the package: text, faces, subject, colour, sub-scores, title or video.")
    words: str = Field(description="The difference in words, such as `The text is larger`.")
    kind: Literal["number", "flag"] = Field(
        description="`number`: a measured size or count. `flag`: something that is there or not."
    )
    unit: str = Field(description="The unit of `winners_usual` and `others_usual`. Empty for a figure from 0 to 1.")
    share: Estimate = Field(
        description="How often a winner has more of the feature than another video of its channel, 0 to 1. A tie counts "
        "as 0.5, so 0.5 means no difference."
    )
    standardized: Estimate | None = Field(
        description="For a number: the difference in standard deviations (Cohen's d). The lab computes it from `share`, "
        "as if the values were normally distributed."
    )
    odds_ratio: float | None = Field(description="For a flag: the odds ratio of Mantel and Haenszel over the channels.")
    winners_usual: float = Field(
        description="The mean of the feature over the winners. For a flag: the share of the winners with this feature."
    )
    others_usual: float = Field(description="As `winners_usual`, but for the compared videos that are not winners.")
    q_value: float = Field(description="The p value, corrected for all compared features (Benjamini and Yekutieli).")
    winners: int
    videos: int
    channels: int
    channels_agreeing: int = Field(
        description="The number of channels whose difference has the same sign as the difference in the whole niche."
    )
    change: Change | None = Field(
        description="How `share` changed in the last 28 days, compared with the time before. Null if no change was found."
    )
    examples: tuple[Example, ...] = Field(default=(), description="Pairs of videos that differ in this feature.")


class Coverage(_Record):
    """The data from which a report is made, and the data that were left out."""

    videos: int = Field(description="The number of videos whose features were compared.")
    channels: int = Field(
        description="The number of channels that have at least one winner and one video that is not a winner."
    )
    winners: int
    least_multiple: float | None = Field(
        description="A winner has at least this multiple of the views that its channel usually gets."
    )
    features: int = Field(description="The number of features in which winners were compared with other videos.")
    left_out: dict[str, int] = Field(description="How many videos of the niche were left out, by reason.")


class NicheReport(_Record):
    """The report on a niche. If the report has no figures, `too_few` says why. Otherwise, `too_few` is null."""

    niche: str
    made_at: datetime
    as_of: datetime | None = Field(description="The moment of the niche's newest observation of views.")
    too_few: str | None
    coverage: Coverage
    findings: tuple[Finding, ...] = Field(description="The differences, the largest first.")
    caveats: tuple[str, ...]
