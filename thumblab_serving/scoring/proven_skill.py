"""Decide whether the model may name a winner. It may if its skill is proven for the question that a request asks."""

from typing import TYPE_CHECKING

from thumblab_core.ranking.skill import ADAPTED, FUTURE, NEW_CHANNELS, PACKAGE
from thumblab_serving.loading.channel_adapters import AdapterChoice

if TYPE_CHECKING:  # Only type checkers import the ranker here, because it imports torch, which is slow to import.
    from thumblab_core.ranking.trained_ranker import TrainedRanker


def split_of(channel: AdapterChoice | None) -> str:
    """Return the split of the evaluation whose channels are like the channel of the request.

    Without a usable adapter, these are the unseen channels. With one of the model's own adapters, these are the known
    channels. With an added adapter, these are the unseen channels with adapters.
    """
    if channel is None or channel.adapter is None:
        return NEW_CHANNELS
    return FUTURE if channel.release is None else ADAPTED


def has_proven_skill(ranker: "TrainedRanker", channel: AdapterChoice | None) -> bool:
    """Return whether the model was shown to order pictures under one title, or of one video, better than chance.

    The whole 95 % interval must be above chance, on the split that `split_of` returns. The skill of older models was
    measured only by which of two videos got more views. This is another question, so it proves nothing here.
    """
    skill = ranker.skills.get(split_of(channel))
    return skill is not None and skill.question != PACKAGE and skill.proven
