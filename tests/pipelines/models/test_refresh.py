"""Tests of a lab with imported catalogues and without an API key.

A single command, or a single Dagster job, makes indexes and a model from the catalogues, and serves the indexes
and the model.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from planted_catalogue import FOOD, RED, plant
from pydantic import SecretStr
from sqlalchemy import delete, func, select

from thumblab_core.database.tables import embeddings, library_exclusions, thumbnails
from thumblab_core.errors import LabError
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.niches.store import restore_niche, retire_niche
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.collection.observe import check_observation, observe
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features.embed import load_encoders
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import build_index
from thumblab_pipelines.models.refresh import (
    RefreshListener,
    niches_with_videos,
    refresh_all,
    refresh_model,
    refresh_niche,
    refresh_niches,
)
from thumblab_pipelines.retention.retention import check_retention, retain

VIDEOS = 60
"""The number of videos of each of the two channels. This number is enough for a hundred held-out pairs."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, drawn: Callable[..., bytes]) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    plant(folder, drawn, {"Red": RED, "Food": FOOD}, VIDEOS)
    return folder


@pytest.fixture(scope="module")
def lab(open_lab: Callable[..., Lab], folder: Path) -> Lab:
    """A lab with an imported catalogue. No vectors, indexes or models were made yet."""
    lab = open_lab()
    import_catalogue(lab, folder)
    return lab


def test_an_empty_library_names_the_missing_step(open_lab: Callable[..., Lab], folder: Path) -> None:
    lab = open_lab()
    assert niches_with_videos(lab) == []
    with pytest.raises(LabError, match=r"the lab has no video of it; `thumblab import` a catalogue"):
        build_index(lab, "tech")
    few = folder.parent / "few"
    few.mkdir(exist_ok=True)
    lines = (folder / "videos.csv").read_text().splitlines()[:4]
    (few / "videos.csv").write_text("\n".join(lines))
    for line in lines[1:]:
        (few / line.split(",")[-1]).write_bytes((folder / line.split(",")[-1]).read_bytes())
    import_catalogue(lab, few)
    with pytest.raises(LabError, match=r"none of its 3 thumbnails is encoded with builtin.*`thumblab refresh tech`"):
        build_index(lab, "tech")
    served = refresh_niche(lab, "tech").served
    assert served.info["count"] == 3
    with lab.engine.begin() as connection:
        ids = connection.execute(select(embeddings.c.video_id).distinct()).scalars().all()
        connection.execute(library_exclusions.insert(), [{"video_id": name} for name in ids])
    with pytest.raises(LabError, match="each of its 3 encoded videos was taken out"):
        build_index(lab, "tech")
    with lab.engine.begin() as connection:
        connection.execute(delete(thumbnails))
    with pytest.raises(LabError, match="none of its 3 videos has a thumbnail"):
        build_index(lab, "tech")
    model = refresh_model(lab, lambda: None)  # Too little training data is not an error.
    assert model.served is None
    assert "nothing was trained" in model.explanation


def test_without_a_key_an_imported_niche_is_kept_and_another_is_an_error(lab: Lab) -> None:
    collected = collect(lab, "tech")
    assert (collected.seen, collected.stopped, collected.trending_from) == (0, None, "an imported catalogue")
    assert collected.remarks == [f"no YouTube API key is set: tech continues with its {2 * VIDEOS} imported videos"]
    with pytest.raises(LabError, match=r"THUMBLAB_YOUTUBE_API_KEY.*`thumblab import FOLDER --serve`"):
        collect(lab, "news")


@pytest.mark.parametrize("niche", ["tech", "news"])
def test_without_a_key_upkeep_of_a_niche_without_videos_from_youtube_succeeds_and_says_so(lab: Lab, niche: str) -> None:
    remark = f"no YouTube API key is set, and {niche} has no videos from YouTube, so YouTube was not asked"
    observed, retained = observe(lab, niche), retain(lab, niche)
    assert (observed.due, observed.stopped, list(observed.remarks)) == (0, None, [remark])
    assert (retained.refreshed, retained.deleted, list(retained.remarks)) == (0, {}, [remark])
    assert retained.videos == (2 * VIDEOS if niche == "tech" else 0)
    assert all(check.passed for check in [*check_observation(observed), *check_retention(lab, niche, retained)])


