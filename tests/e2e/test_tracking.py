"""Test the tracker with a real MLflow server. The tracker logs model releases to MLflow."""

import json
import os
import pickle
import pickletools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from logged_models import DAGSTER, NAME
from real_processes import RunningLab, free_ports

from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.models.build import BuiltModel
from thumblab_pipelines.models.tracking import Tracked, Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Log = Callable[..., Tracked]


def test_without_a_server_the_tracker_says_at_once_how_to_start_one() -> None:
    uri = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(LabError, match="thumblab up") as raised:
        Tracker.connect(uri)
    assert uri in str(raised.value)
    assert "THUMBLAB_MLFLOW_TRACKING_URI" in str(raised.value)


def test_without_a_server_the_sensor_skips_its_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_core.settings import settings
    from thumblab_pipelines.defs.ranking.serve import champion_moved
    from thumblab_pipelines.defs.resources import LabResource, MlflowResource

    monkeypatch.setenv("THUMBLAB_MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_ports(1)[0]}")
    settings.cache_clear()
    with dg.build_sensor_context(resources={"lab": LabResource(), "mlflow": MlflowResource()}) as context:
        tick = champion_moved.evaluate_tick(context)
    assert (tick.run_requests, "does not answer" in (tick.skip_message or "")) == ([], True)


def kept(client: Any) -> tuple[list[str], list[str]]:
    """Return the states of the MLflow experiment's runs, and the versions of the registered model."""
    experiment = client.get_experiment_by_name(NAME)
    runs = client.search_runs([experiment.experiment_id])
    versions = client.search_model_versions(f"name = '{NAME}'")
    return sorted(run.info.status for run in runs), [version.version for version in versions]


def test_a_release_is_logged_once_even_if_requested_again(client: Any, log: Log, release: Release) -> None:
    first, second = log(release), log(release)
    assert (first.reused, second.reused) == (False, True)
    assert (first.run_id, first.version, first.url) == (second.run_id, second.version, second.url)
    assert kept(client) == (["FINISHED"], ["1"])
    assert client.get_registered_model(NAME).aliases == {"challenger": "1"}


CHROMIUM = Path("/usr/bin/chromium")


