"""Tests of the retry policy of steps, in real runs of Dagster, while the disk is full or MLflow is down."""

import errno
import os

import dagster as dg
import pytest

from thumblab_core.settings import settings
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import RETRY
from thumblab_pipelines.defs.ranking import ranking_model
from thumblab_pipelines.defs.resources import LabResource, MlflowResource

AT_ONCE = RETRY._replace(delay=0, backoff=None, jitter=None)


def test_a_step_that_a_full_disk_ends_is_tried_again_and_continues() -> None:
    tries = []

    @dg.asset(retry_policy=AT_ONCE)
    def thumbnails() -> None:
        tries.append(1)
        with explained():
            if len(tries) < 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "picture.jpg")

    done = dg.materialize([thumbnails])
    assert done.success
    assert len(tries) == 3
    retried = [event for event in done.all_events if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]
    assert len(retried) == 2
    for event in retried:
        assert "no room is left on the disk" in str(event.step_retry_data.error)


def test_every_asset_that_writes_has_this_retry_policy() -> None:
    policies = {
        key.to_user_string(): definition.op.retry_policy
        for definition in defs().resolve_asset_graph().assets_defs
        for key in definition.keys
        if definition.is_materializable
    }
    assert len(policies) > 10
    assert {name for name, policy in policies.items() if policy != RETRY} == set()


def test_the_ranking_model_is_not_trained_while_mlflow_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that the step fails before the training starts. A training takes minutes to hours, and without MLflow its
    model cannot be logged.
    """
    trained = []
    monkeypatch.setattr(ranking_model, "build_model", lambda *_, **__: trained.append(1))
    monkeypatch.setenv("THUMBLAB_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    settings.cache_clear()
    tries = []
    connect = MlflowResource.connect

    def counted(resource: MlflowResource) -> object:
        tries.append(1)
        return connect(resource)

    monkeypatch.setattr(MlflowResource, "connect", counted)
    asset = ranking_model.ranking_model.with_attributes()
    monkeypatch.setattr(asset.op, "_retry_policy", AT_ONCE)
    done = dg.materialize([asset], resources={"lab": LabResource(), "mlflow": MlflowResource()}, raise_on_error=False)
    assert not done.success
    assert trained == []
    assert len(tries) == 3, "MLflow may answer soon, so the step is tried again"
    (failure,) = [event for event in done.all_events if event.is_step_failure]
    assert "MLflow" in str(failure.step_failure_data.error)
