"""Keep the served model and MLflow's `champion` alias in agreement: the lab moves both, and follows a person's move.

The lab moves the pointer first and the alias second. After a kill in between, the alias names the version where the lab
itself last put it. That is not a person's choice: the pointer stays, and the next `served_model` moves the alias.
"""

from dataclasses import dataclass

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.promotion import Decision, failed_checks, promote_by_hand, promote_newest, prune_models
from thumblab_pipelines.models.registry import Champion, ModelRegistry, Version


@dataclass(frozen=True)
class AliasState:
    """Whether the champion alias names the served release.

    `serving`: the id of the served release; `chosen`: the version that a person moved the alias to and that is not
    served yet, if there is one; `explanation`: a sentence for people.
    """

    explanation: str
    serving: str | None
    chosen: Version | None = None


@dataclass(frozen=True)
class Served:
    """The release that is served now, its version in MLflow if it has one, the challenger, and the decision on it."""

    release: Release
    version: Version | None
    challenger: Release
    decision: Decision


def alias_state(champion: Champion | None, serving: str | None) -> AliasState:
    """Return the state of the alias: moved by a person, by the lab, or left behind by an interrupted promotion.

    `serving`: the id of the served release.
    """
    if champion is None:
        return AliasState("MLflow has no champion", serving)
    version = champion.version
    if version.release_id == serving:
        return AliasState(f"the champion, version {version.number}, is served", serving)
    if champion.crowned == version.number:
        return AliasState(
            f"{serving} is served and the champion is still version {version.number}, where the lab put it: a "
            "promotion is running, or was cut short; materializing served_model completes it",
            serving,
        )
    # This includes an alias that the lab never moved: the lab serves a version before it moves the alias there.
    return AliasState(f"a person made version {version.number} the champion", serving, version)


def check_alias(lab: Lab, registry: ModelRegistry) -> AliasState:
    """Return the state of the alias now, and record in MLflow if the lab has followed a person's move."""
    champion, serving = registry.champion(), lab.releases.serving.current_id(MODEL, ALL)
    state = alias_state(champion, serving)
    if champion and champion.version.release_id == serving and champion.crowned != champion.version.number:
        registry.acknowledge(champion.version)
    return state


def serve_newest(lab: Lab, registry: ModelRegistry) -> Served:
    """Serve the newest model if it passes its checks and is not worse than the champion, and move the alias to it.

    A version that a person has chosen and that is not served yet takes the place of the champion in the comparison. If
    the newest model is worse, the sensor still follows that choice. If the chosen version cannot be served, the newest
    model is compared with the served one, and the alias stays where the person put it.

    Raises `LabError` when the newest model fails a check or is not in MLflow, or when MLflow does not answer.
    """
    newest = lab.releases.latest(MODEL, ALL)
    if newest is not None and registry.of_release(newest.release_id) is None:
        raise LabError(f"MLflow has no model of {newest}; materialize ranking_model again")
    before, serving = registry.champion(), lab.releases.serving.current_id(MODEL, ALL)
    chosen = alias_state(before, serving).chosen
    chosen_release = None if chosen is None else _servable(lab, registry, chosen)
    challenger, served, decision = promote_newest(lab, chosen_release)
    version = registry.of_release(served.release_id)
    # If a person has moved the alias meanwhile, it stays there and the sensor follows it.
    replaces_choice = decision.promoted and chosen_release is not None
    if version is not None and (chosen is None or replaces_choice) and registry.champion() == before:
        registry.crown(version)
    challenger_version = registry.of_release(challenger.release_id)
    if challenger_version is not None and (challenger.release_id != serving or challenger_version.promotion is None):
        outcome = "promoted" if decision.promoted else "not promoted"
        registry.set_promotion(challenger_version, f"{outcome}: {decision.reason}")
    _prune(lab, registry)
    return Served(served, version, challenger, decision)


def serve_chosen(lab: Lab, registry: ModelRegistry, release_id: str, by_alias: bool) -> Served:
    """Serve the release that a person has chosen, in the Dagster UI or `by_alias`. It is checked but not compared.

    A release that was deleted from the store is fetched from MLflow. Raises `LabError` when it fails a check or cannot
    be fetched, and records the reason in MLflow.
    """
    version = registry.of_release(release_id)
    try:
        if version is None:
            release = lab.releases.get(MODEL, ALL, release_id)
        else:
            release = registry.recovered(version, lab.releases, MODEL, ALL)
        promote_by_hand(lab, release)
    except LabError as error:
        if version is not None and not error.transient:
            registry.set_promotion(version, f"refused: {error}")
        raise
    how = "the champion alias was put on it" if by_alias else "its release was given to served_model"
    decision = Decision(True, f"served by hand: {how}")
    if version is not None:
        if by_alias:  # do not move the alias: the person may have moved it again by now
            registry.acknowledge(version)
        else:
            registry.crown(version)
        registry.set_promotion(version, decision.reason)
    _prune(lab, registry)
    return Served(release, version, release, decision)


def _servable(lab: Lab, registry: ModelRegistry, version: Version) -> Release | None:
    """Return the release of a version that a person has chosen, or None when it cannot be served.

    Raises `LabError` when a later attempt may succeed, so that no choice is ignored because MLflow did not answer.
    """
    try:
        release = registry.recovered(version, lab.releases, MODEL, ALL)
    except LabError as error:
        if error.transient:
            raise
        return None
    return None if failed_checks(lab, release) else release


def _prune(lab: Lab, registry: ModelRegistry) -> None:
    """Delete old model releases, except the one that the alias names."""
    champion = registry.champion()
    spare = [champion.version.release_id] if champion and champion.version.release_id else []
    prune_models(lab, spare)