@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium")
def test_mlflows_page_opens_as_model_training_even_for_an_older_experiment(lab: RunningLab, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(lab.up.url("mlflow"))
    older = client.create_experiment("older")
    address = Tracker(client, lab.up.url("mlflow"), "older").page()
    assert client.get_experiment(older).tags["mlflow.experimentKind"] == "custom_model_development"
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --virtual-time-budget=20000 --dump-dom"
    done = subprocess.run(
        [CHROMIUM, *flags.split(), f"--user-data-dir={tmp_path}", address], capture_output=True, text=True, timeout=120
    )
    assert (">Model registry<" in done.stdout, ">Judges<" in done.stdout) == (True, False), done.stdout[-2_000:]


LOG = """
import json, sys
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.build import BuiltModel
from thumblab_pipelines.models.tracking import Tracker, log_model
lab = Lab.open()
logged = log_model(lab, Tracker.connect(*sys.argv[1:3]), BuiltModel(lab.releases.get(MODEL, ALL, sys.argv[3]), True))
print(json.dumps([logged.run_id, logged.reused]))
"""


def test_two_processes_that_log_a_release_at_once_leave_one_finished_run(
    lab: RunningLab, client: Any, release: Release
) -> None:
    command = [sys.executable, "-c", LOG, lab.up.url("mlflow"), NAME, release.release_id]
    own = os.environ | {"THUMBLAB_DATA_DIR": str(lab.data_dir)}
    both = [subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    logged = [json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in both]
    assert logged[0][0] == logged[1][0]
    assert sorted(reused for _, reused in logged) == [False, True]
    assert kept(client) == (["FINISHED"], ["1"])


def is_pickle(data: bytes) -> bool:
    """Return whether the data is a pickle.

    All of the data is parsed, because a file of tensors may by chance have the first and last bytes of a pickle.
    """
    if data[:1] != b"\x80" or data[1:2] > b"\x05":
        return False
    try:
        return bool(list(pickletools.genops(data)))
    except (ValueError, EOFError, UnicodeDecodeError):
        return False


def test_a_run_has_everything_to_compare_and_repeat_it(
    client: Any, log: Log, release: Release, store: ReleaseStore, tmp_path: Path
) -> None:
    import mlflow

    built = BuiltModel(release, reused=True)
    logged = log(release)
    run = client.get_run(logged.run_id)
    trained = json.loads((release.path / "config.json").read_text())["training"]
    assert run.data.params["pairs_release"] == release.info["pairs_release"]
    assert run.data.params["config.seed"] == str(trained["config"]["seed"])
    assert len(client.get_metric_history(logged.run_id, "pair_loss")) == len(built.history)
    assert run.data.metrics["future_all_model_auc"] == pytest.approx(release.info["future_auc"])
    assert run.data.metrics["future_all_model_auc_low"] < run.data.metrics["future_all_model_auc_high"]
    assert {"future_all_age_auc", "new_channels_2x_title_auc"} <= set(run.data.metrics)

    inputs = {entry.dataset.name: entry for entry in run.inputs.dataset_inputs}
    assert set(inputs) == {"training_pairs", "image_encoder", "title_encoder", "code"}
    pairs = store.get("pairs", "all", release.info["pairs_release"])
    assert pairs.info["inputs"].startswith(inputs["training_pairs"].dataset.digest)
    assert release.info["pairs_release"] in inputs["training_pairs"].dataset.source
    assert release.info["title_encoder"] in inputs["title_encoder"].dataset.source
    assert {tag.key: tag.value for tag in inputs["code"].tags} == {"mlflow.data.context": "training"}

    assert run.data.tags["dagster.run_url"] == f"{DAGSTER}/runs/{release.run_id}"
    assert run.data.tags["dagster.run_url"] in run.data.tags["mlflow.note.content"]
    version = client.get_model_version(NAME, logged.version)
    assert version.tags["thumblab.release_id"] == release.release_id

    plots = {Path(item.path).name for item in client.list_artifacts(logged.run_id, "plots")}
    assert "learning_curves.png" in plots
    figures = mlflow.artifacts.load_dict(f"runs:/{logged.run_id}/evaluation.json")
    assert len(figures["data"]) == sum(evaluation.value is not None for evaluation in built.evaluations)
    assert ["future", "all", "model", "auc"] in [row[:4] for row in figures["data"]]

    model = mlflow.pyfunc.load_model(f"models:/{NAME}/{logged.version}")
    assert model.input_example.shape[0] == 2
    assert model.predict(model.input_example).shape == (2,)
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, model.input_example.shape[1])
    mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{NAME}/{logged.version}", dst_path=str(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"model.safetensors", "MLmodel", "input_example.json"} <= {path.name for path in files}
    contents = {path.name: path.read_bytes() for path in files}
    pickled = [name for name, data in contents.items() if is_pickle(data)]
    assert [name for name in contents if name.endswith((".pkl", ".pt", ".pth"))] == []
    assert pickled == []
    assert is_pickle(pickle.dumps({"a": 1}))


@pytest.mark.parametrize("left", ["a run that was only begun", "a run that was never registered"])
def test_a_run_left_by_a_crash_is_closed_as_failed_and_logged_again(
    client: Any, log: Log, release: Release, left: str
) -> None:
    logged = log(release)
    client.delete_model_version(NAME, logged.version)
    if left == "a run that was only begun":
        client.delete_run(logged.run_id)
        experiment = client.get_experiment_by_name(NAME).experiment_id
        logged_run = client.create_run(experiment, tags={"thumblab.release_id": release.release_id}).info.run_id
    else:
        logged_run = logged.run_id
    again = log(release)
    assert not again.reused
    assert client.get_run(logged_run).info.status == "FAILED"
    states, versions = kept(client)
    assert (states.count("FINISHED"), "RUNNING" in states, versions) == (1, False, [again.version])


def test_a_crash_before_the_alias_is_repaired_by_a_second_call(client: Any, log: Log, release: Release) -> None:
    logged = log(release)
    client.delete_registered_model_alias(NAME, "challenger")
    # Older code of the lab did not write this tag, so a model version in MLflow may lack the tag.
    client.delete_model_version_tag(NAME, logged.version, "thumblab.release_id")
    assert log(release).reused
    challenger = client.get_model_version_by_alias(NAME, "challenger")
    assert (challenger.version, challenger.tags["thumblab.release_id"]) == (logged.version, release.release_id)
