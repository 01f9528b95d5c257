"""Decide whether the model may name a winner: only if its skill is proven for the question of the request."""

from thumblab_core.ranking.skill import ADAPTED, FUTURE, NEW_CHANNELS, OWN_PAST, PACKAGE, Skill
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_serving.loading.channel_adapters import AdapterChoice
from thumblab_serving.schemas.verdict import Question


def measured_skill(
    ranker: TrainedRanker, channel: AdapterChoice | None, question: Question
) -> tuple[str, Skill | None]:
    """Return the split of the evaluation that fits the request, and the model's skill at the question on this split.

    The function chooses the split whose channels are most like the channel of the request:

    - Without a usable adapter, the split has unseen channels.
    - With an adapter of a channel that the model was trained on, the split has known channels, even if the adapter was
      added later.
    - With an adapter of another channel, the split has unseen channels with adapters. A lab with few channels cannot
      evaluate this split. For packages, the adapter's skill on the channel's own past is then used instead. This skill
      was measured on videos that differ in title and picture, so it proves nothing for pictures under one title.

    The skill is None if it was not measured. A model that an older version of the lab made may have only its skill for
    packages (`PACKAGE`). This skill is then also returned for pictures under one title (see `read_skills`).
    """
    split = _split_of(channel)
    skill = (ranker.package_skills if question == PACKAGE else ranker.skills).get(split)
    if skill is None and channel is not None and channel.own_past is not None and question == PACKAGE:
        return OWN_PAST, channel.own_past
    return split, skill


def has_proven_skill(ranker: TrainedRanker, channel: AdapterChoice | None, question: Question) -> bool:
    """Return whether the model was shown to be better than chance at this question.

    The whole 95 % interval must be above chance. An older version of the lab evaluated its models only on the question
    for packages: which of two videos got more views? Such an evaluation proves nothing for pictures under one title.
    """
    _, skill = measured_skill(ranker, channel, question)
    return skill is not None and skill.proven and (question == PACKAGE or skill.question != PACKAGE)


def _split_of(channel: AdapterChoice | None) -> str:
    if channel is None or channel.adapter is None:
        return NEW_CHANNELS
    return FUTURE if channel.trained_on else ADAPTED
