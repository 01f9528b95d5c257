"""Write the sentences in the field `degraded` about the quality of the ranking and about the limits of the model.

Other modules write the sentences about a missing library (`similarity`), a missing adapter
(`loading.channel_adapters`), and a missing text reader or face model (`thumblab_core.sub_scores`). `answer` collects
all sentences.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.percentiles import LEAST_PLACED
from thumblab_core.ranking.skill import (
    ADAPTED,
    FUTURE,
    NEW_CHANNELS,
    ONE_TITLE,
    ONE_VIDEO,
    OWN_PAST,
    PACKAGE,
    Skill,
)
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_serving.loading.channel_adapters import AdapterChoice
from thumblab_serving.schemas.verdict import Question, SkillOut
from thumblab_serving.scoring.evidence_order import SIMILARITY
from thumblab_serving.scoring.proven_skill import measured_skill
from thumblab_serving.scoring.rank import Ranking, RankingContext

_EVALUATED_ON = {
    FUTURE: "the future of known channels (later videos of channels that it was trained on)",
    NEW_CHANNELS: "unseen channels",
    ADAPTED: "unseen channels with a channel adapter",
    OWN_PAST: "the newest videos of this channel",
}
_PAIRS = {
    ONE_VIDEO: "pairs of pictures from experiments",
    ONE_TITLE: "pairs of pictures under one title",
    PACKAGE: "pairs of videos",
}
_QUESTIONS: Mapping[str, Literal["one_video", "one_title", "package"]] = {
    ONE_VIDEO: "one_video",
    ONE_TITLE: "one_title",
    PACKAGE: "package",
}
_NO_WINNER = "so it names no winner"
_NO_BEST_PACKAGE = "so it names no best package"

_LONGEST_NAME = 60
"""Maximum length of a candidate's id in a sentence, in characters."""


def skill(ranker: TrainedRanker, channel: AdapterChoice | None, question: Question) -> SkillOut | None:
    """Return the accuracy of the model at a question, on the split whose channels are like the request's channel.

    Return None if the model was not evaluated on this split.
    """
    split, evaluated = measured_skill(ranker, channel, question)
    return None if evaluated is None else described_skill(evaluated, split)


def described_skill(evaluated: Skill, split: str) -> SkillOut:
    """Return a skill as an answer shows it. `split` is the split on which the skill was measured."""
    return SkillOut(
        question=_QUESTIONS[evaluated.question],
        summary=f"On {_EVALUATED_ON[split]}, the model ordered {_figures(evaluated)} correctly.",
        measured_on=split,
        auc=evaluated.auc,
        low=evaluated.low,
        high=evaluated.high,
        pairs=evaluated.pairs,
        channels=evaluated.channels,
    )


def model_limits(ranker: TrainedRanker, query: RankingContext) -> list[str]:
    """Return a sentence for each limit of the model that concerns all pictures of the request."""
    sentences = skill_doubts(ranker, query.channel, query.question)
    if query.channel is not None and query.channel.adapter is not None:
        name = query.channel.title or query.channel.channel_id
        sentences += _no_channel_percentiles(query.channel.adapter, name)
    elif ranker.calibration.percentile(0.0, query.niche) is None:
        sentences.append(
            f"the model was trained on too few videos of {query.niche} to give scores: thumbnails are only ranked"
        )
    if ranker.why_no_engagement is not None:
        sentences.append(f"predicted engagement is left out: {ranker.why_no_engagement}")
    if ranker.familiar is None:
        sentences.append(
            "this model cannot tell whether a picture is unlike its training pictures: it was trained on too few pictures, "
            "or by an older version of the lab"
        )
    return sentences


def first_title_limits(ranker: TrainedRanker, query: RankingContext, ranking: Ranking) -> list[str]:
    """Return the sentences about the verdict on pictures with the title of `query`. They are not about the verdict on
    packages.
    """
    return [*skill_doubts(ranker, query.channel, query.question), *evidence_order(query.niche, ranking)]


def evidence_order(niche: str, ranking: Ranking) -> Sequence[str]:
    """Return a sentence about the order by evidence.

    Return no sentence if the model's order is used, or if fewer than two pictures could be read.
    """
    if ranking.evidence is None or len(ranking.pictures) < 2:
        return []
    if not ranking.evidence:
        return [
            f"the thumbnails are not ordered: no measurement has a percentile for all of them in the library of {niche}"
        ]
    names = ["similarity to the library" if name == SIMILARITY else name for name in ranking.evidence]
    return [
        f"the thumbnails are ordered by evidence, which is the mean of their percentiles in the library of {niche} "
        f"({', '.join(names)}): this order was not shown to predict views"
    ]


