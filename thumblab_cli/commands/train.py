"""thumblab train: a ranking model of the newest pairs, without Dagster."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.config_options import options_of
from thumblab_cli.which_lab import demo_option
from thumblab_core.errors import LabError
from thumblab_pipelines.training.config import TrainConfig

if TYPE_CHECKING:  # what follows is imported inside functions, so that `thumblab --help` stays fast
    from rich.console import Console

    from thumblab_core.settings import Settings
    from thumblab_pipelines.checks import CheckResult
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import BuiltModel
    from thumblab_pipelines.models.tracking import Tracked

_FIELDS = {
    "epochs": "At most so many.",
    "patience": "Stop when validation has not got better for so many epochs; 0: never.",
    "learning_rate": "The highest of AdamW.",
    "weight_decay": "Of AdamW.",
    "pair_loss": "How a pair teaches: by a margin, or by the log odds of winning (Bradley-Terry).",
    "margin": "By how much the winner is to be above, for the margin loss.",
    "least_margin": "Leave out pairs whose winner has less more: 0.1 is a tenth of its views.",
    "label_smoothing": "Draw outcomes towards one half; 0: off.",
    "mixup_alpha": "Mix pairs by a Beta(A, A) share; 0: off.",
    "swa_start": "Average the weights from this epoch on; 0: off.",
    "pairs_per_video": "Pairs shown in an epoch, per video; 0: all of them.",
    "seed": "What chance does.",
}


@click.command(name="train")
@options_of(TrainConfig, _FIELDS)
@click.option(
    "--logs", type=click.Path(file_okay=False, path_type=Path), help="Write TensorBoard logs below this folder."
)
@demo_option
@click.option("--no-mlflow", is_flag=True, help="Do not log to MLflow.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(logs: Path | None, chosen: "Settings", no_mlflow: bool, as_json: bool, **fields: Any) -> None:
    """Train the ranking model on the newest pairs of the lab, judge it, and publish it. It serves nothing by itself.

    Killed or told to stop, the same command goes on where it was; done again with nothing new, it finds what is there.

    \b
    Several processes:
      accelerate launch --multi_gpu --num_processes 2 -m thumblab_cli.main train
    """
    from thumblab_cli.printing.tables import progress_bars, whole_console
    from thumblab_core.releases.release import ALL, MODEL
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import build_model, check_model
    from thumblab_pipelines.training.checkpoints import TrainingStoppedError
    from thumblab_pipelines.training.distributed import ProcessGroup

    lab, config, main = Lab.open(chosen), TrainConfig(**fields), ProcessGroup().main
    console = whole_console(stderr=as_json, quiet=not main)
    try:
        with progress_bars(console) as listener:
            built = build_model(lab, config, listener, logs=logs)
    except TrainingStoppedError:
        if main:
            raise
        raise SystemExit(1) from None
    if not main:
        return
    verdicts = check_model(lab, built.release)
    tracked = None if no_mlflow else _track(lab, built)
    if as_json:
        click.echo(json.dumps(_said(built, verdicts, tracked)))
    else:
        served = lab.releases.serving.current_id(MODEL, ALL) == built.release.release_id
        _show(console, built, verdicts, tracked, served)


def _track(lab: "Lab", built: "BuiltModel") -> "Tracked | None":
    """Log to MLflow; None, and a sentence on stderr, where nobody answers there or it goes wrong: the training is done."""
    from thumblab_pipelines.models.tracking import Tracker, log_model

    again = "The same command then logs what is there, without training again."
    try:
        tracker = Tracker.connect(lab.settings.mlflow_url)
    except LabError as error:
        click.echo(f"Not logged: {error}. {again}", err=True)
        return None
    from mlflow.exceptions import MlflowException

    try:
        return log_model(lab, tracker, built)
    except (LabError, MlflowException, OSError) as error:  # the last are those of MLflow's HTTP client
        said = " ".join(str(error).split())[:300]
        click.echo(
            f"{built.release.release_id} is published and not logged ({type(error).__name__}: {said}); mend MLflow. {again}",
            err=True,
        )
        return None


def _said(built: "BuiltModel", verdicts: "list[CheckResult]", tracked: "Tracked | None") -> dict[str, Any]:
    return {
        "release": built.release.release_id,
        "pairs_release": built.release.info["pairs_release"],
        "forgotten": built.forgotten,
        "reused": built.reused,
        "epochs": len(built.history),
        "checks": {verdict.name: {"passed": verdict.passed, "said": verdict.explanation} for verdict in verdicts},
        "mlflow": None if tracked is None else asdict(tracked),
        "evaluations": [asdict(evaluation) for evaluation in built.evaluations],
    }


def _show(
    console: "Console", built: "BuiltModel", verdicts: "list[CheckResult]", tracked: "Tracked | None", served: bool
) -> None:
    from thumblab_cli.printing.tables import print_evaluation

    print_evaluation(console, built.evaluations)
    name = built.release.release_id
    if built.reused:
        lines = [f"Nothing has changed since {name} was trained; nothing was trained."]
    else:
        lines = [f"{name} was trained in {len(built.history)} epochs on {built.release.info['pairs_release']}."]
    if built.forgotten:
        lines.append(f"{built.forgotten} videos of its pairs were forgotten since they were made, and left out.")
    if tracked is not None:
        lines.append(f"In MLflow it is version {tracked.version}, and the challenger: {tracked.url}")
    bad = [verdict.explanation for verdict in verdicts if not verdict.passed]
    if bad:
        lines.append(f"It is not fit to be served: {'; '.join(bad)}.")
    elif served:
        lines.append("It is fit to be served, and it is what is served.")
    else:
        lines.append(
            "It is fit to be served, and nothing serves it yet: materialize served_model in Dagster (`thumblab up`), which "
            "compares it with what is served, or move the alias champion to it in MLflow."
        )
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
