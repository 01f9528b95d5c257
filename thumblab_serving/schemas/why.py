"""The field `why` of an answer: why the scores of two candidates differ."""

from typing import Literal

from pydantic import Field

from thumblab_serving.schemas.strict import FrozenModel


class ContributionOut(FrozenModel):
    """The contribution of the picture, the title, their match or the channel to the difference of two scores."""

    of: Literal["picture", "title", "match", "channel"] = Field(
        description=(
            "`picture`: how the picture looks. `title`: the words and the wording of the title. `match`: how far the "
            "words in the picture agree with the title. `channel`: what the channel adapter adds to the model; 0 if "
            "the answer is not adapted to a channel."
        )
    )
    difference: float = Field(
        description="The contribution in log views. It is above 0 if it is in favour of this candidate. All "
        "contributions add up to `difference`."
    )
    share: float = Field(
        ge=-1,
        le=1,
        description=(
            "`difference` divided by the sum of the absolute values of all contributions. The absolute values of all "
            "shares add up to 1, or to 0 if the scores are equal."
        ),
    )


class WhyOut(FrozenModel):
    """Why the score of a candidate differs from the winner's score. The winner is compared with the second-best
    candidate.

    The contributions are parts of the model's own score. The contributions say why the model orders two candidates as
    it does, and not why viewers clicked.
    """

    against: str | None = Field(description="The id of the other candidate's picture. Null if `unknown` is set.")
    against_title: str | None = Field(description="The title of the other candidate.")
    difference: float | None = Field(
        description=(
            "The score of this candidate minus the score of the other candidate, in log views: the model expects "
            "exp(difference) times as many views. Near-identical candidates keep their own scores here."
        )
    )
    contributions: list[ContributionOut] = Field(
        description="One contribution of each kind. Empty if `unknown` is set."
    )
    unknown: str | None = Field(
        description="Why the contributions are not given, for example because the skill of the model is not proven. "
        "Null if they are given."
    )
    summary: str = Field(description="The explanation in a sentence.")