def unfamiliar_pictures(ranker: TrainedRanker, ranking: Ranking) -> Sequence[str]:
    """Return the sentence about pictures that are unlike all training pictures. Return no sentence if there is no such
    picture.
    """
    cosines = ranking.unfamiliar
    if not cosines or ranker.familiar is None:
        return []
    # The cosines are rounded down and the threshold is rounded up, so that no cosine is shown as the threshold.
    names = [f"{name[:_LONGEST_NAME]} ({math.floor(cosine * 100) / 100:.2f})" for name, cosine in cosines.items()]
    verb = "is" if len(names) == 1 else "are"
    left_out = f" and {verb} not ranked" if ranking.evidence is None else ""
    return [
        f"{_listed(names)} {verb} unlike every picture that the model was trained on{left_out} (in brackets: the cosine to "
        f"the nearest training picture, which must be at least {math.ceil(ranker.familiar.threshold * 100) / 100:.2f})"
    ]


def near_identical_pictures(ranking: Ranking) -> Sequence[str]:
    """Return a sentence for each group of near-identical pictures."""
    sentences = []
    for group in ranking.near_identical:
        listed = _listed([name[:_LONGEST_NAME] for name in group])
        won = ", which is the winner" if ranking.winner in group else ""
        sentences.append(
            f"the pictures {listed} are near-identical: they count as one candidate{won}, and a test of them would "
            "show nothing, unless they differ in a small detail that you want to test"
        )
    return sentences


def first_frames(names: Sequence[str]) -> Sequence[str]:
    """Return the sentence about pictures that are animations. Return no sentence if there is no such picture."""
    if not names:
        return []
    listed = _listed([name[:_LONGEST_NAME] for name in names])
    what, whose = ("is an animation", "its") if len(names) == 1 else ("are animations", "their")
    return [f"{listed} {what}: only {whose} first frame was scored"]


def no_winners(niche: str, names: Sequence[str]) -> Sequence[str]:
    """Return the sentence about pictures whose most similar thumbnails are not winners. Return no sentence if there is
    no such picture.
    """
    if not names:
        return []
    pictures = ", ".join(name[:_LONGEST_NAME] for name in names)
    return [f"no winner of {niche} is near {pictures}: the nearest thumbnails of any kind are listed instead"]


def skill_doubts(ranker: TrainedRanker, channel: AdapterChoice | None, question: Question) -> list[str]:
    """Return a sentence for each reason why the model must not name a winner at a question. If the model may name a
    winner, return no sentence.
    """
    split, evaluated = measured_skill(ranker, channel, question)
    no_winner = _NO_BEST_PACKAGE if question == PACKAGE else _NO_WINNER
    if evaluated is None:
        asked = " with packages of a title and a picture" if question == PACKAGE else ""
        return [f"this model was not evaluated on {_EVALUATED_ON[split]}{asked}, {no_winner}"]
    sentences = []
    if evaluated.question == PACKAGE and question != PACKAGE:
        sentences.append(
            "this model was only evaluated on pairs of videos that differ in title and picture, not on pictures "
            f"under one title, {no_winner}: train the model again"
        )
    if not evaluated.proven:
        sentences.append(
            f"on {_EVALUATED_ON[split]} this model was not shown to be better than chance (it ordered "
            f"{_figures(evaluated)} correctly), {no_winner}"
        )
    return sentences


def _figures(skill: Skill) -> str:
    """Return a phrase such as "61 % of 900 held-out pairs of videos of 30 channels", followed by the 95 % interval.

    The percentage is the share of the pairs that the model ordered correctly.
    """
    return (
        f"{100 * skill.auc:.0f} % of {skill.pairs:,} held-out {_PAIRS[skill.question]} of "
        f"{_number_of(skill.channels, 'channel')}{_interval(skill.low, skill.high)}"
    )


def _listed(names: Sequence[str]) -> str:
    """Return the names as a list in words, such as "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _number_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _no_channel_percentiles(adapter: Adapter, channel: str) -> list[str]:
    if adapter.quantiles is not None:
        return []
    if adapter.videos < LEAST_PLACED:
        why = f"its channel adapter has {adapter.videos} of the {LEAST_PLACED} videos that percentiles need"
    else:
        why = "its channel adapter was made by an older version of the lab"
    return [f"no scores are given for {channel}: {why}"]


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return " (no interval was computed)"
    return f" (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
