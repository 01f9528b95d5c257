"""The parts of an answer that say how sure its order is: the verdict, the skill, and the basis of the order."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from thumblab_serving.schemas.strict import FrozenModel

Question = Literal["one_title", "package"]
"""What an answer decides between: pictures under one title, or packages whose titles differ."""

ProbabilitiesFrom = Literal["videos", "experiments", "residuals", "packages"]
"""The data to which the win probabilities were fitted."""


class Verdict(StrEnum):
    """The verdict on the winner: how sure it is that the winner beats the second-best candidate.

    `NO_SKILL`: no evaluation has shown that the model is better than chance at this question, so there is no winner.
    """

    CLEAR = "clear"
    LEANING = "leaning"
    TOO_CLOSE_TO_CALL = "too_close_to_call"
    ONLY_ONE = "only_one"
    NO_VERDICT = "no_verdict"
    NO_SKILL = "no_skill"


class OrderedBy(StrEnum):
    """The basis of the ranks: the model's scores, or the evidence (`evidence_mean`)."""

    MODEL = "model"
    EVIDENCE = "evidence"


class SkillOut(FrozenModel):
    """The accuracy of the model in its evaluation.

    A pair consists of two pictures of one channel. The channels are of the same kind as the channel of the request (see
    `measured_on`). `auc` is the share of held-out pairs that the model ordered correctly. `low` and `high` are the ends
    of the 95 % interval of `auc`. A random order has an `auc` of 0.5.
    """

    question: Literal["one_video", "one_title", "package"] = Field(
        default="package",
        description=(
            "`one_video`: which of two pictures of one video won an experiment. This question is used only if there "
            "are at least 50 pairs of five channels. `one_title`: which of two pictures is better if both have the "
            "same title. The views of each video are compared with the views that its title, length and time of "
            "publication predict. The better picture belongs to the video that exceeds this prediction by more. "
            "`package`: which of two videos with different titles got more views. This question is used for packages. "
            "In models of old versions of the lab, it is also used for pictures with the same title."
        ),
    )
    summary: str = Field(default="", description="The skill in a sentence.")
    measured_on: str = Field(
        description=(
            "`future`: the future of known channels, which are later videos of channels that the model was trained on. "
            "`new_channels`: unseen channels. "
            "`adapted`: unseen channels after a channel adapter was added. `own_past`: the newest videos of the "
            "request's channel. This split is used only for packages, if `adapted` was not measured."
        )
    )
    auc: float = Field(ge=0, le=1)
    low: float | None
    high: float | None
    pairs: int
    channels: int