@pytest.mark.parametrize(("job", "asset"), [("observe_views", "view_history"), ("apply_retention", "retention")])
def test_the_scheduled_upkeep_succeeds_without_a_key_and_its_metadata_says_so(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, job: str, asset: str
) -> None:
    monkeypatch.setattr(LabResource, "open", lambda _: lab)
    with dg.DagsterInstance.ephemeral() as instance:
        add_partitions(instance, ["tech"])
        result = (
            defs()
            .resolve_job_def(job)
            .execute_in_process(instance=instance, partition_key="tech", resources={"lab": LabResource()})
        )
    (made,) = result.asset_materializations_for_node(asset)
    assert "YouTube was not asked" in str(made.metadata["remarks"].value)


def test_an_encoder_that_cannot_be_loaded_stops_a_refresh_once_before_any_niche(
    lab: Lab, open_lab: Callable[..., Lab]
) -> None:
    broken = open_lab(beside=lab, image_encoder="open_clip:ViT-B-32//nowhere/weights.pt")
    sentences: list[str] = []
    listener = RefreshListener(info=sentences.append, warn=sentences.append)
    with pytest.raises(LabError, match=r"^the image encoder ViT-B-32//nowhere/weights.pt could not be loaded"):
        refresh_all(broken, ["tech", "news"], lambda: pytest.fail("MLflow was called"), listener)
    assert sentences == []
    load_encoders(broken, ["news"])  # The niche has no videos, so no encoder is needed.


@pytest.mark.slow
def test_a_refresh_serves_a_catalogue_and_a_second_one_has_nothing_to_do(lab: Lab) -> None:
    made: list[tuple[str, str | None]] = []
    steps: list[str] = []
    listener = RefreshListener(lambda what, *_: steps.append(what), lambda asset, niche, _: made.append((asset, niche)))
    first = refresh_niche(lab, "tech", listener)
    assert lab.releases.serving.current(INDEX, "tech") == first.served
    assert (first.encoded, first.measured, first.served.info["count"]) == (4 * VIDEOS, 2 * VIDEOS, 2 * VIDEOS)
    names = ("embeddings", "visual_features", "channel_baselines", "faiss_index", "served_index")
    assert made == [(name, "tech") for name in names]
    assert any("encoding thumbnails" in step for step in steps)
    second = refresh_niche(lab, "tech")
    assert (second.encoded, second.measured, second.served) == (0, 0, first.served)
    for _ in range(lab.settings.releases_kept + 1):
        lab.releases.publish(MODEL, ALL, lambda _: None, {})
    model = refresh_model(lab, lambda: None)
    assert model.served is not None
    assert len(lab.releases.all(MODEL, ALL)) == lab.settings.releases_kept, (
        "old models must be deleted without MLflow too"
    )
    assert lab.releases.serving.current_id(MODEL, ALL) == model.served.release_id
    assert refresh_model(lab, lambda: None).served == model.served


@pytest.mark.parametrize("when", ["before its turn", "during its turn"])
def test_a_niche_that_is_retired_during_a_refresh_is_left_out_and_is_no_failure(lab: Lab, when: str) -> None:
    notes: list[str] = []

    def retire(*_: object) -> None:
        if "news" in lab.niches:
            retire_niche(lab.engine, lab.settings.data_dir, "news")

    def retire_during_its_turn(what: str, *_: object) -> None:
        if what.startswith("news: "):
            retire()

    listener = RefreshListener(info=retire, warn=notes.append)
    if when == "during its turn":
        listener = RefreshListener(retire_during_its_turn, warn=notes.append)
    try:
        done, failed = refresh_niches(lab, ["tech", "news"], listener)
    finally:
        restore_niche(lab.engine, lab.settings.data_dir, "news")
    assert ([niche.niche for niche in done], failed) == (["tech"], {})
    assert "news was not refreshed, because it was retired in the meantime" in notes


