"""The field `packages` of an answer: the ranked packages of several titles and several pictures.

This file is generated: change `thumblab_serving/schemas/packages.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass, field
from typing import Literal

from thumblab_client.models.verdict import SkillOut
from thumblab_client.models.why import WhyOut


@dataclass(frozen=True, kw_only=True)
class PackageOut:
    """A package: a title together with a picture."""

    title: str
    thumbnail: str
    """The id of the picture."""

    rank: int | None
    """The rank; 1 is best. Packages with the same title and near-identical pictures share a rank and count as one.
    Null if the model cannot rank the picture, or if the skill for packages is not proven.
    """

    score: float | None
    """Percentile of the model's score, as in `thumbnails`. Null if the score of the picture in `thumbnails` is null.
    """

    win_probability: float | None
    """Probability of being the best of all ranked packages. Null if `rank` is null."""

    margin: float | None
    """Probability that the best package beats this package. For the best package, the probability that it beats the
    second-best package. Null if `rank` is null, or if only one package is ranked.
    """

    why: WhyOut
    """Why the score differs from the score of the best package. The best package is compared with the second-best
    package. If there is no best package, `unknown` gives the reason.
    """


@dataclass(frozen=True, kw_only=True)
class UnderTitleOut:
    """The verdict on the pictures under one of the titles. Pictures with their own title are left out."""

    title: str
    winner: str | None
    """The id of the best picture with this title. Null if the model names no winner."""

    verdict: Literal["clear", "leaning", "too_close_to_call", "only_one", "no_verdict", "no_skill"] | None
    """How sure the model is of this winner, by its skill for pictures with the same title."""

    confidence: float | None
    """Probability that the winner beats the second-best picture if both have this title."""


@dataclass(frozen=True, kw_only=True)
class PackagesOut:
    """The packages of a request with several titles.

    The model has one skill and calibration for packages, and another skill and calibration for pictures with the
    same title. `verdict`, `skill` and `grid` use the skill and calibration for packages. `under_titles` uses the
    skill and calibration for pictures with the same title.
    """

    best_title: str | None
    """The title of the best package. Null if there is no best package."""

    best_thumbnail: str | None
    """The id of the best package's picture. If its picture is in a near-identical group, the id of the first picture
    of the group.
    """

    verdict: Literal["clear", "leaning", "too_close_to_call", "only_one", "no_verdict", "no_skill"] | None
    """How sure the model is of the best package, according to `confidence`. The values mean the same as in the
    answer's field `verdict`. `no_skill`: the skill for packages is not proven, so there is no best package. Null if
    no picture could be read.
    """

    confidence: float | None
    """Probability that the best package beats the second-best package. Null if there is no second-best package."""

    skill: SkillOut | None
    """The accuracy of the model for packages (`question` is `package`). Null if it was not measured."""

    probabilities_from: Literal["videos", "experiments", "residuals", "packages"] | None
    """What the win probabilities were fitted to. Null if there are no win probabilities."""

    grid: list[PackageOut]
    """All packages: the first title with each picture that could be read, then the second title with each picture, and
    so on. A picture with a title of its own makes one package, which comes last.
    """

    under_titles: list[UnderTitleOut]
    """For each title, the verdict on the pictures with this title."""

    why: WhyOut | None
    """The field `why` of the best package. If there is no best package, its `unknown` gives the reason. Null if no
    picture could be read.
    """

    first_title_limits: list[str] = field(default_factory=list)
    """The sentences of `degraded` that are about the verdict for the first title only, and not about the verdict on
    packages.
    """
