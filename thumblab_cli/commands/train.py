"""`thumblab train`: train a ranking model without Dagster, on the newest training pairs of the lab."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.config_options import options_of
from thumblab_cli.dagster_told import tell_of_model
from thumblab_cli.which_lab import demo_option, here
from thumblab_core.errors import LabError
from thumblab_pipelines.training.config import TrainConfig

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from rich.console import Console

    from thumblab_core.settings import Settings
    from thumblab_pipelines.checks import CheckResult
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import BuiltModel
    from thumblab_pipelines.models.tracking import Tracked

_FIELDS = {
    "epochs": "The maximum number of epochs.",
    "patience": "Stop early when the validation AUC has not risen for this many epochs; 0: never.",
    "learning_rate": "The highest learning rate of AdamW.",
    "weight_decay": "The weight decay of AdamW.",
    "pair_loss": "The loss of a pair: a margin loss, or the log odds of winning (Bradley-Terry).",
    "margin": "For the margin loss: by how much the winner must score higher than the loser.",
    "least_margin": "Leave out pairs with a smaller margin: 0.1 means that the loser has 10 % fewer views.",
    "label_smoothing": "Label smoothing: move the outcome of each pair towards one half by this share; 0: off.",
    "mixup_alpha": "Mixup: mix each pair with another pair, in a share drawn from Beta(A, A); 0: off.",
    "swa_start": "Average the weights of all epochs from this epoch on; 0: off.",
    "pairs_per_video": "Pairs in an epoch, per video; 0: all of them.",
    "seed": "The seed of the random numbers.",
}


@click.command(name="train")
@options_of(TrainConfig, _FIELDS)
@click.option(
    "--logs", type=click.Path(file_okay=False, path_type=Path), help="Write TensorBoard logs below this folder."
)
@click.option(
    "--title-prior",
    type=click.Path(path_type=Path),
    help="A table of titles and views of other channels (Parquet or CSV) from which the model first learns titles. "
    "Default: THUMBLAB_TITLE_PRIOR.",
)
@demo_option
@click.option("--no-mlflow", is_flag=True, help="Do not log to MLflow.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    logs: Path | None, title_prior: Path | None, chosen: "Settings", no_mlflow: bool, as_json: bool, **fields: Any
) -> None:
    """Train the ranking model on the newest training pairs of the lab, evaluate it and publish it.

    The new model is not served yet.

    If the command is stopped or killed, run the same command again to resume the training. If nothing has changed since
    the last training, the command trains nothing and shows the existing model.

    \b
    To train with several processes:
      accelerate launch --multi_gpu --num_processes 2 -m thumblab_cli.main train
    """
    from thumblab_cli.printing.tables import progress_bars, wide_console
    from thumblab_core.releases.release import ALL, MODEL
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import build_model, check_model
    from thumblab_pipelines.training.config import TrainingStoppedError
    from thumblab_pipelines.training.processes.distributed import ProcessGroup

    if title_prior is not None:
        chosen = chosen.model_copy(update={"title_prior": title_prior})
    lab, config, main = Lab.existing(chosen), TrainConfig(**fields), ProcessGroup().main
    console = wide_console(stderr=as_json, quiet=not main)
    try:
        with progress_bars(console) as listener:
            built = build_model(lab, config, listener, logs=logs)
    except TrainingStoppedError:
        if main:
            raise
        raise SystemExit(1) from None
    if not main:
        return
    checks = check_model(lab, built.release)
    tracked = None if no_mlflow else _log_to_mlflow(lab, built)
    tell_of_model(lab, built, tracked, "train")
    if as_json:
        click.echo(json.dumps(_as_json(built, checks, tracked)))
    else:
        served = lab.releases.serving.current_id(MODEL, ALL) == built.release.release_id
        _print(console, built, checks, tracked, served)


def _log_to_mlflow(lab: "Lab", built: "BuiltModel") -> "Tracked | None":
    """Log the model to MLflow. If MLflow fails, print the reason to stderr and return None.

    A failure to log raises no error, because the training itself has succeeded.
    """
    from thumblab_pipelines.models.tracking import Tracker, log_model

    hint = "Repeat the same command: it logs the model without training again."
    try:
        tracker = Tracker.connect(lab.settings.mlflow_url)
    except LabError as error:
        click.echo(f"Not logged: {error}. {hint}", err=True)
        return None
    from mlflow.exceptions import MlflowException

    try:
        return log_model(lab, tracker, built)
    except (LabError, MlflowException, OSError) as error:  # MLflow's HTTP client raises OSError.
        reason = " ".join(str(error).split())[:300]
        problem = f"{built.release.release_id} is published but not logged ({type(error).__name__}: {reason})"
        click.echo(f"{problem}; repair MLflow. {hint}", err=True)
        return None


def _as_json(built: "BuiltModel", checks: "list[CheckResult]", tracked: "Tracked | None") -> dict[str, Any]:
    return {
        "release": built.release.release_id,
        "pairs_release": built.release.info["pairs_release"],
        "forgotten": built.forgotten,
        "reused": built.reused,
        "title_prior": built.release.info.get("title_prior"),
        "epochs": len(built.history),
        "checks": {check.name: {"passed": check.passed, "said": check.explanation} for check in checks},
        "mlflow": None if tracked is None else asdict(tracked),
        "evaluations": [asdict(evaluation) for evaluation in built.evaluations],
    }


def _print(
    console: "Console", built: "BuiltModel", checks: "list[CheckResult]", tracked: "Tracked | None", served: bool
) -> None:
    """Print the evaluation. Say whether the model is served, and what to do next."""
    from thumblab_cli.printing.evaluation import print_evaluation

    print_evaluation(console, built.evaluations)
    name = built.release.release_id
    if built.reused:
        lines = [f"Nothing has changed since {name} was trained; nothing was trained."]
    else:
        lines = [f"{name} was trained in {len(built.history)} epochs on {built.release.info['pairs_release']}."]
    prior = built.release.info.get("title_prior")
    if prior is not None:
        lines.append(
            f"The training started from a title prior of {prior['videos']} videos of {prior['channels']} other "
            f"channels."
        )
    if built.forgotten:
        lines.append(f"{built.forgotten} videos have been deleted since the pairs were made, and were left out.")
    if tracked is not None:
        lines.append(f"The model is version {tracked.version} in MLflow, with the alias challenger: {tracked.url}")
    failed = [check.explanation for check in checks if not check.passed]
    if failed:
        lines.append(f"The model cannot be served, because it does not pass its checks: {'; '.join(failed)}.")
    elif served:
        lines.append("The model passes its checks and is served.")
    else:
        lines.append(
            "The model passes its checks and is not served yet. To compare it with the served model, materialize "
            f"served_model in Dagster (`{here('up')}`). To serve it without a comparison, move the alias champion in MLflow "
            "to this model."
        )
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
