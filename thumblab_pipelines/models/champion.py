"""The served model and MLflow's `champion` alias say the same: the lab moves both, and follows a person who moves the alias.

The lab moves the pointer first and the alias second. Killed in between, the alias stands where the lab itself once put it,
which is nobody's wish: the pointer stays, and the next `served_model` brings the alias after it.
"""

from dataclasses import dataclass

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.promotion import Decision, faults, promote_by_hand, promote_newest, prune_models
from thumblab_pipelines.models.registry import Champion, ModelRegistry, Version


@dataclass(frozen=True)
class Standing:
    """How the alias stands to `serving`, what is served. `chosen` is a version that a person put it on, not served yet."""

    explanation: str
    serving: str | None
    chosen: Version | None = None


@dataclass(frozen=True)
class Served:
    """What is served now, its version in MLflow if it has one, and what was decided of the one that asked for its place."""

    release: Release
    version: Version | None
    challenger: Release
    decision: Decision


def standing(champion: Champion | None, serving: str | None) -> Standing:
    """Tell a person's move of the alias from the lab's own, and from one that was cut short; `serving` is the pointer."""
    if champion is None:
        return Standing("MLflow has no champion", serving)
    version = champion.version
    if version.release_id == serving:
        return Standing(f"the champion, version {version.number}, is served", serving)
    if champion.crowned == version.number:
        return Standing(
            f"{serving} is served and the champion is version {version.number} still, where the lab put it: a promotion is "
            "under way, or was cut short and is made good by materializing served_model",
            serving,
        )
    # Also where the lab never put the alias anywhere: what it puts it on is served by then.
    return Standing(f"a person made version {version.number} the champion", serving, version)


def watch(lab: Lab, registry: ModelRegistry) -> Standing:
    """How the alias stands now; that a person's move has been followed is noted."""
    champion, serving = registry.champion(), lab.releases.serving.current_id(MODEL, ALL)
    found = standing(champion, serving)
    if champion and champion.version.release_id == serving and champion.crowned != champion.version.number:
        registry.acknowledge(champion.version)
    return found


def serve_newest(lab: Lab, registry: ModelRegistry) -> Served:
    """Serve the newest model where it is fit and not worse than the champion, and have the alias say what is served.

    A choice of a person's that the sensor has not followed yet is the champion to compare with, and stays one that is
    followed when the newest model is worse. One that cannot be served is not compared with, and keeps the alias still.
    Raises `LabError` when the newest model is not fit or was never logged, or MLflow does not answer now.
    """
    newest = lab.releases.latest(MODEL, ALL)
    if newest is not None and registry.of_release(newest.release_id) is None:
        raise LabError(f"MLflow has no model of {newest}; materialize ranking_model again")
    before, serving = registry.champion(), lab.releases.serving.current_id(MODEL, ALL)
    wish = standing(before, serving).chosen
    wished = None if wish is None else _fetched(lab, registry, wish)
    challenger, served, decision = promote_newest(lab, wished)
    version = registry.of_release(served.release_id)
    # A person who has moved the alias meanwhile wins: it stays there, and the sensor follows it.
    beaten = decision.promoted and wished is not None
    if version is not None and (wish is None or beaten) and registry.champion() == before:
        registry.crown(version)
    asked = registry.of_release(challenger.release_id)
    if asked is not None and (challenger.release_id != serving or asked.promotion is None):
        registry.tell(asked, f"{'promoted' if decision.promoted else 'not promoted'}: {decision.reason}")
    _prune(lab, registry)
    return Served(served, version, challenger, decision)


def serve_chosen(lab: Lab, registry: ModelRegistry, release_id: str, by_alias: bool) -> Served:
    """Serve the release that a person has chosen, in the Dagster UI or `by_alias`; it is judged and compared with nothing.

    One that was pruned is fetched from MLflow. Raises `LabError` when it is not fit or cannot be had, and says so in MLflow.
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
            registry.tell(version, f"refused: {error}")
        raise
    how = "the champion alias was put on it" if by_alias else "served_model was told its release"
    decision = Decision(True, f"served by hand: {how}")
    if version is not None:
        if by_alias:  # which is the person's: by now it may stand elsewhere again
            registry.acknowledge(version)
        else:
            registry.crown(version)
        registry.tell(version, decision.reason)
    _prune(lab, registry)
    return Served(release, version, release, decision)


def _fetched(lab: Lab, registry: ModelRegistry, version: Version) -> Release | None:
    """What a person wishes to be served; None where it cannot be had or is not fit, which the sensor tells.

    Raises `LabError` where it may be had later: nothing is decided over a person's wish because a server was away.
    """
    try:
        release = registry.recovered(version, lab.releases, MODEL, ALL)
    except LabError as error:
        if error.transient:
            raise
        return None
    return None if faults(lab, release) else release


def _prune(lab: Lab, registry: ModelRegistry) -> None:
    """Spare the model that the alias names, too."""
    champion = registry.champion()
    spare = [champion.version.release_id] if champion and champion.version.release_id else []
    prune_models(lab, spare)
