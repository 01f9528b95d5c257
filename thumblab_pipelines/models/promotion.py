"""Decide which model is served.

The newest model is the challenger, and the served model is the champion. The challenger replaces the champion if it is
not worse.

Both models order the same held-out pairs, for each question of the evaluation. Neither model was trained on the
compared pairs. The challenger must not be worse on any question that has enough pairs. `comparison` defines when a
model is not worse.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.arrays import Rows
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, PAIRS, Release, require_damage
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.load import Dataset, load_dataset, with_vectors_of
from thumblab_pipelines.dataset.retained_pairs import SCOPES, holding_pairs
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.dataset.video_fingerprints import was_trained_on
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.build import check_model
from thumblab_pipelines.models.comparison import LEAST_COMPARED_PAIRS, Comparison, Contender, compare_questions

if TYPE_CHECKING:
    import pandas as pd

    from thumblab_core.ranking.trained_ranker import TrainedRanker


@dataclass(frozen=True)
class Decision:
    """The decision whether the challenger is served, and its reason.

    `comparisons`: a comparison for each question on which the two models were compared. `comparisons` is empty if the
    models were not compared.
    """

    promoted: bool
    reason: str
    comparisons: tuple[Comparison, ...] = ()


def decide(lab: Lab, challenger: Release, champion: Release | None) -> Decision:
    """Decide whether the challenger replaces the champion. The challenger must have passed its checks.

    If the challenger was served before, a person has replaced it, because the lab itself promotes only new models. So
    the lab does not promote this challenger again. Raises `LabError` when the challenger cannot be loaded, or when
    there are no pairs to compare the models on.
    """
    if champion is None:
        return Decision(True, "no model was served before")
    if champion.release_id == challenger.release_id:
        return Decision(True, "a person chose it")
    if challenger.release_id in lab.releases.serving.promoted(MODEL, ALL):
        return Decision(False, f"{challenger.release_id} was replaced by a person, who chose {champion.release_id}")
    champion_model = _loaded(champion)
    if champion_model is None:
        return Decision(True, f"not compared: the champion {champion.release_id} can no longer be loaded")
    challenger_model = _loaded(challenger)
    if challenger_model is None:
        raise LabError(f"{challenger} cannot be loaded; materialize ranking_model again")
    other_encoders = _encoders(champion) != _encoders(challenger)
    if other_encoders and not _encoders_available(champion, challenger):
        return Decision(
            True, f"not compared: the encoders of the champion {champion.release_id} are no longer available"
        )
    with holding_pairs(lab):
        data = load_dataset(lab, _pairs_for(lab, challenger))
    pairs, caveat = unseen_pairs(data, [champion, challenger])
    if data.forgotten:
        caveat += f"; {data.forgotten} videos of these pairs have been deleted since they were made"
    champion_data = data
    if other_encoders and len(pairs) >= LEAST_COMPARED_PAIRS:
        champion_data, has_vectors = with_vectors_of(lab, data, champion)
        pairs = pairs[has_vectors[pairs.winner] & has_vectors[pairs.loser]]
        caveat += "; each model with its own encoders"
        # Only pairs of videos with vectors from the encoders of both models are counted. New videos get vectors only
        # from the encoders in the settings, so the number of these pairs never grows. If there are too few pairs, the
        # challenger is promoted without a comparison.
        if len(pairs) < LEAST_COMPARED_PAIRS:
            reason = f"the champion {champion.release_id} was made with other encoders"
            few = f"only {len(pairs)} held-out pairs have vectors of both models, and {LEAST_COMPARED_PAIRS} are needed"
            return Decision(True, f"not compared: {reason}, and {few}")
    # This check must come before the comparison. With too few pairs, the vectors of the champion's encoders were not
    # read above, and `champion_data` lacks them.
    if len(pairs) < LEAST_COMPARED_PAIRS:
        few = f"only {len(pairs)} held-out pairs were seen by neither model, and {LEAST_COMPARED_PAIRS} are needed"
        return Decision(False, f"not compared: {few}; to serve the challenger anyway, move the champion alias to it")
    contenders = Contender(champion_model, champion_data), Contender(challenger_model, data)
    comparisons = compare_questions(*contenders, pairs, unseen_one_video_pairs(champion_data, [champion, challenger]))
    return _decided(champion, comparisons, caveat)


def _decided(champion: Release, comparisons: list[Comparison], caveat: str) -> Decision:
    """Return the decision with its reason.

    The reason names the questions on which the challenger is worse. If the challenger is worse on no question, the
    reason names all compared questions.
    """
    worse = [comparison for comparison in comparisons if not comparison.not_worse]
    outcome = "worse than" if worse else "not worse than"
    reasons = "; ".join(f"{comparison.question}: {comparison.explanation}" for comparison in worse or comparisons)
    return Decision(not worse, f"{outcome} {champion.release_id} on {reasons}{caveat}", tuple(comparisons))


def unseen_pairs(data: Dataset, models: list[Release]) -> tuple[pd.DataFrame, str]:
    """Return the test pairs whose videos no model was trained on. Also return a caveat: a text that is added to the
    reason of the decision.

    If a model does not record its training videos, no pair is left out because of this model, and the caveat names the
    model. The caveat is empty if all models record their training videos.
    """
    pairs = data.pairs[data.pairs.part == TEST]
    caveat = ""
    for release in models:
        seen = was_trained_on(release, data.videos.video_id.tolist())
        if seen is None:
            caveat += f"; {release.release_id} does not record its training videos, so it may know some pairs"
        else:
            pairs = pairs[~(seen[pairs.winner] | seen[pairs.loser])]
    return pairs, caveat


def unseen_one_video_pairs(data: Dataset, models: list[Release]) -> Rows:
    """Return the rows of the one-video pairs on which the models can be compared.

    The models can be compared on the decided test pairs whose vectors are known. Pairs that a model was trained on, and
    pairs of a model's training videos, are left out. A model that was trained on one-video pairs records the ids of
    these pairs with the ids of its training videos.
    """
    pairs = data.one_video.pairs
    unseen = (pairs.part == TEST).to_numpy(bool) & pairs.decided.to_numpy(bool) & data.one_video.complete
    for release in models:
        for ids in (pairs.pair_id, pairs.video_id):
            seen = was_trained_on(release, ids.tolist())
            if seen is not None:
                unseen &= ~seen
    return np.flatnonzero(unseen)


def promote_newest(lab: Lab, chosen: Release | None = None) -> tuple[Release, Release, Decision]:
    """Serve the newest model release if it passes its checks and is not worse than the champion.

    The champion is normally the served release. `chosen`: a release that a person has chosen and that is not served
    yet. If `chosen` is given, the newest release is compared with `chosen` instead. Return the challenger, the release
    that is served now, and the decision. Raises `LabError` when the challenger fails a check.
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
    """Serve a release that a person has chosen, without a comparison. Raises `LabError` when the release fails a
    check."""
    with lab.releases.serving.changing(MODEL, ALL):
        _require_fit(lab, release)
        if lab.releases.serving.current_id(MODEL, ALL) != release.release_id:
            lab.releases.serving.promote(release)


