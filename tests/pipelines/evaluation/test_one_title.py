"""Tests of the evaluation of two pictures under one title.

In the test data, the effects of each title and of each picture on the views are known.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from thumblab_core.encoders.protocol import unit
from thumblab_core.ranking.skill import ONE_TITLE, PACKAGE
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.evaluation.evaluate import evaluate
from thumblab_pipelines.evaluation.figures import ADAPTED, FUTURE, NEW_CHANNELS, Evaluation
from thumblab_pipelines.evaluation.one_title import OneTitlePairs, gaps_of_scores
from thumblab_pipelines.statistics.held_out_scores import HeldOutScores, PictureGaps
from thumblab_pipelines.training.context import Context

SUBJECTS = (("soup", "bread", "cake", "salad"), ("mountain", "river", "forest", "glacier"))


@dataclasses.dataclass(frozen=True)
class Planted:
    """A dataset of n videos. `title` and `picture` [n] are the known effects of a video's title and picture.

    An effect is what the title or the picture adds to the log views of the video.
    """

    data: Dataset
    title: npt.NDArray[np.float64]
    picture: npt.NDArray[np.float64]

    def pairs(self) -> OneTitlePairs:
        return OneTitlePairs(FUTURE, self.data, Context.of(self.data))

    def gaps(self, scores: Any) -> PictureGaps:
        """Return the picture gaps of each pair. The picture of video i has the score `scores[i]`.

        A picture gap is the score of the winner's picture minus the score of the loser's picture, if both pictures have
        the same title. Each pair has two gaps, one under the title of each video. These scores do not depend on the
        title, so both gaps are equal.
        """
        every = PictureGaps(np.arange(len(self.data.pairs)), np.zeros((len(self.data.pairs), 2)))
        return gaps_of_scores(self.data, every, np.asarray(scores, np.float64))

    def aucs(self, scores: Any) -> dict[str, float]:
        """Return the AUC of each slice. The picture of video i has the score `scores[i]`."""
        figures = self.pairs().aucs("model", self.gaps(scores))
        return {e.slice: e.value for e in figures if e.metric == "auc" and e.value is not None}


@pytest.fixture(scope="module")
def planted(plant: Callable[..., Dataset]) -> Planted:
    """A dataset of twelve channels. A title about cooking multiplies the views by four.

    The effect of the picture does not depend on the title.
    """
    data = plant(channels=12, videos=80, seed=5)
    random = np.random.default_rng(1)
    cooking = random.random(len(data.videos)) < 0.5
    words = [SUBJECTS[0 if about else 1][random.integers(4)] for about in cooking]
    titles = unit(np.where(cooking[:, None], 1.0, -1.0) * np.eye(8)[0] + 0.3 * random.standard_normal((len(words), 8)))
    by_title, by_picture = np.log(4) * cooking, 0.5 * np.asarray(data.images[:, 0], np.float64) * 4
    target = by_title + by_picture + 0.3 * random.standard_normal(len(words))
    videos = data.videos.assign(title=[f"A day with {word}" for word in words], target=target)
    pairs = pair_up(videos, 30.0)
    changed = dataclasses.replace(data, videos=videos, pairs=pairs, titles=titles.astype(np.float32))
    return Planted(changed, by_title - by_title.mean(), by_picture - by_picture.mean())


def test_the_context_predicts_the_effect_of_the_title_and_leaves_the_effect_of_the_picture(planted: Planted) -> None:
    context = Context.of(planted.data)
    assert np.corrcoef(context.predicted, planted.title)[0, 1] > 0.9
    assert abs(np.corrcoef(context.predicted, planted.picture)[0, 1]) < 0.15
    assert np.corrcoef(context.residual, planted.picture)[0, 1] > 0.8
    assert abs(np.corrcoef(context.residual, planted.title)[0, 1]) < 0.15


@pytest.mark.parametrize("every", [2, 1])
def test_the_context_of_videos_of_unknown_length_is_predicted_from_the_rest(planted: Planted, every: int) -> None:
    lengths = planted.data.videos.duration_s.to_numpy(float).copy()
    lengths[::every] = np.nan
    context = Context.of(dataclasses.replace(planted.data, videos=planted.data.videos.assign(duration_s=lengths)))
    assert np.corrcoef(context.predicted, planted.title)[0, 1] > 0.9


def test_the_context_of_a_video_does_not_know_its_own_views(planted: Planted) -> None:
    target = planted.data.videos.target.to_numpy(float).copy()
    target[100] += 50.0
    changed = dataclasses.replace(planted.data, videos=planted.data.videos.assign(target=target))
    before, after = Context.of(planted.data), Context.of(changed)
    assert after.residual[100] - before.residual[100] > 45, (
        "what the context predicts for a video must not depend on its own views"
    )


def test_a_picture_scorer_that_knows_the_truth_is_right_on_residual_pairs(planted: Planted) -> None:
    # The standard deviation is 0.5 for the effect of the picture, and 0.3 for the noise. The best possible AUC is
    # therefore 1/2 + atan(0.5 / 0.3) / pi = 0.83, by Sheppard's formula.
    aucs = planted.aucs(planted.picture)
    assert aucs["residual"] > 0.78
    assert aucs["residual 2x"] > 0.90
    assert aucs["tied third"] > 0.78


def test_a_scorer_that_ignores_pictures_is_at_chance(planted: Planted) -> None:
    assert set(planted.aucs(np.zeros(len(planted.title))).values()) == {0.5}


def test_a_picture_that_only_shows_the_topic_of_its_title_is_no_better_than_chance(planted: Planted) -> None:
    """Give each picture a score that depends only on the title of its video.

    On the slice `swap`, the winner of a pair is the video with more views. The title may be the reason for these views,
    so the AUC of the scores is high. On the slice `residual`, the winner is the video with the larger residual. A
    residual is what remains of the log views without the predicted effect of the title, so the AUC is about one half.
    """
    aucs = planted.aucs(planted.title)
    assert aucs["swap"] > 0.7
    assert aucs["residual"] == pytest.approx(0.5, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_pictures_are_at_chance_within_their_interval(planted: Planted, seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(len(planted.title))
    for e in planted.pairs().aucs("model", planted.gaps(noise)):
        assert e.low is not None
        assert e.high is not None
        assert e.low - 0.01 <= 0.5 <= e.high + 0.01, e


def test_a_pair_whose_answer_depends_on_the_title_counts_half(planted: Planted) -> None:
    count = len(planted.data.pairs)
    pictures = PictureGaps(np.arange(count), np.column_stack([np.ones(count), -np.ones(count)]))
    pairs = planted.pairs()
    assert {e.value for e in pairs.aucs("model", pictures)} == {0.5}
    claims = {e.metric: e.value for e in pairs.claims(pictures, 1.0)}
    assert claims["changes_with_title"] == 1.0
    assert claims["abstained"] == 1.0, "all pairs must be too close to call, because the mean of the two gaps is 0"
    assert claims["log_loss"] == pytest.approx(np.log(2))


@pytest.mark.slow
def test_each_figure_names_its_question_and_the_pairs_that_it_was_measured_on(planted: Planted) -> None:
    data, scores = planted.data, planted.picture
    test = np.flatnonzero(data.pairs.part == TEST)
    gaps = planted.gaps(scores).gaps
    held = HeldOutScores(
        scores, scores, scores, scores, 9.0, 9.0,
        {name: PictureGaps(rows, gaps[rows]) for name, rows in (
            ("future", test), ("future_unadapted", test), ("new", np.arange(len(gaps))), ("adapted", test),
            ("adapted_unadapted", test))},
        (1.0, 3.0),
    )  # fmt: skip
    figures = evaluate(data, held)
    assert {e.question for e in figures} == {PACKAGE, ONE_TITLE}
    sizes = {(e.split, e.scorer): e.pairs for e in figures if _is(e, "residual", "auc")}
    assert sizes[FUTURE, "model"] == sizes[ADAPTED, "global"] == len(test)
    assert sizes[NEW_CHANNELS, "model"] == sizes[NEW_CHANNELS, "image"] == len(gaps)
    losses = {e.split: (e.value, e.pairs) for e in figures if _is(e, "residual", "log_loss")}
    residual = Context.of(data).residual
    signed = np.sign(residual[data.pairs.winner] - residual[data.pairs.loser])[test] * gaps[test, 0]
    for split, slope in ((FUTURE, 3.0), (NEW_CHANNELS, 1.0), (ADAPTED, 3.0)):
        assert losses[split] == (pytest.approx(np.logaddexp(0, -slope * signed).mean()), len(test)), (
            "the loss is measured on test pairs only"
        )
    third = next(e for e in figures if _is(e, "tied third", "auc") and (e.split, e.scorer) == (FUTURE, "model"))
    assert third.pairs == pytest.approx(len(test) / 3, abs=2)
    assert len({(e.question, e.split, e.slice, e.scorer, e.metric) for e in figures}) == len(figures)


def _is(e: Evaluation, slice_: str, metric: str) -> bool:
    return (e.question, e.slice, e.metric) == (ONE_TITLE, slice_, metric)
