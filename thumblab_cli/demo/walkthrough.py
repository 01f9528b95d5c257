"""The steps of the demo. The steps use the real Dagster definitions, a real MLflow server and the real scoring service."""

import os
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from thumblab_cli.demo.candidates import choose_candidates
from thumblab_cli.demo.first_look import write_winners
from thumblab_cli.demo.lab import DemoLab, demo_lab
from thumblab_cli.demo.one_demo import only_demo
from thumblab_cli.demo.ranking import rank_candidates
from thumblab_cli.demo.runs import JobRunner, Outcome
from thumblab_cli.printing.evaluation import ceiling_lines, print_evaluation
from thumblab_cli.printing.tables import progress_bars
from thumblab_cli.servers import lab_servers, ports
from thumblab_cli.servers.supervisor import Server, Supervisor
from thumblab_cli.servers.waiting import wait_for
from thumblab_core.niches import NicheFile

if TYPE_CHECKING:
    from thumblab_pipelines.evaluation.figures import Evaluation


def walk_through(console: Console, folder: Path | None) -> None:
    """Run the demo and print the result of every stage. Raise LabError if a stage fails.

    `folder` contains the catalogue of the user. None stands for the synthetic catalogue.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        lab = stack.enter_context(demo_lab(folder))
        stack.enter_context(only_demo(lab.data_dir))
        supervisor = stack.enter_context(Supervisor(lab.data_dir, lab.environment))
        mlflow = _start_mlflow(console, supervisor, lab)
        source = "your catalogue" if folder else "a synthetic catalogue"
        console.print(
            f"[bold]Collecting[/bold] from the YouTube emulator at {lab.emulator.endpoint}, which serves {source} "
            f"with {len(lab.catalogue.videos):,} videos of {len(lab.catalogue.channels)} channels"
        )
        from thumblab_pipelines.dagster_storage import open_instance
        from thumblab_pipelines.definitions import defs
        from thumblab_pipelines.run_launcher import end_abandoned_runs

        with open_instance(lab_servers.dagster_home(lab.settings), lab.data_dir) as instance:
            end_abandoned_runs(instance)  # If a demo was killed, Dagster still lists its runs as running.
            runner = JobRunner(defs(), instance, lab.settings)
            new = _refresh(console, runner, lab)
            console.print(
                "\n[bold]Training[/bold] on pairs of videos of the same channel. MLflow records the training."
            )
            wait_for(console, supervisor, mlflow)
            with progress_bars(console) as listener:
                outcome = runner.run("train_ranker", listener)
            new += _print_training(console, outcome, lab)
            new += _map(console, runner, lab)
        service = lab_servers.scoring_server(lab.settings, ports.free_port())
        supervisor.start(service)
        wait_for(console, supervisor, [service])
        rank_candidates(console, str(service.url), lab.settings, choose_candidates(lab))
    _print_end(console, new, time.monotonic() - started, folder, lab.data_dir)


def _print_end(console: Console, new: int, seconds: float, folder: Path | None, data_dir: Path) -> None:
    if new == 0:
        console.print(f"\nNothing was new: 0 downloaded, 0 encoded, 0 measured, 0 trained, 0 mapped ({seconds:.0f} s).")
    else:
        console.print(f"\nDone in {seconds:.0f} s. A second run of the demo uses these results and repeats no work.")
    extra = f" --catalogue {folder}" if folder else ""
    console.print(
        f"Next:\n  {_command()} up --demo{extra}   run Dagster, MLflow and a page to score your pictures\n"
        f"  {_command()} evaluate --catalogue DIR --encoder builtin   measure the model on your own thumbnails\n"
        f"Everything is in {data_dir}",
        soft_wrap=True,
    )


def _start_mlflow(console: Console, supervisor: Supervisor, lab: DemoLab) -> list[Server]:
    """Start MLflow unless `thumblab up` already runs it.

    Return the servers that the caller must wait for: MLflow, or no server if MLflow runs already.

    MLflow takes seconds to start, so MLflow is started while the demo collects videos. Collecting does not need MLflow.
    """
    if lab.mlflow_port is None:
        return []
    usual = ports.mlflow_port(lab.data_dir)
    if lab.mlflow_port != usual:
        console.print(
            f"Another program listens on port {usual}, which MLflow used before. MLflow now uses port "
            f"{lab.mlflow_port}, and links to this port stop working when the demo ends.",
            soft_wrap=True,
        )
    server = lab_servers.mlflow_server(lab.settings, lab.mlflow_port)
    supervisor.start(server)
    return [server]


def _command() -> str:
    """Return the shell command that starts `thumblab`: its name if the shell finds it, and otherwise its path.

    In a fresh clone, for example, the command is in .venv/bin.
    """
    return "thumblab" if shutil.which("thumblab") else os.path.relpath(Path(sys.executable).parent / "thumblab")


def _refresh(console: Console, runner: JobRunner, lab: DemoLab) -> int:
    """Refresh every niche of the catalogue, and print a row of numbers for each niche.

    Return how much work was done: the sum of new videos, downloads, vectors and measurements over all niches.
    """
    console.print("The job refresh_library makes one Dagster run per niche", style="italic")
    console.print(_row("niche", "videos", "new", "fetched", "encoded", "measured", "indexed", "checks"), style="bold")
    niches_of_catalogue = {video.niche for video in lab.catalogue.videos.values()}
    new, looked = 0, False
    for niche in (name for name in NicheFile(lab.data_dir).names if name in niches_of_catalogue):
        with progress_bars(console) as listener:
            outcome = runner.run("refresh_library", listener, niche)
        assets = outcome.metadata
        new_items = (
            assets["raw_videos"]["new_videos"],
            assets["thumbnails"]["downloaded"],
            assets["embeddings"]["images_encoded"] + assets["embeddings"]["titles_encoded"],
            assets["visual_features"]["measured"],
        )
        new += sum(new_items)
        videos, indexed = assets["raw_videos"]["dagster/row_count"], assets["faiss_index"]["dagster/row_count"]
        checks = f"{outcome.checks_passed}/{outcome.checks}"
        console.print(_row(niche, videos, *new_items, indexed, checks), highlight=False)
        if not looked:
            looked = _print_first_look(console, lab, niche)
    return new


def _map(console: Console, runner: JobRunner, lab: DemoLab) -> int:
    """Make the map of each niche of the catalogue and the map of all niches. Return the number of new maps."""
    niches_of_catalogue = {video.niche for video in lab.catalogue.videos.values()}
    with progress_bars(console) as listener:
        outcomes = [
            runner.run("map_library", listener, niche).metadata["library_map"]
            for niche in NicheFile(lab.data_dir).names
            if niche in niches_of_catalogue
        ]
        outcomes.append(runner.run("map_all_libraries", listener).metadata["library_map_of_all"])
    console.print(f"\n[bold]Maps[/bold] of similar thumbnails: {len(outcomes)}, on the page /library of the service")
    return sum(not outcome["reused"] for outcome in outcomes)


def _print_first_look(console: Console, lab: DemoLab, niche: str) -> bool:
    """Write a page with the winners of a niche, and print the address of the page. Return whether the niche has a
    winner.
    """
    from thumblab_pipelines.lab import Lab

    page = lab.data_dir.resolve() / "winners.html"
    opened = Lab.open(lab.settings)
    count = write_winners(opened, niche, page)
    opened.engine.dispose()
    if count:
        console.print(f"[dim]While you wait, look at {count} winners of {niche}:[/dim] {page.as_uri()}", soft_wrap=True)
    return count > 0


def _row(niche: str, *cells: object) -> str:
    return f"{niche:<14}" + "".join(f"{cell!s:>9}" for cell in cells)


def _print_training(console: Console, outcome: Outcome, lab: DemoLab) -> int:
    """Print the training pairs, the model and its evaluation. Return the number of new models, 0 or 1."""
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
        f"{'The model of these pairs already existed' if model['reused'] else 'Trained'}: {model['epochs']} epochs, "
        f"release {model['release']}, version {model['mlflow_version']} in MLflow; "
        f"{outcome.checks_passed} of {outcome.checks} checks passed"
    )
    served = outcome.metadata["served_model"]
    console.print(f"The served release is {served['release']}: {served['decision']}")
    release = Lab.open(lab.settings).releases.get(MODEL, ALL, model["release"])
    planted = _ceiling(lab, release.info["pairs_release"])
    print_evaluation(console, BuiltModel(release, reused=True).evaluations + planted)
    if isinstance(lab.catalogue, SyntheticCatalogue):
        for line in ceiling_lines(planted, lab.catalogue.ceiling()):
            console.print(line, highlight=False, soft_wrap=True)
    return 0 if model["reused"] else 1


def _ceiling(lab: DemoLab, pairs_release: str) -> list["Evaluation"]:
    """Return how well the true quality of videos orders the held-out pairs of the release `pairs_release`.

    The synthetic catalogue plants a true quality in each video, so no model can be expected to do better. A catalogue
    of the user has no planted quality, so the result is empty.
    """
    import numpy as np
    import pandas as pd

    from demo.catalogues.synthetic import SyntheticCatalogue
    from thumblab_pipelines.dataset.retained_pairs import named_pairs
    from thumblab_pipelines.evaluation.evaluate import evaluate_scores
    from thumblab_pipelines.evaluation.figures import ADAPTED, FUTURE, NEW_CHANNELS
    from thumblab_pipelines.lab import Lab

    if not isinstance(lab.catalogue, SyntheticCatalogue):
        return []
    release = named_pairs(Lab.open(lab.settings), pairs_release)
    videos = pd.read_parquet(release.path / "videos.parquet")
    pairs = pd.read_parquet(release.path / "pairs.parquet")
    planted = np.array([lab.catalogue.planted_quality(video_id) for video_id in videos.video_id])
    return [e for split in (FUTURE, NEW_CHANNELS, ADAPTED) for e in evaluate_scores(pairs, planted, split, "planted")]
