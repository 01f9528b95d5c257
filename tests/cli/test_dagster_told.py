"""Test that a command or job that changes the served releases also records an observation in Dagster."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import insert

from thumblab_cli.dagster_told import dagster_told
from thumblab_cli.main import cli
from thumblab_core.database.tables import channels, videos
from thumblab_core.encoders.protocol import unit
from thumblab_core.index import Item, NicheIndex
from thumblab_core.ranking.channel_adapters import ADAPTER
from thumblab_core.releases.release import INDEX
from thumblab_core.settings import CHECKOUT, settings
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.dagster_storage import open_instance
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.lab import Lab

NICHE = "tech"


@pytest.fixture
def lab(open_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab with two releases of a library index. The second release is served. The commands of the tests use this lab."""
    lab = open_lab()
    moments = dict.fromkeys(("published_at", "refreshed_at"), datetime(2026, 11, 1, tzinfo=UTC))
    facts = {"niche": NICHE, "channel_id": "c", "title": "t", "tags": [], "source": "catalogue", **moments}
    with lab.engine.begin() as connection:  # A rollback serves only videos that the lab still has.
        connection.execute(insert(channels), [{"channel_id": "c", "title": "c"}])
        connection.execute(insert(videos), [{"video_id": f"v{row}", **facts} for row in range(5)])
    for number in (1, 2):
        vectors = unit(np.random.default_rng(number).standard_normal((5, 8)).astype(np.float32))
        items = [Item(f"v{row}", "t", "c", None, 1.0, 1.0, date(2026, 11, 1)) for row in range(5)]
        index = NicheIndex.build(vectors, items, "e")
        info = index.describe() | {"inputs": str(number), "as_of": "2026-11-01T00:00:00+00:00"}
        lab.releases.serving.promote(lab.releases.publish(INDEX, NICHE, index.save, info))
    assert lab.settings.database_url is not None
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(lab.settings.data_dir))
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", lab.settings.database_url.get_secret_value())
    monkeypatch.setenv("THUMBLAB_IMAGE_ENCODER", "builtin")
    settings.cache_clear()
    return lab


@pytest.fixture
def instance(lab: Lab) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that `thumblab up` makes for a lab."""
    home = lab.settings.data_dir / "dagster"
    home.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", home)
    with open_instance(home, lab.settings.data_dir) as instance:
        yield instance


def last_observation(instance: dg.DagsterInstance, asset: str = "served_index") -> dict[str, object]:
    (record,) = instance.fetch_observations(dg.AssetKey(asset), limit=1).records
    observation = record.event_log_entry.asset_observation
    assert observation is not None
    assert observation.partition == (NICHE if asset == "served_index" else None)
    return {name: value.value for name, value in observation.metadata.items()}


def test_a_rollback_by_command_is_an_observation_of_the_served_index(lab: Lab, instance: dg.DagsterInstance) -> None:
    first, second = (release.release_id for release in lab.releases.all(INDEX, NICHE))
    done = CliRunner().invoke(cli, ["index", "rollback", NICHE])
    assert (done.exit_code, done.stderr) == (0, "")
    cause = "`thumblab index rollback`"
    assert last_observation(instance) == {"cause": cause, "release": first, "served_before": second}
    again = CliRunner().invoke(cli, ["index", "rollback", NICHE, "--to", "20260101T000000000000Z-00000000"])
    assert again.exit_code == 1
    assert last_observation(instance)["cause"] == cause, "a command that changes nothing must report nothing to Dagster"


def test_a_change_is_made_with_a_note_if_dagster_cannot_be_informed(lab: Lab, instance: dg.DagsterInstance) -> None:
    config = lab.settings.data_dir / "dagster" / "dagster.yaml"
    config.write_text(f"{config.read_text()}\nstorage: [")
    done = CliRunner().invoke(cli, ["index", "rollback", NICHE])
    assert done.exit_code == 0
    assert done.stderr.startswith("note: the change was made, but could not be recorded in Dagster: ")
    assert lab.releases.serving.held(INDEX, NICHE) is not None


def test_in_a_container_a_command_tells_the_dagster_of_dagster_home(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert CliRunner().invoke(cli, ["index", "rollback", NICHE]).exit_code == 0
    with dg.DagsterInstance.get() as instance:
        assert last_observation(instance)["cause"] == "`thumblab index rollback`"
    assert not (lab.settings.data_dir / "postgres").exists(), (
        "Dagster's tables must be in the database that the settings name"
    )


def test_the_dagster_of_another_project_gets_no_report(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    done = CliRunner().invoke(cli, ["index", "rollback", NICHE])
    assert (done.exit_code, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir() if path != lab.settings.data_dir] == ["dagster.yaml"]


def test_added_and_removed_channel_adapters_are_observations_of_the_served_model(
    lab: Lab, instance: dg.DagsterInstance
) -> None:
    channels = [f"UC{letter * 22}" for letter in "ab"]
    with dagster_told(lab, "channel add"):
        for channel in channels:
            lab.releases.serving.promote(lab.releases.publish(ADAPTER, channel, lambda _: None, {}))
    added = last_observation(instance, "served_model")
    adapters = {channel: lab.releases.serving.current_id(ADAPTER, channel) for channel in channels}
    assert added == {"cause": "`thumblab channel add`", "channel_adapters": adapters}
    done = CliRunner().invoke(cli, ["channel", "remove", channels[0]])
    assert (done.exit_code, done.stderr) == (0, "")
    removed = last_observation(instance, "served_model")
    assert removed == {"cause": "`thumblab channel remove`", "channel_adapters": {channels[0]: "none"}}


def test_a_rollback_by_job_is_an_observation_in_its_run(
    lab: Lab, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabResource, "open", lambda _: lab)
    first, second = (release.release_id for release in lab.releases.all(INDEX, NICHE))
    job = defs().resolve_job_def("roll_back_index")
    add_partitions(instance, [NICHE])
    assert job.execute_in_process(instance=instance, partition_key=NICHE).success
    cause = "the job roll_back_index"
    assert last_observation(instance) == {"cause": cause, "release": first, "served_before": second}
