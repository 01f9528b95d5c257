"""Which model is served: a challenger takes the champion's place when the pairs that neither has seen show it no worse.

The rule. Both order the same held-out pairs. d is the challenger's AUC less the champion's; its bounds are those of a
bootstrap that draws whole channels, with both models' answers to a pair together; one channel alone has no spread, so its
videos are drawn. The challenger is not worse when d is at
least 0, or when the lower one-sided 95 % bound of d is above -0.01. Either alone would err: few channels make the bound so
wide that the second alone would keep the first champion for good, and the first alone refuses half of all models that are
as good as the champion, also where ten thousand pairs show it. To promote whatever is not proven worse would let quality
seep away, by a little every week.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release, require_damage
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.kept_pairs import SCOPES, holding_pairs
from thumblab_pipelines.dataset.load import Dataset, in_spaces_of, load_dataset
from thumblab_pipelines.dataset.seen_videos import seen_by
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.build import check_model
from thumblab_pipelines.statistics.metrics import interval_over_videos

if TYPE_CHECKING:
    import pandas as pd

    from thumblab_core.ranking.trained_ranker import TrainedRanker

LEAST_PAIRS = 50
"""On fewer pairs than these nothing can be said of two models."""
TOLERATED = 0.01
"""An AUC that is surely lower by less than this counts as not worse."""
_BOOTSTRAP = 2_000
_ENDS = (5.0, 95.0)


@dataclass(frozen=True)
class Comparison:
    """AUC of the challenger less that of the champion on the same pairs.

    `low` and `high` bound 90 %: below each end lie, or above it, the 5 % of a one-sided bound.
    """

    difference: float
    low: float
    high: float
    pairs: int
    channels: int
    not_worse: bool
    explanation: str


@dataclass(frozen=True)
class Decision:
    """Whether the challenger is to be served, and why. `comparison` is None where none was made."""

    promoted: bool
    reason: str
    comparison: Comparison | None = None


def compare(champion: Floats, challenger: Floats, pairs: pd.DataFrame) -> Comparison | None:
    """Paired bootstrap over channels: scores [n] of both models, and pairs with `winner`, `loser` (rows) and `channel_id`.

    Pairs of one channel only are drawn over its videos. None on fewer than `LEAST_PAIRS` pairs.
    """
    if len(pairs) < LEAST_PAIRS:
        return None
    winner, loser = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
    theirs, ours = _wins(champion, winner, loser), _wins(challenger, winner, loser)
    names, channel = np.unique(pairs.channel_id.to_numpy(str), return_inverse=True)
    if len(names) > 1:
        gained, count = np.bincount(channel, ours - theirs), np.bincount(channel)
        drawn = np.random.default_rng(0).integers(0, len(names), (_BOOTSTRAP, len(names)))
        low, high = np.percentile(gained[drawn].sum(axis=1) / count[drawn].sum(axis=1), _ENDS)
    else:
        low, high = interval_over_videos(ours - theirs, winner, loser, _ENDS)
    difference = float((ours - theirs).mean())
    not_worse = difference >= 0 or float(low) > -TOLERATED
    explanation = (
        f"AUC {ours.mean():.3f} and the champion's {theirs.mean():.3f} on the same {len(pairs):,} held-out pairs of "
        f"{len(names)} channels: {difference:+.3f}, 90 % interval {low:+.3f} to {high:+.3f}"
    )
    return Comparison(difference, float(low), float(high), len(pairs), len(names), not_worse, explanation)


def model_scores(trained: TrainedRanker, data: Dataset) -> Floats:
    """The model's score of every video of the dataset, with its channel's history where the model has one, [n]."""
    from thumblab_core.ranking.ranker import join

    inputs = join(data.images, data.titles, data.videos.title.tolist(), trained.model.config.title_facts)
    scores = trained.predict_inputs(inputs).score
    for channel, rows in data.videos.groupby("channel_id").indices.items():
        adapter = trained.adapter(str(channel))
        if adapter is not None:
            scores[rows] = trained.predict_inputs(inputs[rows], adapter).score
    return scores


def decide(lab: Lab, challenger: Release, champion: Release | None) -> Decision:
    """May the challenger take the champion's place? It has passed its checks. Raises `LabError` where the pairs are gone.

    A model that served before was moved away from by a person, for the lab itself only moves to new ones: it does not come
    back by itself.
    """
    if champion is None:
        return Decision(True, "no model is served yet")
    if champion.release_id == challenger.release_id:
        return Decision(True, "a person chose it")
    if challenger.release_id in lab.releases.serving.promoted(MODEL, ALL):
        return Decision(False, f"{challenger.release_id} served before, until a person chose {champion.release_id}")
    theirs = _loaded(champion)
    if theirs is None:
        return Decision(True, f"not compared: the champion {champion.release_id} cannot be loaded any more")
    ours = _loaded(challenger)
    if ours is None:
        raise LabError(f"{challenger} cannot be loaded; materialize ranking_model again")
    other = _encoders(champion) != _encoders(challenger)
    if other and not _still_had(champion, challenger):
        return Decision(
            True, f"not compared: the encoders of the champion {champion.release_id} are not to be had any more"
        )
    with holding_pairs(lab):
        data = load_dataset(lab, _pairs_for(lab, challenger))
    pairs, caveat = unseen_pairs(data, [champion, challenger])
    if data.forgotten:
        caveat += f"; {data.forgotten} videos of these pairs were forgotten since they were made"
    before = data
    if other and len(pairs) >= LEAST_PAIRS:
        before, there = in_spaces_of(lab, data, champion)
        pairs = pairs[there[pairs.winner] & there[pairs.loser]]
        caveat += "; each model with its own encoders"
        if len(pairs) < LEAST_PAIRS:  # new videos get vectors of the new encoders only: waiting would bring no more
            why = f"the champion {champion.release_id} was made with other encoders"
            few = f"only {len(pairs)} held-out pairs have vectors of both, and it takes {LEAST_PAIRS}"
            return Decision(True, f"not compared: {why}, and {few}")
    enough = len(pairs) >= LEAST_PAIRS  # else `before` may still be of the wrong encoders
    found = compare(model_scores(theirs, before), model_scores(ours, data), pairs) if enough else None
    if found is None:
        few = f"only {len(pairs)} held-out pairs were seen by neither model, and it takes {LEAST_PAIRS}"
        return Decision(False, f"{few}; to serve it all the same, move the champion alias to it")
    verdict = "not worse than" if found.not_worse else "worse than"
    return Decision(found.not_worse, f"{verdict} {champion.release_id}: {found.explanation}{caveat}", found)


def unseen_pairs(data: Dataset, models: list[Release]) -> tuple[pd.DataFrame, str]:
    """The test pairs of which no model has seen a video in training, and what is to be said of that."""
    pairs = data.pairs[data.pairs.part == TEST]
    caveat = ""
    for release in models:
        seen = seen_by(release, data.videos.video_id.tolist())
        if seen is None:
            caveat += f"; {release.release_id} does not say what it was trained on, so it may know some of them"
        else:
            pairs = pairs[~(seen[pairs.winner] | seen[pairs.loser])]
    return pairs, caveat


def promote_newest(lab: Lab, chosen: Release | None = None) -> tuple[Release, Release, Decision]:
    """Serve the newest model release where it passes its checks and is not worse than the champion: the served release, or
    the one that a person has `chosen` and that is about to be served.

    Gives the challenger, what is served after it, and the decision. Raises `LabError` when the challenger does not pass.
    """
    with lab.releases.serving.changing(MODEL, ALL):
        challenger = lab.releases.latest(MODEL, ALL)
        if challenger is None:
            raise LabError("there is no model release; materialize ranking_model first")
        _require_fit(lab, challenger)
        served = lab.releases.serving.current_id(MODEL, ALL)
        if served == challenger.release_id:
            return challenger, challenger, Decision(True, "it is served already")
        decision = decide(lab, challenger, chosen or _served(lab))
        if decision.promoted:
            lab.releases.serving.promote(challenger)
        return challenger, lab.releases.serving.current(MODEL, ALL) or challenger, decision


def promote_by_hand(lab: Lab, release: Release) -> None:
    """Serve this release because a person says so: it must pass its checks, and is compared with nothing.

    Raises `LabError` when it does not pass.
    """
    with lab.releases.serving.changing(MODEL, ALL):
        _require_fit(lab, release)
        if lab.releases.serving.current_id(MODEL, ALL) != release.release_id:
            lab.releases.serving.promote(release)


def prune_models(lab: Lab, spare: Collection[str] = ()) -> None:
    """Delete old model releases: the newest few stay, the served one, and those to `spare`."""
    lab.releases.prune(MODEL, ALL, lab.settings.releases_kept, spare)


def faults(lab: Lab, release: Release) -> list[str]:
    """Why a model is not fit to be served; nothing where it is."""
    return [verdict.explanation for verdict in check_model(lab, release) if not verdict.passed]


def check_served_model(lab: Lab, expected: Release, decision: Decision) -> list[CheckResult]:
    """Does the pointer name the release that is to be served, and was the model that asked for its place given it?"""
    found = lab.releases.serving.current_id(MODEL, ALL)
    return [
        CheckResult("pointer", found == expected.release_id, f"the service reads {found}"),
        CheckResult("promoted", decision.promoted, decision.reason, advisory=True),
    ]


def _wins(scores: Floats, winners: npt.NDArray[np.intp], losers: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    gap = scores[winners] - scores[losers]
    return np.asarray((gap > 0) + 0.5 * (gap == 0), np.float64)


def _require_fit(lab: Lab, release: Release) -> None:
    bad = faults(lab, release)
    if bad:
        raise LabError(f"{release} is not promoted: {'; '.join(bad)}")


def _served(lab: Lab) -> Release | None:
    try:
        return lab.releases.serving.current(MODEL, ALL)
    except LabError as error:  # a pointer to what is gone serves nothing
        if error.transient:
            raise
        return None


def _encoders(release: Release) -> tuple[Any, Any]:
    return release.info.get("image_encoder"), release.info.get("title_encoder")


def _still_had(champion: Release, challenger: Release) -> bool:
    """Can the service still ask the champion? It has the settings' title encoder, and image encoders by their names."""
    if champion.info.get("title_encoder") != challenger.info.get("title_encoder"):
        return False
    # One name with two fingerprints: its weights or its code are others by now.
    return champion.info.get("image_encoder_name") != challenger.info.get("image_encoder_name")


def _pairs_for(lab: Lab, model: Release) -> Release:
    """The newest pairs in the spaces of the model's encoders: nobody has been trained on the newest of their test part."""
    for scope in SCOPES:
        for release in reversed(lab.releases.all(PAIRS, scope)):
            if _encoders(release) == _encoders(model):
                return release
    raise LabError(f"there are no pairs in the spaces of {model}; materialize training_pairs first")


def _loaded(release: Release) -> TrainedRanker | None:
    """The model, None where the release is damaged or of a form that this lab does not know.

    Raises `UnreadError` where it cannot be read now.
    """
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    try:
        return TrainedRanker.load(release)
    except (LabError, OSError, KeyError, TypeError, ValueError) as error:
        require_damage(release, error)
        return None