def materializations(result: dg.ExecuteInProcessResult) -> set[tuple[str, str | None]]:
    """Return the assets that a run has materialized, with their partitions."""
    events = result.get_asset_materialization_events()
    return {(event.asset_key.to_user_string(), event.partition) for event in events if event.asset_key}


@pytest.mark.slow
def test_the_jobs_for_all_and_for_imported_videos_succeed_without_a_key(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabResource, "open", lambda _: lab)
    monkeypatch.setattr("thumblab_pipelines.defs.resources.MlflowResource.connect", lambda _: None)
    definitions = defs()
    instance = dg.DagsterInstance.ephemeral()
    add_partitions(instance, ["tech"])
    for job, niche in (("refresh_library", "tech"), ("refresh_imported", None)):
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=niche,
            resources={"lab": LabResource(), "mlflow": definitions.resources["mlflow"]},  # type: ignore[index]
        )
        assert result.success
        made = materializations(result)
        assert ("served_index", "tech") in made
    assert {("served_model", None), ("library_map", "tech"), ("library_map_of_all", None)} <= made
    for scope in ("tech", ALL):
        assert lab.releases.serving.current(LIBRARY_MAP, scope) is not None


def test_the_job_continues_after_a_failed_niche_and_without_mlflow_and_names_the_niche(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(_: object) -> None:
        raise LabError("MLflow does not answer")

    monkeypatch.setattr(LabResource, "open", lambda _: lab)
    monkeypatch.setattr("thumblab_pipelines.defs.resources.MlflowResource.connect", no_answer)
    monkeypatch.setattr("thumblab_pipelines.defs.refresh_imported.niches_with_videos", lambda _: ["news", "tech"])
    definitions = defs()
    result = definitions.resolve_job_def("refresh_imported").execute_in_process(
        resources={"lab": LabResource(), "mlflow": definitions.resources["mlflow"]},  # type: ignore[index]
        raise_on_error=False,
    )
    assert {("served_index", "tech"), ("served_model", None)} <= materializations(result)
    (failure,) = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert failure is not None
    assert "1 of 2 niches were not refreshed: news (the library of news is empty" in str(failure.description)


@pytest.fixture
def command(lab: Lab, tmp_path: Path) -> Callable[..., Any]:
    url = lab.settings.database_url
    assert isinstance(url, SecretStr)
    environment = os.environ | {
        "THUMBLAB_DATA_DIR": str(lab.settings.data_dir),
        "THUMBLAB_DATABASE_URL": url.get_secret_value(),
        "THUMBLAB_IMAGE_ENCODER": "builtin",
        "THUMBLAB_MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "thumblab_cli.main", *arguments], env=environment, capture_output=True, text=True,
            timeout=120, cwd=tmp_path,
        )  # fmt: skip

    return run


def test_one_command_serves_a_catalogue_and_prints_what_it_did(
    lab: Lab, folder: Path, command: Callable[..., Any]
) -> None:
    done = command("import", str(folder), "--serve")
    assert done.returncode == 0, done.stderr
    assert f"tech: 0 encoded, 0 measured; {2 * VIDEOS} thumbnails are served by " in done.stdout
    assert f"model: {lab.releases.serving.current_id(MODEL, ALL)} is served" in done.stdout
    assert "note: the model is not logged: MLflow does not answer" in done.stderr


@pytest.mark.slow
def test_rebuilding_indexes_encodes_missing_videos_and_skips_empty_niches(
    lab: Lab, command: Callable[..., Any]
) -> None:
    with lab.engine.begin() as connection:
        connection.execute(delete(embeddings).where(embeddings.c.encoder.startswith("builtin")))
    done = command("index", "rebuild")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tech: ")
    assert done.stdout.count("\n") == 1
    with lab.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(embeddings)).scalar_one() == 4 * VIDEOS
