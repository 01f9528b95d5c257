"""The demo, step by step: through the real Dagster definitions, a real MLflow server and the real scoring service."""

import os
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from thumblab_cli.demo.candidates import DemoThumbnail, choose_candidates
from thumblab_cli.demo.lab import DemoLab, demo_lab
from thumblab_cli.printing.tables import print_evaluation, progress_bars, table
from thumblab_cli.servers import processes
from thumblab_cli.servers.waiting import wait_for
from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES
from thumblab_core.settings import settings

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions

    from thumblab_pipelines.evaluation.questions import Evaluation
    from thumblab_pipelines.progress import Progress

_NIGHTLY = (
    "raw_videos",
    "thumbnails",
    "embeddings",
    "visual_features",
    "channel_baselines",
    "faiss_index",
    "served_index",
)


@dataclass(frozen=True)
class _Outcome:
    """What a Dagster run said: per asset its metadata, and how many of its checks passed."""

    metadata: dict[str, dict[str, Any]]
    checks_passed: int
    checks: int


def walk_through(console: Console, folder: Path | None) -> None:
    """Run the demo and print what every stage did. Raises `LabError` when a stage fails or the ranking is not to be had."""
    started = time.monotonic()
    with ExitStack() as stack:
        lab = stack.enter_context(demo_lab(folder))
        lab.data_dir.mkdir(parents=True, exist_ok=True)
        stack.enter_context(processes.only_one(lab.data_dir / "demo.lock", "another `thumblab demo` is running on it"))
        supervisor = stack.enter_context(processes.Supervisor(lab.data_dir, {}))
        mlflow = _start_mlflow(console, supervisor, lab)
        served_by = "your catalogue" if folder else "a synthetic catalogue"
        console.print(
            f"[bold]Collecting[/bold] from the YouTube emulator at {lab.emulator.endpoint}, fed by {served_by} of "
            f"{len(lab.catalogue.videos):,} videos of {len(lab.catalogue.channels)} channels"
        )
        os.environ["DAGSTER_HOME"] = str(processes.dagster_home(settings()))
        from dagster import DagsterInstance

        from thumblab_pipelines.definitions import defs
        from thumblab_pipelines.run_launcher import end_abandoned_runs

        definitions = defs()
        with DagsterInstance.get() as instance:
            end_abandoned_runs(instance)  # those of a demo that was killed
            new = _refresh(console, definitions, instance, lab)
            console.print(
                "\n[bold]Training[/bold]: pairs of one channel, two splits, a model for each; logged to MLflow"
            )
            wait_for(console, supervisor, mlflow)
            with progress_bars(console) as listener:
                outcome = _run(definitions, instance, "train_ranker", listener)
        new += _print_training(console, outcome, lab)
        service = processes.scoring_server(settings(), processes.free_port())
        supervisor.start(service)
        wait_for(console, supervisor, [service])
        _rank(console, str(service.url), choose_candidates(lab), lab.data_dir / "candidates")
    seconds = time.monotonic() - started
    if new == 0:
        console.print(f"\nNothing was new: 0 downloaded, 0 encoded, 0 measured, 0 trained ({seconds:.0f} s).")
    else:
        console.print(f"\nDone in {seconds:.0f} s. Run it again: it finds everything there and does nothing twice.")
    extra = f" --catalogue {folder}" if folder else ""
    console.print(
        f"Next:\n  {_command()} up --demo{extra}   the Dagster UI with these runs, MLflow, and a page to score your own\n"
        f"  {_command()} evaluate --catalogue DIR --encoder builtin   the model on thumbnails of yours\n"
        f"Everything is in {lab.data_dir}",
        soft_wrap=True,
    )


def _start_mlflow(console: Console, supervisor: processes.Supervisor, lab: DemoLab) -> list[processes.Server]:
    """The server that was started, if one had to be. It takes seconds to come up; the collection does not need it."""
    if lab.mlflow_port is None:
        return []
    usual = processes.mlflow_port(lab.data_dir)
    if lab.mlflow_port != usual:
        console.print(
            f"Something else listens on port {usual}, where MLflow was: it is on {lab.mlflow_port} this time, and links of "
            "this run to it end with the run.",
            soft_wrap=True,
        )
    server = processes.mlflow_server(settings(), lab.mlflow_port)
    supervisor.start(server)
    return [server]


