"""Tests of MLflow's alias `champion`, which names the served version of the model.

A person may move the alias to another version. The lab then checks this version, and serves the version if it passes.
The lab never moves the alias back.
"""

import json
from collections.abc import Callable

import dagster as dg
import pytest

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.defs.ranking import serve
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.champion import alias_state, serve_newest
from thumblab_pipelines.models.promotion import promote_by_hand
from thumblab_pipelines.models.registry import Champion, MlflowError, ModelRegistry, Version

Publish = Callable[..., Release]


def champion(number: str, release_id: str | None, crowned: str | None) -> Champion:
    return Champion(Version(number, "run", release_id), crowned)


@pytest.mark.parametrize(
    ("alias", "by_hand", "explanation"),
    [
        (None, False, "no champion"),
        (champion("2", "served", "2"), False, "is served"),
        # The lab was killed after it moved the alias to version 2 and before it recorded this move.
        (champion("2", "served", "1"), False, "is served"),
        # The lab was killed after it moved the pointer and before it moved the alias.
        (champion("1", "older", "1"), False, "was interrupted"),
        # No move of the alias by the lab is recorded, so a person has set the alias.
        (champion("1", "older", None), True, "a person"),
        (champion("1", "older", "2"), True, "a person"),
        (champion("3", "newer", "2"), True, "a person"),
        (champion("4", None, "2"), True, "a person"),
    ],
)
def test_a_persons_move_is_distinguished_from_the_labs_own_even_after_a_crash(
    alias: Champion | None, by_hand: bool, explanation: str
) -> None:
    state = alias_state(alias, "served")
    assert (state.chosen is not None) == by_hand
    assert explanation in state.explanation


def test_a_person_may_choose_the_first_model_to_serve() -> None:
    alias = champion("1", "first", None)
    assert alias_state(alias, None).chosen == alias.version


class Registry:
    """A model registry in which a person has moved the alias.

    The method `recovered` returns `release`, the release that the person chose. If `release` is an error, the method
    raises this error.
    """

    def __init__(self, choice: Champion, release: Release | LabError) -> None:
        self.alias, self.release, self.promotions = choice, release, list[str]()

    def champion(self) -> Champion:
        return self.alias

    def of_release(self, release_id: str) -> Version:
        return Version("9", "run", release_id)

    def recovered(self, *of: object) -> Release:
        if isinstance(self.release, LabError):
            raise self.release
        return self.release

    def set_champion(self, version: Version) -> None:
        self.alias = Champion(version, version.number)

    def set_promotion(self, version: Version, decision: str) -> None:
        self.promotions.append(decision)


@pytest.mark.parametrize("mlflow_is_down", [True, False])
def test_an_unavailable_choice_keeps_its_alias_and_is_waited_for_if_mlflow_is_down(
    scored_lab: Lab, publish: Publish, mlflow_is_down: bool
) -> None:
    old = publish(0.5)
    promote_by_hand(scored_lab, old)
    new = publish(0.1)
    choice = champion("3", "gone", "2")
    registry = Registry(choice, MlflowError("down") if mlflow_is_down else LabError("damaged"))
    if mlflow_is_down:
        with pytest.raises(MlflowError, match="down"):
            serve_newest(scored_lab, registry)  # type: ignore[arg-type]
    else:
        assert serve_newest(scored_lab, registry).decision.promoted  # type: ignore[arg-type]
    assert scored_lab.releases.serving.current_id(MODEL, ALL) == (old if mlflow_is_down else new).release_id
    assert registry.alias == choice


def test_a_choice_that_fails_a_check_is_not_compared_and_keeps_its_alias(scored_lab: Lab, publish: Publish) -> None:
    """Serve a model after a person has chosen a model that fails its check.

    No model was served before. The lab must serve the newest model, which passes its check.
    """
    dead, fit = publish(0.1, dead=True), publish(3.0)
    choice = champion("1", dead.release_id, None)
    registry = Registry(choice, dead)
    served = serve_newest(scored_lab, registry)  # type: ignore[arg-type]
    assert (served.release, served.decision.promoted, served.decision.comparisons) == (fit, True, ())
    assert registry.alias == choice


@pytest.mark.parametrize(("code", "transient"), [("INTERNAL_ERROR", True), ("RESOURCE_DOES_NOT_EXIST", False)])
def test_a_failed_download_is_transient_unless_mlflow_lacks_the_files(
    scored_lab: Lab, monkeypatch: pytest.MonkeyPatch, code: str, transient: bool
) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2

    def refuse(**of: object) -> str:
        raise MlflowException("refused", error_code=getattr(databricks_pb2, code))

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", refuse)
    with pytest.raises(LabError, match="cannot be fetched from MLflow") as raised:
        ModelRegistry(None, "m").recovered(
            Version("1", "run", "20260101T000000000000Z-01234567"), scored_lab.releases, MODEL, ALL
        )
    assert raised.value.transient is transient


def test_a_persons_move_requests_one_run_and_another_every_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 3_600.0 * 500_000
    monkeypatch.setattr("time.time", lambda: now)
    monkeypatch.setattr(MlflowResource, "connect", lambda self: type("Server", (), {"registry": None}))
    alias, serving = champion("1", "older", "2"), "served"
    instance = dg.DagsterInstance.ephemeral()
    monkeypatch.setattr(serve, "check_alias", lambda lab, registry: alias_state(alias, serving))
    cursor: str | None = None

    def tick() -> list[dict[str, object]]:
        nonlocal cursor
        resources = {"lab": LabResource(), "mlflow": MlflowResource()}
        with dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context:
            tick = serve.champion_moved.evaluate_tick(context)
        cursor = tick.cursor
        return [dict(request.run_config["ops"]["served_model"]["config"]) for request in tick.run_requests or []]

    requested = [{"release_id": "older", "by_alias": True}]
    assert [tick(), tick(), tick()] == [requested, [], []]
    now += 3_600
    # While a run of the job has not ended, no further run is requested, even in the next hour.
    working = instance.add_run(dg.DagsterRun("serve_model", status=dg.DagsterRunStatus.STARTED))
    assert [tick(), tick()] == [[], []]
    instance.report_run_failed(working)
    assert [tick(), tick()] == [requested, []]
    # The lab now serves the model "older", as the person chose. In the same hour, the person moves the alias to version
    # 2 and then back to version 1. For each move of the alias, the sensor must request exactly one run.
    for number, release_id, crowned, served in [("2", "newer", "1", "older"), ("1", "older", "2", "newer")]:
        alias, serving = champion(number, release_id, crowned), served
        assert [tick(), tick()] == [[{"release_id": release_id, "by_alias": True}], []]
    alias = champion("1", "newer", "1")
    assert tick() == []
    assert json.loads(cursor or "") == {}
    alias = champion("9", None, "1")
    assert tick() == [], "a version that the lab did not register cannot be served"
