"""Test the alias `champion` with a real MLflow server. This alias names the model version that the lab serves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from real_processes import RunningLab

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import promotion
from thumblab_pipelines.models.champion import check_alias, serve_chosen, serve_newest
from thumblab_pipelines.models.tracking import Tracked, Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAME = "test-ranker"
Log = Callable[..., Tracked]
DAGSTER = "http://127.0.0.1:3000"


@pytest.fixture
def own(tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab with a release store of its own, so that a promotion does not change what the session's lab serves."""
    # Other tests cover the checks and the comparison of models. Here, every new model passes the checks and counts as
    # better than the served model.
    monkeypatch.setattr(promotion, "check_model", lambda lab, release: [])
    monkeypatch.setattr(
        promotion, "decide", lambda lab, challenger, champion: promotion.Decision(True, f"over {champion}")
    )
    settings = Settings(data_dir=tmp_path, database_url=SecretStr("postgresql://nowhere"))
    return Lab(settings, None, None, ReleaseStore(tmp_path / "releases"))  # type: ignore[arg-type]


@pytest.fixture
def three(own: Lab, release: Release, log: Log) -> list[Release]:
    """Three releases of one model, each logged as a version in MLflow."""

    def again(number: int) -> Release:
        return own.releases.publish(
            MODEL, ALL, lambda folder: None, {**release.info, "number": number}, release.run_id, release
        )

    releases = [again(number) for number in (1, 2, 3)]
    for each in releases:
        log(each)
    return releases


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

    # A person can also choose a release by giving its id to the asset `served_model`. Then the lab moves the alias to
    # this release.
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
    assert (checked.chosen, "cut short" in checked.explanation) == (None, True)
    assert own.releases.serving.current(MODEL, ALL) == three[2]
    serve_newest(own, registry)
    assert aliases(client)["champion"] == "3"

    # The tag records the version to which the lab last moved the alias. The test deletes the tag, as if the process had
    # been killed after it moved the alias and before it wrote the tag.
    client.delete_registered_model_tag(NAME, "thumblab.champion_version")
    assert check_alias(own, registry).chosen is None
    client.set_registered_model_alias(NAME, "champion", "2")
    assert check_alias(own, registry).chosen is not None, "the check above recorded the lab's own move"


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
    assert asked == [(three[2], three[1])], "the newest model is compared with the one that the person chose"
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
    copy.write_text(copy.read_text() + " ")
    with pytest.raises(LabError, match=r"cannot be fetched from MLflow .*checksum.*choose another version"):
        serve_chosen(own, registry, three[1].release_id, by_alias=True)
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
