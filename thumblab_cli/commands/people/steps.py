"""The subcommands of `thumblab people` that process faces: `detect`, `cluster`, `assign`, `train` and `pipeline`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.niche_type import NICHE
from thumblab_cli.which_lab import chosen_settings

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from rich.console import Console

    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.people.clustering.faces import ClusterSettings
    from thumblab_pipelines.people.matching.fitting import HeadConfig

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_folder = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Add the pictures of this folder first. With THUMBLAB_PEOPLE=own, these pictures count as your own.",
)
_limit = click.option("--limit", type=click.IntRange(1), help="The largest number of pictures to search.")
_threshold = click.option(
    "--person-threshold",
    type=click.FloatRange(0.1, 1, min_open=True),
    help="The smallest match score with which a face joins a person, 0.1 to 1. With a higher number, fewer faces join "
    "a wrong person. Default: FACE_PERSON_MATCH_THRESHOLD, 0.7.",
)
_method = click.option(
    "--unknown-method",
    type=click.Choice(["hdbscan", "dbscan", "agglomerative"]),
    help="How to group unknown faces. Default: FACE_UNKNOWN_CLUSTERING_METHOD, hdbscan.",
)
_min_size = click.option(
    "--min-cluster-size",
    type=click.IntRange(2, 10_000),
    help="The smallest number of faces of an unknown cluster. Default: FACE_UNKNOWN_MIN_CLUSTER_SIZE, 3.",
)
_max_faces = click.option(
    "--max-faces",
    type=click.IntRange(1),
    help="The largest number of new faces to group. A new face is in no cluster yet. The best faces are used.",
)
_epochs = click.option(
    "--epochs", type=click.IntRange(1, 1_000), help="The largest number of epochs. Default: FACE_TRAINING_EPOCHS, 20."
)
_margin = click.option(
    "--margin",
    type=click.FloatRange(0, 2, min_open=True),
    help="The margin of the triplet loss. Default: FACE_TRIPLET_MARGIN, 0.2.",
)
_min_faces = click.option(
    "--min-faces",
    type=click.IntRange(3, 10_000),
    help="Leave out people with fewer labelled faces than this number. Default: 10.",
)


@click.command(name="detect")
@_folder
@click.option("--niche", type=NICHE, help="Search only the thumbnails of this niche.")
@_limit
@_json
def detect_(folder: Path | None, niche: str | None, limit: int | None, as_json: bool) -> None:
    """Find and embed the faces of pictures. Pictures that the present face models have searched already are left out.

    If the command is stopped, run it again to continue.
    """
    lab, console = _lab(), _console(as_json)
    _print({"detect": _detect(lab, console, folder, niche, limit)}, as_json)


@click.command(name="cluster")
@_threshold
@_method
@_min_size
@_max_faces
@_json
def cluster_(
    person_threshold: float | None,
    unknown_method: str | None,
    min_cluster_size: int | None,
    max_faces: int | None,
    as_json: bool,
) -> None:
    """Match faces to named people, and group all other faces into unknown clusters.

    Your changes stay: names, faces that you moved, and faces that you took out with `thumblab people not`. A cluster
    keeps its id.
    """
    lab, console = _lab(), _console(as_json)
    how = _cluster_settings(lab, person_threshold, unknown_method, min_cluster_size)
    _print({"cluster": _group(lab, console, how, max_faces)}, as_json)


@click.command(name="assign")
@_threshold
@_max_faces
@_json
def assign_(person_threshold: float | None, max_faces: int | None, as_json: bool) -> None:
    """Put new faces into existing clusters. A face that is in a cluster does not move, and no new cluster is made."""
    from thumblab_pipelines.people.group import assign_faces

    lab = _lab()
    _print({"assign": assign_faces(lab, _cluster_settings(lab, person_threshold), max_faces).as_json()}, as_json)


@click.command(name="train")
@_epochs
@_margin
@_min_faces
@_json
def train_(epochs: int | None, margin: float | None, min_faces: int | None, as_json: bool) -> None:
    """Train the matching head on the people who have a name, and serve the head if it is good enough.

    At least five people must have enough labelled faces. The head is evaluated on people that it was not trained on.
    Run `thumblab people cluster` afterwards to use the head.
    """
    lab, console = _lab(), _console(as_json)
    _print({"train": _train(lab, console, _head_config(lab, epochs, margin, min_faces))}, as_json)


@click.command(name="pipeline")
@click.option("--full", is_flag=True, help="Also train the matching head, and group again with the new head.")
@_folder
@_limit
@_threshold
@_method
@_min_size
@_max_faces
@_epochs
@_margin
@_min_faces
@_json
def pipeline_(full: bool, folder: Path | None, limit: int | None, as_json: bool, **given: Any) -> None:
    """Detect faces, group them and show the figures. With --full, train on named people and group again.

    If too few people have a name, --full trains nothing and says so.
    """
    from thumblab_pipelines.people.matching.labelled_faces import TooFewPeopleError
    from thumblab_pipelines.people.report import people_report

    lab, console = _lab(), _console(as_json)
    how = _cluster_settings(
        lab, given["person_threshold"], given["unknown_method"], given["min_cluster_size"]
    )  # This call raises an error for wrong values before the long work begins.
    config = _head_config(lab, given["epochs"], given["margin"], given["min_faces"])
    results: dict[str, Any] = {"detect": _detect(lab, console, folder, None, limit)}
    results["cluster"] = _group(lab, console, how, given["max_faces"])
    if full:
        try:
            results["train"] = _train(lab, console, config)
        except TooFewPeopleError as error:
            results["train"] = {"skipped": str(error)}
        else:
            results["cluster_again"] = _group(lab, console, how, given["max_faces"])
    results["stats"] = people_report(lab).as_json()
    _print(results, as_json)


def _lab() -> "Lab":
    from thumblab_core.recognition.networks import require_people
    from thumblab_pipelines.lab import Lab

    lab = Lab.open(chosen_settings())
    require_people(lab.settings)
    return lab


def _console(as_json: bool) -> "Console":
    from thumblab_cli.printing.tables import wide_console

    return wide_console(stderr=True, quiet=as_json)


def _cluster_settings(
    lab: "Lab", threshold: float | None, method: str | None = None, min_size: int | None = None
) -> "ClusterSettings":
    from thumblab_pipelines.people.group import cluster_settings

    return cluster_settings(lab.settings, threshold, method, min_size)


def _head_config(lab: "Lab", epochs: int | None, margin: float | None, min_faces: int | None) -> "HeadConfig":
    from thumblab_pipelines.people.training import head_config

    return head_config(lab, epochs, margin, min_faces)


def _detect(
    lab: "Lab", console: "Console", folder: Path | None, niche: str | None, limit: int | None
) -> dict[str, Any]:
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_core.recognition.networks import require_networks
    from thumblab_pipelines.people.detect import detect_faces
    from thumblab_pipelines.people.folder import add_folder

    require_networks(lab.settings)  # If a model file is missing, raise the error before the folder is read.
    result: dict[str, Any] = {}
    with progress_bars(console) as listener:
        if folder is not None:
            added = add_folder(lab, folder, listener)
            result["folder"] = asdict(added)
        return result | detect_faces(lab, niche, listener, limit).as_json()


def _group(lab: "Lab", console: "Console", how: "ClusterSettings", max_faces: int | None) -> dict[str, Any]:
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.people.group import group_faces

    with progress_bars(console) as listener:
        return group_faces(lab, how, max_faces, listener).as_json()


def _train(lab: "Lab", console: "Console", config: "HeadConfig") -> dict[str, Any]:
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.people.training import train_matching

    with progress_bars(console) as listener:
        published = train_matching(lab, config, progress=listener)
    return {
        "release": published.release.release_id,
        "served": published.served,
        "reason": published.reason,
        "trained_now": published.trained is not None,
        **{name: published.release.info[name] for name in ("people", "faces", "epochs", "best_epoch", "verification")},
    }


def _print(results: dict[str, Any], as_json: bool) -> None:
    from thumblab_cli.printing.people import print_steps
    from thumblab_cli.printing.tables import wide_console

    if as_json:
        click.echo(json.dumps(results if len(results) > 1 else next(iter(results.values())), indent=2))
    else:
        print_steps(wide_console(), results)