def prune_models(lab: Lab, spare: Collection[str] = ()) -> None:
    """Delete old model releases.

    The served release and the newest `releases_kept` releases (a setting) are kept. Releases with an id in `spare` are
    kept too.
    """
    lab.releases.prune(MODEL, ALL, lab.settings.releases_kept, spare)


def failed_checks(lab: Lab, release: Release) -> list[str]:
    """Return the explanations of the checks that a model fails. The list is empty if the model can be served."""
    return [check.explanation for check in check_model(lab, release) if not check.passed]


def check_served_model(lab: Lab, expected: Release, decision: Decision) -> list[CheckResult]:
    """Check that the served release is `expected`. An advisory check says whether the challenger was promoted."""
    served = lab.releases.serving.current_id(MODEL, ALL)
    as_expected = served == expected.release_id
    differences = {f"auc_difference_{one.question}": float(one.difference) for one in decision.comparisons}
    return [
        CheckResult("pointer", as_expected, f"the service reads {served}", figures={"as_expected": int(as_expected)}),
        CheckResult("promoted", decision.promoted, decision.reason, advisory=True, figures=differences),
    ]


def _require_fit(lab: Lab, release: Release) -> None:
    failed = failed_checks(lab, release)
    if failed:
        raise LabError(f"{release} is not promoted: {'; '.join(failed)}")


def _served(lab: Lab) -> Release | None:
    try:
        return lab.releases.serving.current(MODEL, ALL)
    except LabError as error:  # The pointer may name a release that was deleted.
        if error.transient:
            raise
        return None


def _encoders(release: Release) -> tuple[Any, Any]:
    return release.info.get("image_encoder"), release.info.get("title_encoder")


def _encoders_available(champion: Release, challenger: Release) -> bool:
    """Return whether the service can still compute vectors with the champion's encoders.

    The service can load any image encoder by its name, but it has only the title encoder that the settings name.
    """
    if champion.info.get("title_encoder") != challenger.info.get("title_encoder"):
        return False
    # This function is called only if the two models have different encoders. So if the two image encoders have the same
    # name, the weights or the code of this encoder have changed. The champion's version of the encoder then no longer
    # exists.
    return champion.info.get("image_encoder_name") != challenger.info.get("image_encoder_name")


def _pairs_for(lab: Lab, model: Release) -> Release:
    """Return the newest pairs that were made with the model's encoders.

    The newest pairs have the most recent test videos, on which an older model was not trained. Raises `LabError` when
    no pairs were made with these encoders.
    """
    for scope in SCOPES:
        for release in reversed(lab.releases.all(PAIRS, scope)):
            if _encoders(release) == _encoders(model):
                return release
    raise LabError(f"no pairs were made with the encoders of {model}; materialize training_pairs first")


def _loaded(release: Release) -> TrainedRanker | None:
    """Return the model, or None if the release is damaged or has an unknown format.

    Raises `UnreadError` when the release cannot be read at the moment.
    """
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    try:
        return TrainedRanker.load(release)
    except (LabError, OSError, KeyError, TypeError, ValueError) as error:
        require_damage(release, error)
        return None