def _command() -> str:
    """How to call us again: by name where the shell finds it, else by path (a fresh clone has us in .venv/bin)."""
    return "thumblab" if shutil.which("thumblab") else os.path.relpath(Path(sys.executable).parent / "thumblab")


def _refresh(console: Console, definitions: "Definitions", instance: "DagsterInstance", lab: DemoLab) -> int:
    """Refresh every niche of the catalogue, print a row each, and return how much of it was new."""
    console.print("refresh_library, one Dagster run per niche", style="italic")
    console.print(_row("niche", "videos", "new", "fetched", "encoded", "measured", "indexed", "checks"), style="bold")
    held = {video.niche for video in lab.catalogue.videos.values()}
    new = 0
    for niche in (name for name in NICHES if name in held):
        with progress_bars(console) as listener:
            outcome = _run(definitions, instance, "refresh_library", listener, niche)
        said = {name: outcome.metadata[name] for name in _NIGHTLY}
        fresh = (
            said["raw_videos"]["new_videos"],
            said["thumbnails"]["downloaded"],
            said["embeddings"]["images_encoded"] + said["embeddings"]["titles_encoded"],
            said["visual_features"]["measured"],
        )
        new += sum(fresh)
        seen, indexed = said["raw_videos"]["dagster/row_count"], said["faiss_index"]["dagster/row_count"]
        console.print(_row(niche, seen, *fresh, indexed, f"{outcome.checks_passed}/{outcome.checks}"), highlight=False)
    return new


def _row(niche: str, *cells: object) -> str:
    return f"{niche:<14}" + "".join(f"{cell!s:>9}" for cell in cells)


def _print_training(console: Console, outcome: _Outcome, lab: DemoLab) -> int:
    from demo.catalogues.synthetic import SyntheticCatalogue
    from thumblab_core.releases.release import ALL, MODEL
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import BuiltModel

    pairs, model = outcome.metadata["training_pairs"], outcome.metadata["ranking_model"]
    excluded = ", ".join(f"{count} {reason}" for reason, count in pairs["excluded"].items() if count) or "none"
    console.print(
        f"{pairs['videos']:,} videos of {pairs['channels']} channels; {pairs['pairs_train']:,} pairs to train, "
        f"{pairs['pairs_validation']:,} to validate, {pairs['pairs_test']:,} to test; excluded: {excluded}"
    )
    console.print(
        f"{'The model of these very pairs was there already' if model['reused'] else 'Trained'}: {model['epochs']} epochs, "
        f"release {model['release']}, version {model['mlflow_version']} in MLflow; "
        f"{outcome.checks_passed} of {outcome.checks} checks passed"
    )
    served = outcome.metadata["served_model"]
    console.print(f"Served is release {served['release']}: {served['decision']}")
    release = Lab.open().releases.get(MODEL, ALL, model["release"])
    evaluations = BuiltModel(release, reused=True).evaluations + _ceiling(lab, release.info["pairs_release"])
    print_evaluation(console, evaluations)
    if isinstance(lab.catalogue, SyntheticCatalogue):
        console.print(f"By construction the best reachable AUC on all pairs is {lab.catalogue.ceiling():.2f}.")
    return 0 if model["reused"] else 1


