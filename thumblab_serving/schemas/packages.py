"""The field `packages` of an answer: the ranked packages of several titles and several pictures."""

from pydantic import Field

from thumblab_serving.schemas.strict import FrozenModel
from thumblab_serving.schemas.verdict import ProbabilitiesFrom, SkillOut, Verdict
from thumblab_serving.schemas.why import WhyOut


class PackageOut(FrozenModel):
    """A package: a title together with a picture."""

    title: str
    thumbnail: str = Field(description="The id of the picture.")
    rank: int | None = Field(
        description=(
            "The rank; 1 is best. Packages with the same title and near-identical pictures share a rank and count as "
            "one. Null if the model cannot rank the picture, or if the skill for packages is not proven."
        )
    )
    score: float | None = Field(
        ge=0,
        le=100,
        description="Percentile of the model's score, as in `thumbnails`. Null if the score of the picture in "
        "`thumbnails` is null.",
    )
    win_probability: float | None = Field(
        ge=0, le=1, description="Probability of being the best of all ranked packages. Null if `rank` is null."
    )
    margin: float | None = Field(
        ge=0.5,
        le=1,
        description=(
            "Probability that the best package beats this package. For the best package, the probability "
            "that it beats the second-best package. Null if `rank` is null, or if only one package is ranked."
        ),
    )
    why: WhyOut = Field(
        description=(
            "Why the score differs from the score of the best package. The best package is compared with the "
            "second-best package. If there is no best package, `unknown` gives the reason."
        )
    )


class UnderTitleOut(FrozenModel):
    """The verdict on the pictures under one of the titles. Pictures with their own title are left out."""

    title: str
    winner: str | None = Field(
        description="The id of the best picture with this title. Null if the model names no winner."
    )
    verdict: Verdict | None = Field(
        description="How sure the model is of this winner, by its skill for pictures with the same title."
    )
    confidence: float | None = Field(
        ge=0, le=1, description="Probability that the winner beats the second-best picture if both have this title."
    )


class PackagesOut(FrozenModel):
    """The packages of a request with several titles.

    The model has one skill and calibration for packages, and another skill and calibration for pictures with the same
    title. `verdict`, `skill` and `grid` use the skill and calibration for packages. `under_titles` uses the skill and
    calibration for pictures with the same title.
    """

    best_title: str | None = Field(description="The title of the best package. Null if there is no best package.")
    best_thumbnail: str | None = Field(
        description="The id of the best package's picture. If its picture is in a near-identical group, the id of the "
        "first picture of the group."
    )
    verdict: Verdict | None = Field(
        description=(
            "How sure the model is of the best package, according to `confidence`. The values mean the same as "
            "in the answer's field `verdict`. `no_skill`: the skill for packages is not proven, so there is no best "
            "package. Null if no picture could be read."
        )
    )
    confidence: float | None = Field(
        ge=0,
        le=1,
        description=(
            "Probability that the best package beats the second-best package. Null if there is no second-best package."
        ),
    )
    skill: SkillOut | None = Field(
        description="The accuracy of the model for packages (`question` is `package`). Null if it was not measured."
    )
    probabilities_from: ProbabilitiesFrom | None = Field(
        description="What the win probabilities were fitted to. Null if there are no win probabilities."
    )
    grid: list[PackageOut] = Field(
        description=(
            "All packages: the first title with each picture that could be read, then the second title with each "
            "picture, and so on. A picture with a title of its own makes one package, which comes last."
        )
    )
    under_titles: list[UnderTitleOut] = Field(
        description="For each title, the verdict on the pictures with this title."
    )
    why: WhyOut | None = Field(
        description=(
            "The field `why` of the best package. If there is no best package, its `unknown` gives the reason. Null if "
            "no picture could be read."
        )
    )
    first_title_limits: list[str] = Field(
        default_factory=list,
        description=(
            "The sentences of `degraded` that are about the verdict for the first title only, and not about the "
            "verdict on packages."
        ),
    )
