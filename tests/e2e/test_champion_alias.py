"""Test the alias `champion` with a real MLflow server. This alias names the model version that the lab serves."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from logged_models import NAME, connected_tracker, log_release
from pydantic import SecretStr
from real_processes import RunningLab

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import promotion
from thumblab_pipelines.models.champion import check_alias, serve_chosen, serve_newest
from thumblab_pipelines.models.tracking import Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Logged:
    """A release store with three releases of one model. `tracker` logged each release as a model version in MLflow."""

    store: ReleaseStore
    tracker: Tracker
    releases: list[Release]


@pytest.fixture(scope="module")
def logged(lab: RunningLab, trained: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    # The tests of this file share the three versions, because logging a version takes seconds.
    served = ReleaseStore(lab.data_dir / "releases")
    release = served.serving.current(MODEL, ALL)
    assert release is not None
    store = ReleaseStore(tmp_path_factory.mktemp("three") / "releases")
    with connected_tracker(lab) as tracker:
        releases = [
            store.publish(MODEL, ALL, lambda folder: None, {**release.info, "number": number}, release.run_id, release)
            for number in (1, 2, 3)
        ]
        for each in releases:
            log_release(tracker, each, served)
        yield Logged(store, tracker, releases)


@pytest.fixture
def tracker(logged: Logged) -> Iterator[Tracker]:
    """The tracker of `logged`. After each test, all changes of the registered model in MLflow are undone."""
    yield logged.tracker
    from mlflow import MlflowClient

    client = MlflowClient()
    model = client.get_registered_model(NAME)
    for alias in model.aliases:
        client.delete_registered_model_alias(NAME, alias)
    client.set_registered_model_alias(NAME, "challenger", "3")
    if "thumblab.champion_version" in model.tags:
        client.delete_registered_model_tag(NAME, "thumblab.champion_version")
    for version in client.search_model_versions(f"name = '{NAME}'"):
        if int(version.version) > len(logged.releases):
            client.delete_model_version(NAME, version.version)
        elif "thumblab.promotion" in version.tags:
            client.delete_model_version_tag(NAME, version.version, "thumblab.promotion")


@pytest.fixture
def own(tmp_path: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab with a copy of the releases of `logged`, so that no test changes the served model of the session's lab."""
    # Other tests cover the checks and the comparison of models. In this lab, every new model passes the checks and
    # counts as better than the served model.
    monkeypatch.setattr(promotion, "check_model", lambda lab, release: [])
    monkeypatch.setattr(
        promotion, "decide", lambda lab, challenger, champion: promotion.Decision(True, f"over {champion}")
    )
    folder = tmp_path / "releases"
    shutil.copytree(logged.store.root, folder, symlinks=True)
    settings = Settings(data_dir=tmp_path, database_url=SecretStr("postgresql://nowhere"))
    return Lab(settings, None, None, ReleaseStore(folder))  # type: ignore[arg-type]


@pytest.fixture
def three(own: Lab, logged: Logged) -> list[Release]:
    """The three releases in the store of `own`."""
    return [own.releases.get(MODEL, ALL, release.release_id) for release in logged.releases]


def aliases(client: Any) -> dict[str, str]:
    registered: dict[str, str] = client.get_registered_model(NAME).aliases
    return registered


def test_the_alias_follows_the_lab_and_the_lab_follows_a_person_who_moves_it(
    own: Lab, tracker: Tracker, client: Any, three: list[Release]
) -> None:
    registry = tracker.registry
    assert check_alias(own, registry).explanation == "MLflow has no champion"
    assert serve_newest(own, registry).release == three[2]
    assert aliases(client) == {"challenger": "3", "champion": "3"}
    assert check_alias(own, registry).chosen is None
    assert client.get_model_version(NAME, "3").tags["thumblab.promotion"] == "promoted: over None"

    client.set_registered_model_alias(NAME, "champion", "1")
    chosen = check_alias(own, registry).chosen
    assert chosen is not None
    assert chosen.release_id == three[0].release_id
    serve_chosen(own, registry, three[0].release_id, by_alias=True)
    assert own.releases.serving.current(MODEL, ALL) == three[0]
    assert check_alias(own, registry).chosen is None
    assert "served by hand: the champion alias" in client.get_model_version(NAME, "1").tags["thumblab.promotion"]

    # A person can also choose a release by giving its id to the asset `served_model`. After this choice, the lab moves
    # the alias to the chosen release.
    serve_chosen(own, registry, three[1].release_id, by_alias=False)
    assert aliases(client)["champion"] == "2"
    assert check_alias(own, registry).chosen is None