def _ceiling(lab: DemoLab, pairs_release: str) -> list["Evaluation"]:
    """How well the planted truth orders the very same pairs; nothing for a catalogue in which nothing was planted."""
    import numpy as np
    import pandas as pd

    from demo.catalogues.synthetic import SyntheticCatalogue
    from thumblab_pipelines.dataset.kept_pairs import named_pairs
    from thumblab_pipelines.evaluation.evaluate import evaluate_scores
    from thumblab_pipelines.evaluation.questions import ADAPTED, FUTURE, NEW_CHANNELS
    from thumblab_pipelines.lab import Lab

    if not isinstance(lab.catalogue, SyntheticCatalogue):
        return []
    release = named_pairs(Lab.open(), pairs_release)
    videos = pd.read_parquet(release.path / "videos.parquet")
    pairs = pd.read_parquet(release.path / "pairs.parquet")
    planted = np.array([lab.catalogue.planted_quality(video_id) for video_id in videos.video_id])
    return [e for split in (FUTURE, NEW_CHANNELS, ADAPTED) for e in evaluate_scores(pairs, planted, split, "planted")]


def _rank(console: Console, url: str, candidates: list[DemoThumbnail], kept: Path) -> None:
    """Rank the candidates, whose pictures are then in the folder `kept`."""
    import base64

    import httpx

    from thumblab_core.api_key import api_key

    kept.mkdir(exist_ok=True)
    for candidate in candidates:
        (kept / candidate.name).with_suffix(".jpg").write_bytes(candidate.image)
    body = {
        "title": candidates[0].title,
        "category": candidates[0].niche,
        "thumbnails": [{"id": c.name, "image_base64": base64.b64encode(c.image).decode()} for c in candidates],
    }
    # The first request waits for the encoders and the model to be loaded.
    answer = httpx.post(
        f"{url}/v1/score", json=body, headers={"X-API-Key": api_key(settings())}, timeout=120, trust_env=False
    )
    if answer.status_code != httpx.codes.OK:
        raise LabError(f"the scoring service answered {answer.status_code}: {answer.text[:300]}")
    scored = answer.json()
    names = {c.name: c for c in candidates}
    columns = ("rank", "thumbnail", "score", "wins", "similarity", candidates[0].truth_name)
    title = f"POST /v1/score: “{candidates[0].title}” in {candidates[0].niche}"
    made = table(*columns, words=("thumbnail",), title=title)
    for item in sorted(scored["thumbnails"], key=lambda item: item["rank"]):
        made.add_row(
            str(item["rank"]),
            item["id"],
            f"{item['score']:.0f}",
            "—" if item["win_probability"] is None else f"{item['win_probability']:.0%}",
            f"{item['similarity_score']:.0f} %",
            names[item["id"]].truth,
        )
    console.print(made)
    best = max(candidates, key=lambda candidate: candidate.truth_value)
    agrees = "which is the truth" if scored["winner"] == best.name else f"where the truth is {best.name}"
    console.print(f"Winner: {scored['winner']} ({scored['verdict'].replace('_', ' ')}), {agrees}.")
    for sentence in scored["degraded"]:
        console.print(f"degraded: {sentence}")


def _run(
    definitions: "Definitions", instance: "DagsterInstance", job: str, listener: "Progress", niche: str | None = None
) -> _Outcome:
    """Run a job in this process, recorded in the instance like any other. Raises `LabError` when a step or check fails."""
    from thumblab_pipelines.defs.resources import LabResource

    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=niche,
        tags={"dagster/max_retries": "0"},  # a daemon cannot: this process is not its code server
        resources={"lab": LabResource().listened_by(listener)},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    checks = result.get_asset_check_evaluations()
    bad = [f"{c.asset_key.to_user_string()}: {c.check_name} ({c.description})" for c in checks if not c.passed]
    if bad:
        raise LabError(f"{job} {niche or ''} stopped at a check: {'; '.join(bad)}")
    if not result.success:
        failed = next(event for event in result.all_events if event.is_step_failure)
        error = failed.step_failure_data.user_failure_data or failed.step_failure_data.error
        reason = getattr(error, "description", None) or getattr(error, "message", "") or "see the run in the Dagster UI"
        raise LabError(f"{job} {niche or ''} failed in {failed.step_key}: {reason.strip()}")
    metadata = {
        event.asset_key.to_user_string(): {
            name: getattr(value, "value", None) for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    return _Outcome(metadata, sum(c.passed for c in checks), len(checks))
