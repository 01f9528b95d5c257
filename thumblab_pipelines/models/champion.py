"""Keep MLflow's `champion` alias on the model that the lab serves.

When a person moves the alias in MLflow, the lab serves the model that the alias names. When the lab promotes a model,
it first moves the pointer to the model, and then the alias.

If the lab is killed between these two steps, the alias still names the older version. The lab stores the version to
which it last moved the alias. If the alias still names this version, no person has moved the alias. If no person has
moved the alias, the pointer stays where it is, and the next materialization of `served_model` moves the alias.
"""

from dataclasses import dataclass

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.promotion import Decision, failed_checks, promote_by_hand, promote_newest, prune_models
from thumblab_pipelines.models.registry import Champion, ModelRegistry, Version


@dataclass(frozen=True)
class AliasState:
    """The state of the champion alias: whether it names the served release, and whether a person has moved it.

    `explanation`: a sentence about the state. `serving`: id of the served release. `chosen`: the version to which a
    person moved the alias. `chosen` is None if no person moved the alias, or if this version is already served.
    """

    explanation: str
    serving: str | None
    chosen: Version | None = None


@dataclass(frozen=True)
class Served:
    """The result of a promotion.

    `release`: the release that is served now. `version`: the release's version in MLflow, or None if MLflow has no
    version of the release. `decision`: whether the `challenger` is served, and why.
    """

    release: Release
    version: Version | None
    challenger: Release
    decision: Decision


def alias_state(champion: Champion | None, serving: str | None) -> AliasState:
    """Return the state of the alias.

    The alias may name the version of the served release, or a version that a person chose. If a promotion was
    interrupted, the alias may still name the version that was served before the promotion.

    `champion`: the version that the alias names, or None. `serving`: the id of the served release.
    """
    if champion is None:
        return AliasState("MLflow has no champion", serving)
    version = champion.version
    if version.release_id == serving:
        return AliasState(f"the champion, version {version.number}, is served", serving)
    if champion.crowned == version.number:
        return AliasState(
            f"{serving} is served, but the champion alias still names version {version.number}, to which the lab "
            "moved it: a promotion is running or was interrupted; materializing served_model completes it",
            serving,
        )
    # At this point, the alias names a version that is not served, and the lab last moved the alias to another version.
    # The lab never moves the alias to a version before it serves the version. So a person has moved the alias.
    return AliasState(f"a person made version {version.number} the champion", serving, version)


def check_alias(lab: Lab, registry: ModelRegistry) -> AliasState:
    """Return the current state of the alias.

    If the lab now serves the version to which a person moved the alias, record in MLflow that the lab serves this
    version."""
    champion, serving = registry.champion(), lab.releases.serving.current_id(MODEL, ALL)
    state = alias_state(champion, serving)
    if champion and champion.version.release_id == serving and champion.crowned != champion.version.number:
        registry.record_champion(champion.version)
    return state


def serve_newest(lab: Lab, registry: ModelRegistry) -> Served:
    """Serve the newest model if it passes its checks and is not worse than the champion.

    Then move the alias to the served model.

    The champion is normally the served model. If a person has moved the alias to a version that is not served yet, the
    newest model is compared with this version instead. If the newest model is worse, the sensor `champion_moved` later
    serves the person's choice. If the chosen version cannot be served, the newest model is compared with the served
    model, and the alias stays where the person put it.

    Raises `LabError` when the newest model fails a check or is not in MLflow, or when MLflow does not answer.
    """
    newest = lab.releases.latest(MODEL, ALL)
    if newest is not None and registry.of_release(newest.release_id) is None:
        raise LabError(f"MLflow has no model of the release {newest}; materialize ranking_model again")
    before, serving = registry.champion(), lab.releases.serving.current_id(MODEL, ALL)
    chosen = alias_state(before, serving).chosen
    chosen_release = None if chosen is None else _servable(lab, registry, chosen)
    challenger, served, decision = promote_newest(lab, chosen_release)
    version = registry.of_release(served.release_id)
    # If a person has moved the alias since `before` was read, the lab leaves the alias where it is. The sensor
    # `champion_moved` then serves the person's choice.
    replaces_choice = decision.promoted and chosen_release is not None
    if version is not None and (chosen is None or replaces_choice) and registry.champion() == before:
        registry.set_champion(version)
    challenger_version = registry.of_release(challenger.release_id)
    if challenger_version is not None and (challenger.release_id != serving or challenger_version.promotion is None):
        outcome = "promoted" if decision.promoted else "not promoted"
        registry.set_promotion(challenger_version, f"{outcome}: {decision.reason}")
    _prune(lab, registry)
    return Served(served, version, challenger, decision)


def serve_chosen(lab: Lab, registry: ModelRegistry, release_id: str, by_alias: bool) -> Served:
    """Serve the release that a person has chosen. The release is checked, but not compared with the served model.

    `by_alias`: whether the person chose the release by moving the champion alias in MLflow. If false, the person chose
    the release in the Dagster UI. A release that was deleted from the release store is fetched from MLflow.

    Raises `LabError` when the release fails a check or cannot be fetched. If another attempt would fail too, the reason
    is also recorded in MLflow.
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
        if by_alias:  # The person has moved the alias, and may have moved it again since. So the lab does not move it.
            registry.record_champion(version)
        else:
            registry.set_champion(version)
        registry.set_promotion(version, decision.reason)
    _prune(lab, registry)
    return Served(release, version, release, decision)


def _servable(lab: Lab, registry: ModelRegistry, version: Version) -> Release | None:
    """Return the release of a version that a person has chosen, or None if the release cannot be served.

    Raises `LabError` when another attempt may succeed, for example if MLflow did not answer. Returning None would be
    wrong in this case, because the caller ignores the person's choice if the result is None.
    """
    try:
        release = registry.recovered(version, lab.releases, MODEL, ALL)
    except LabError as error:
        if error.transient:
            raise
        return None
    return None if failed_checks(lab, release) else release


def _prune(lab: Lab, registry: ModelRegistry) -> None:
    """Delete old model releases, but keep the release that the champion alias names."""
    champion = registry.champion()
    spare = [champion.version.release_id] if champion and champion.version.release_id else []
    prune_models(lab, spare)