def test_a_crash_between_pointer_and_alias_rolls_nothing_back_and_is_repaired(
    own: Lab, tracker: Tracker, client: Any, three: list[Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tracker.registry
    serve_chosen(own, registry, three[0].release_id, by_alias=False)
    # This call moves only the pointer, as if the process had been killed before it moved the alias.
    own.releases.serving.promote(three[2])
    checked = check_alias(own, registry)
    assert (checked.chosen, "was interrupted" in checked.explanation) == (None, True)
    assert own.releases.serving.current(MODEL, ALL) == three[2]
    serve_newest(own, registry)
    assert aliases(client)["champion"] == "3"

    # The tag records the version to which the lab last moved the alias. The test deletes the tag, as if the process had
    # been killed after it moved the alias and before it wrote the tag.
    client.delete_registered_model_tag(NAME, "thumblab.champion_version")
    assert check_alias(own, registry).chosen is None
    client.set_registered_model_alias(NAME, "champion", "2")
    assert check_alias(own, registry).chosen is not None, "the lab must have recorded its own move of the alias"


def test_a_person_who_moves_the_alias_during_a_promotion_wins(
    own: Lab, tracker: Tracker, client: Any, three: list[Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tracker.registry
    serve_chosen(own, registry, three[0].release_id, by_alias=False)

    def decide(*_: object) -> promotion.Decision:
        client.set_registered_model_alias(NAME, "champion", "2")
        return promotion.Decision(True, "meanwhile")

    monkeypatch.setattr(promotion, "decide", decide)
    serve_newest(own, registry)
    assert aliases(client)["champion"] == "2"
    chosen = check_alias(own, registry).chosen
    assert chosen is not None
    assert chosen.release_id == three[1].release_id


def test_a_moved_alias_survives_a_training_that_is_not_better(
    own: Lab, tracker: Tracker, client: Any, three: list[Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tracker.registry
    serve_chosen(own, registry, three[0].release_id, by_alias=False)
    client.set_registered_model_alias(NAME, "champion", "2")
    asked: list[tuple[Release, Release | None]] = []

    def decide(lab: Lab, challenger: Release, champion: Release | None) -> promotion.Decision:
        asked.append((challenger, champion))
        return promotion.Decision(False, "worse")

    monkeypatch.setattr(promotion, "decide", decide)
    assert serve_newest(own, registry).release == three[0]
    assert asked == [(three[2], three[1])], "the newest model must be compared with the person's choice"
    assert aliases(client)["champion"] == "2"
    assert check_alias(own, registry).chosen is not None
    assert client.get_model_version(NAME, "3").tags["thumblab.promotion"] == "not promoted: worse"


def test_a_pruned_release_is_fetched_from_mlflow_unless_the_copy_is_damaged(
    own: Lab, tracker: Tracker, client: Any, three: list[Release], lab: RunningLab
) -> None:
    registry = tracker.registry
    serve_newest(own, registry)
    own.releases.remove(three[0])
    own.releases.remove(three[1])
    served = serve_chosen(own, registry, three[0].release_id, by_alias=True)
    assert own.releases.serving.current(MODEL, ALL) == served.release == three[0]
    served.release.verify()

    [copy] = (lab.data_dir / "mlflow-artifacts").rglob(f"{three[1].release_id}/calibration.json")
    good = copy.read_text()
    copy.write_text(good + " ")
    with pytest.raises(LabError, match=r"cannot be fetched from MLflow .*checksum.*choose another version"):
        serve_chosen(own, registry, three[1].release_id, by_alias=True)
    copy.write_text(good)
    assert own.releases.serving.current(MODEL, ALL) == three[0]
    assert "refused: " in client.get_model_version(NAME, "2").tags["thumblab.promotion"]


def test_the_release_that_the_alias_names_is_not_pruned(
    own: Lab, tracker: Tracker, client: Any, three: list[Release]
) -> None:
    registry = tracker.registry
    serve_newest(own, registry)
    client.set_registered_model_alias(NAME, "champion", "1")
    for number in range(own.settings.releases_kept):
        own.releases.publish(MODEL, ALL, lambda folder: None, {**three[0].info, "number": 10 + number}, None, three[0])
    serve_chosen(own, registry, three[2].release_id, by_alias=True)
    left = {release.release_id for release in own.releases.all(MODEL, ALL)}
    assert {three[0].release_id, three[2].release_id} <= left
    assert three[1].release_id not in left


def test_a_version_that_is_not_the_labs_is_never_served(
    own: Lab, tracker: Tracker, client: Any, three: list[Release]
) -> None:
    registry = tracker.registry
    serve_newest(own, registry)
    source = client.get_model_version(NAME, "1").source
    strange = client.create_model_version(NAME, source, model_id=source.removeprefix("models:/"))
    client.set_registered_model_alias(NAME, "champion", strange.version)
    chosen = check_alias(own, registry).chosen
    assert chosen is not None
    assert chosen.release_id is None
    with pytest.raises(LabError, match="was not registered by the lab"):
        registry.recovered(chosen, own.releases, MODEL, ALL)
    assert own.releases.serving.current(MODEL, ALL) == three[2]
