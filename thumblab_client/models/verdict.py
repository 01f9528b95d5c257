"""The parts of an answer that say how sure its order is: the verdict, the skill, and the basis of the order.

This file is generated: change `thumblab_serving/schemas/verdict.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SkillOut:
    """The accuracy of the model in its evaluation.

    A pair consists of two pictures of one channel. The channels are of the same kind as the channel of the request
    (see `measured_on`). `auc` is the share of held-out pairs that the model ordered correctly. `low` and `high` are
    the ends of the 95 % interval of `auc`. A random order has an `auc` of 0.5.
    """

    question: Literal["one_video", "one_title", "package"] = "package"
    """`one_video`: which of two pictures of one video won an experiment. This question is used only if there are at
    least 50 pairs of five channels. `one_title`: which of two pictures is better if both have the same title. The
    views of each video are compared with the views that its title, length and time of publication predict. The
    better picture belongs to the video that exceeds this prediction by more. `package`: which of two videos with
    different titles got more views. This question is used for packages. In models of old versions of the lab, it is
    also used for pictures with the same title.
    """

    summary: str = ""
    """The skill in a sentence."""

    measured_on: str
    """`future`: the future of known channels, which are later videos of channels that the model was trained on.
    `new_channels`: unseen channels. `adapted`: unseen channels after a channel adapter was added. `own_past`: the
    newest videos of the request's channel. This split is used only for packages, if `adapted` was not measured.
    """

    auc: float
    low: float | None
    high: float | None
    pairs: int
    channels: int
